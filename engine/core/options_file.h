/* SPDX-License-Identifier: Apache-2.0
 *
 * options_file.h: RocksDB's OPTIONS file is written when nobody waits for it.
 */
#ifndef BH_ENGINE_OPTIONS_FILE_H
#define BH_ENGINE_OPTIONS_FILE_H

#include "db.h"

/* Around a call that makes or drops a column family, on the same thread: the OPTIONS file is not written for it. */
void bh_options_file_hold(bh_db *db);
void bh_options_file_release(void);
/* The number in the name of the newest one; 0: there is none. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bh_options_file_newest(const bh_db *db, uint64_t *number_out);
/* At close: now it is. */
void bh_options_file_write(bh_db *db);

#endif
