/* SPDX-License-Identifier: Apache-2.0
 *
 * forgery_database.h: the populated database that is forged: "live" and "other" serve, "asleep" is suspended, "taken" was revoked
 * with rows in its WAL. What a row holds follows from its merchant and number.
 */
#ifndef BH_TESTS_FORGERY_DATABASE_H
#define BH_TESTS_FORGERY_DATABASE_H

#include "tests/support/harness.h"

enum {
	FORGERY_MERCHANTS = 4,
	FORGERY_CLASSES = 2,
	FORGERY_ROWS = 240, /* of each class */
};
extern const char *const forgery_merchants[FORGERY_MERCHANTS];
extern const char *const forgery_classes[FORGERY_CLASSES];

bh_view forgery_key(char out[16], int i);
bh_view forgery_value(uint8_t out[400], const char *merchant, int i);
rocksdb_options_t *forgery_options(void);
void forgery_database_make(void *ws); /* in a child */

#endif
