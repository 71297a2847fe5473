/* SPDX-License-Identifier: Apache-2.0
 *
 * page_check.h: an SST or blob file looked at before RocksDB gets to see it, which asserts where a page that it needs does not
 * open. Plain system calls, and never waits for what is no regular file. Thread-safety: all calls.
 */
#ifndef BH_PAGE_CHECK_H
#define BH_PAGE_CHECK_H

#include "fs.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bh_page_look {
	BH_PAGE_LOOK_LAST,  /* the header and the last page: without them it cannot be opened */
	BH_PAGE_LOOK_ENDS,  /* and the first page */
	BH_PAGE_LOOK_WHOLE, /* every page */
} bh_page_look;

/* Whether the file at `path` may stand there, and opens. `fs` says whose it is. *size_out: its logical bytes (NULL: nobody
 * asks). Errors: BH_E_NOT_FOUND, BH_E_IO, BH_E_FORMAT (no
 * regular file, no header), BH_E_TRUNCATED, BH_E_VERSION, BH_E_TAG (a page, which is named; a file from elsewhere), those of the
 * keyring, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_check(const bh_fs *fs, const char *path, bh_page_look look, uint64_t *size_out);

#ifdef __cplusplus
}
#endif
#endif
