/* SPDX-License-Identifier: Apache-2.0
 *
 * look.h: a database that is only looked at, by RocksDB's own code: its read-only opens, too, remove leftovers and write an info
 * log, where they can. Thread-safety: none.
 */
#ifndef BH_BRIDGE_LOOK_H
#define BH_BRIDGE_LOOK_H

#include <rocksdb/c.h>

#include "env/fs/fs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As bh_bridge_env_new(), but everything that would change the disk fails. Errors: none. */
BH_MUST_CHECK bh_status bh_bridge_look_env_new(bh_fs *fs, rocksdb_env_t **out);
/* Lets a database that is opened with these options write no info log. */
void bh_bridge_be_silent(rocksdb_options_t *options);

/* Reads every block of every SST of the open families and compares its checksum. A failure is left in *error, as the C API does it.
 */
void bh_bridge_check_blocks(rocksdb_t *db, char **error);

#ifdef __cplusplus
}
#endif
#endif
