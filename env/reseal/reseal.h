/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal.h: a file of an older DEK, sealed anew under its class's newest one where it lies: same name, same logical bytes, fresh
 * salt. RocksDB does not notice, and whoever has the file open goes on with the new one.
 *
 * The new file is written beside the old one as NAME.bhtmp and put in its place by an exchange of names (raw_file.h): a kill leaves
 * the old file or the new one, and a NAME.bhtmp that the next open of the database removes.
 *
 * Thread-safety: all calls. One that waits for its pace holds no lock.
 */
#ifndef BH_RESEAL_H
#define BH_RESEAL_H

#include "env/fs/fs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Asked before `bytes` (at most 1 MiB) are written. May sleep. What it fails with ends the reseal, with nothing changed. */
typedef struct bh_pace {
	bh_status (*take)(void *arg, uint64_t bytes);
	void *arg;
} bh_pace;

/* An SST or blob file. `pace` may be NULL. When the call has returned with *done_out true, it is durable, no reader that was opened
 * through `fs` holds the old file or its DEK, and modification time, owner and permissions are those of the old one. False: there
 * is nothing to do (it is under the newest DEK, or was deleted meanwhile), or somebody is at work on the file (it is being written,
 * or resealed by another thread) and it is to be asked for again later. Other names of the file (hard links) keep the old one.
 *
 * Every page is authenticated before it is sealed anew. Errors, after which the old file is still there: those of `pace`;
 * BH_E_INVALID (no paged file by its path); of opening it: BH_E_TAG, BH_E_FORMAT, BH_E_VERSION, BH_E_TRUNCATED, BH_E_NO_KEY,
 * BH_E_SHREDDED, BH_E_SUSPENDED; BH_E_IO (also a full disk), BH_E_UNSUPPORTED (the file system cannot exchange names), BH_E_NOMEM,
 * BH_E_CRYPTO. BH_E_IO naming the directory or NAME.bhtmp may come after the exchange as well: then the file is the new one, but
 * perhaps not durably so. */
BH_MUST_CHECK bh_status bh_reseal_pages(bh_fs *fs, const char *path, const bh_pace *pace, bool *done_out);

#ifdef __cplusplus
}
#endif
#endif
