/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h: proves the bytes of a whole KEYRING, and says how much of it counts. Pure: no I/O.
 *
 * Up to the commit mark any fault is an error. Behind it whole records in the chain count; the first that is incomplete or does not
 * match its XXH3 is where a torn tail begins; a whole record with a wrong HMAC, or one that cannot follow, is an error there, too.
 * Nothing is handed to `each` before it is authenticated.
 *
 * Thread-safety: pure but for what `each` does.
 */
#ifndef BH_KEYRING_SCAN_H
#define BH_KEYRING_SCAN_H

#include "format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef bh_status (*bh_keyring_each)(void *arg, const bh_keyring_record *record);

typedef struct bh_keyring_scan_result {
	bh_keyring_mark stored; /* the commit mark in the file */
	bh_keyring_mark found;  /* what it should be: the last record that counts */
	uint64_t snapshot_len;  /* bytes of the first record */
	bool torn;              /* there are bytes behind found.committed_len, and they do not count */
} bh_keyring_scan_result;

/* Errors: BH_E_TRUNCATED, BH_E_FORMAT, BH_E_TAG, BH_E_CRYPTO, and those of `each`. */
BH_MUST_CHECK bh_status bh_keyring_scan(bh_view file, const bh_secret *mac_key, bh_keyring_each each, void *arg,
					bh_keyring_scan_result *out);

#ifdef __cplusplus
}
#endif
#endif
