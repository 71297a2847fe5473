/* SPDX-License-Identifier: Apache-2.0
 *
 * record_census.h: which kinds of records the logs of a closed database hold: so a test can show that what it meant to have written
 * was written.
 *
 * Thread-safety: none.
 */
#ifndef BH_TESTS_RECORD_CENSUS_H
#define BH_TESTS_RECORD_CENSUS_H

#include "env/spans/manifest_spans.h"
#include "tests/support/harness.h"

typedef struct record_census {
	size_t entries[256];                   /* write batch entries in the WALs, by tag */
	size_t fields[BH_VERSION_WHAT_COUNT_]; /* version edit fields in the MANIFESTs */
} record_census;

/* Counts what every log below ws->db holds; opens the keyring for it. */
void record_census_take(const workspace *ws, record_census *out);
/* Fails unless some entry of each tag is there; 0xff ends the list. */
void record_census_expect_entries(const record_census *census, const uint8_t *tags);

#endif
