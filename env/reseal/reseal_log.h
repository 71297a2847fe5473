/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal_log.h: WALs and the MANIFEST sealed anew where they lie, as reseal.h does it for SSTs: same name, same logical bytes,
 * fresh salt, every family's bytes under the newest DEK that it has now.
 *
 * Bytes of families that the database does not have any more go under a random key that nobody keeps: to a reader they look like
 * those of a merchant whose keys are gone, which is what they are. Thread-safety: all calls.
 */
#ifndef BH_RESEAL_LOG_H
#define BH_RESEAL_LOG_H

#include "reseal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Column families. */
typedef struct bh_cf_ids {
	const uint32_t *ids; /* borrowed */
	size_t count;
} bh_cf_ids;

/* A WAL that RocksDB has closed. `unneeded`: families of which nothing in this log is needed any more, because all of it is in
 * SSTs; their bytes are given up like those of families that are gone. NULL: none. *done_out false: it is being written to, was
 * deleted, or somebody else is at it. What a kill has left behind the last frame that can be read, never synced, is not taken over:
 * no recovery takes more. Errors, with the old file still in place: those of `pace`; BH_E_NO_KEY (a family's bytes could not be
 * read, but are needed), those of reading (BH_E_TAG, BH_E_TRUNCATED: damage of what was synced) and of the keyring, BH_E_IO,
 * BH_E_UNSUPPORTED (the file system), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_reseal_wal(bh_fs *fs, const char *path, const bh_cf_ids *unneeded, const bh_pace *pace, bool *done_out);

/* The MANIFEST that RocksDB writes to, and waits for meanwhile: `pace` should not. `scrub`: what it says of files that are gone
 * loses its keys, so that nothing is left in it of a row that is nowhere else; RocksDB reads it as before. *done_out false: this is
 * not the one, or it is in the middle of a record or of an atomic group of them: try again. Errors: as above; BH_E_BUSY (it ends in
 * the middle of a frame). */
BH_MUST_CHECK bh_status bh_reseal_manifest(bh_fs *fs, const char *path, bool scrub, const bh_pace *pace, bool *done_out);

#ifdef __cplusplus
}
#endif
#endif
