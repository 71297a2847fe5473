/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog_file.h: the file behind RocksDB's info log, DB/LOG. RocksDB's own writer takes nothing more after a write that failed,
 * and a build with assertions ends the process at the next line. This one never fails: a line that cannot be written is dropped,
 * and how many were is said in front of the next one that can. A file that cannot be made is tried again at each line.
 *
 * Thread-safety: all calls but the last.
 */
#ifndef BH_INFOLOG_FILE_H
#define BH_INFOLOG_FILE_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_infolog_file bh_infolog_file;

/* Makes the file at `path` anew. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_infolog_file_new(const char *path, bh_infolog_file **out);
/* One line, with or without its newline; the time and the thread are put in front as RocksDB does it. */
void bh_infolog_file_write(bh_infolog_file *file, bh_view line);
uint64_t bh_infolog_file_size(bh_infolog_file *file); /* bytes written */
void bh_infolog_file_free(bh_infolog_file *file);     /* NULL-safe */

#ifdef __cplusplus
}
#endif
#endif
