/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.h: a closed database seen from outside, for the commands that look at it without RocksDB: status, merchant, verify, dump.
 *
 * The keyring is opened read-only and stays locked meanwhile, so no other process works on the files; nothing in the directory
 * changes but AUDIT, where each use of a key leaves a line. Merchants whose keys cannot be had are left locked: what is theirs
 * stays closed, all else can be read. Thread-safety: none.
 */
#ifndef BHCTL_INSPECT_H
#define BHCTL_INSPECT_H

#include <jansson.h>

#include "env/fs/fs.h"
#include "bhctl.h"

typedef struct inspect {
	bh_keyring *keyring; /* owned; by `fs` once there is one */
	bh_fs *fs;
	bh_scopes scopes; /* those of `fs`, but every family counts as attached: files are shown as they are, without RocksDB's view
			     of them */
	bh_merchant_info *merchants; /* owned, tombstones included */
	bh_status *unlocked;         /* of each merchant: BH_OK, or why its keys are not available */
	size_t merchant_count;
	bh_dek_info *deks; /* owned */
	size_t dek_count;
} inspect;

/* Opens the keyring of `dir` and lists what it knows; unwraps no merchant's DEK. Errors: those of bh_keyring_open(). */
BH_MUST_CHECK bh_status inspect_open(bhctl *ctl, const char *dir, inspect *out);
/* Makes `fs` and `scopes`. Without a merchant's keys that is enough to see under which DEKs files lie. */
BH_MUST_CHECK bh_status inspect_files(const char *dir, inspect *in);
/* The scopes of `fs` for who looks at its files as they are, without RocksDB's view of them. */
void inspect_scopes(const bh_fs *fs, bh_scopes *out);
/* Unwraps the DEKs of every living merchant whose KMS allows it and whom no operator has suspended, then makes `fs` and
 * `scopes`. */
BH_MUST_CHECK bh_status inspect_unlock(const char *dir, inspect *in);
/* `fs`, and the keyring with it, was freed by who had taken it over. */
void inspect_fs_gone(inspect *in);
void inspect_clear(inspect *in); /* idempotent */

/* Who a DEK belongs to; NULL if the keyring has never known it. */
const bh_dek_info *inspect_dek(const inspect *in, const uint8_t id[BH_ID_LEN]);
/* Why a DEK's merchant has no keys: BH_OK: it has them, or the DEK is the platform's; BH_E_SUSPENDED: an operator's word. */
bh_status inspect_why_locked(const inspect *in, const bh_dek_info *dek);
/* "merchant/class" of a DEK, "platform", or "unknown". */
void inspect_owner(const inspect *in, const uint8_t dek_id[BH_ID_LEN], char out[BH_CF_NAME_SIZE]);

#endif
