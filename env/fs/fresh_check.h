/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh_check.h: a closed database's logs, and KEYRING itself, held against the list in KEYRING's commit mark (fresh.h).
 */
#ifndef BH_FRESH_CHECK_H
#define BH_FRESH_CHECK_H

#include "keyring/ring/keyring.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Calls `each` for every file that is not what it should be, by its name in the directory, with this thread's message. Where
 * KEYRING is older than the logs it alone is named, since the list is its. Nothing is changed. Errors: BH_E_IO (the directory
 * cannot be read), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fresh_check(bh_keyring *keyring, const char *dir,
				       void (*each)(void *arg, const char *name, bh_status status), void *arg);
/* The first of them, for bh_keyring_options.inspect. Errors: BH_E_ROLLBACK (a file is missing, or is another one or older than is
 * due), BH_E_TRUNCATED (it is shorter), and those of reading it: BH_E_TAG, BH_E_FORMAT, BH_E_VERSION, BH_E_NO_KEY, BH_E_IO. */
BH_MUST_CHECK bh_status bh_fresh_inspect(bh_keyring *keyring, const char *dir);

#ifdef __cplusplus
}
#endif
#endif
