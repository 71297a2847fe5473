/* SPDX-License-Identifier: Apache-2.0
 *
 * rotation_fixture.h: what the tests of rotation share, on top of suspend_fixture.h: how many generations of DEKs a merchant has,
 * and what needs the older ones.
 */
#ifndef BH_TESTS_ROTATION_FIXTURE_H
#define BH_TESTS_ROTATION_FIXTURE_H

#include <bulkhead/rotation.h>

#include "tests/engine/wall/suspend_fixture.h"

/* DEKs with a wrap, retired ones, and the newest generation, over all classes of a merchant. */
typedef struct generations {
	size_t kept;
	size_t retired;
	uint32_t newest;
} generations;
generations generations_of(bh_db *db, const char *merchant);
void expect_generations(bh_db *db, const char *merchant, size_t kept, size_t retired, uint32_t newest);

/* Whether older generations of the merchant are needed by SSTs and blob files, WALs, MANIFESTs. */
void expect_pins(bh_db *db, const char *merchant, bool files, bool wals, bool manifests);

void compact_all(bh_db *db, const char *merchant, const char *cls);

/* The first SST in a folder of the database. */
void find_table(const workspace *ws, const char *below, char out[PATH_SIZE]);

#endif
