/* SPDX-License-Identifier: Apache-2.0
 *
 * page_readers.h: the paged files that are open, so that one can be exchanged for another of the same content under its readers'
 * feet.
 *
 * A reader reads from a source: a file below, and the key to it. Who reads enters, uses the source, and leaves. When the file is
 * switched, the reader gets another source, and the old one is closed and its key wiped as soon as everybody who had entered it has
 * left: after that nothing holds the old file's key. Entering never waits, however often files are switched.
 *
 * Files are told apart by device and inode, since a name may be changed or have hard links: all readers of an inode are switched,
 * by whatever name they opened it.
 *
 * Thread-safety: all calls. Lock order: names, then the table; both below every lock of RocksDB's and of the engine's. While a name
 * is exchanged nobody opens, makes, measures or closes a paged file, so none of these sees half of each file; reads go on.
 */
#ifndef BH_PAGE_READERS_H
#define BH_PAGE_READERS_H

#include "env/format/pages.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_page_readers bh_page_readers;
/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_readers_new(bh_page_readers **out);
void bh_page_readers_free(bh_page_readers *readers); /* nobody has a file open; NULL-safe */

/* Until let go, no name is exchanged: what a path gives, asked several times, is of one file. Not recursive. */
void bh_page_readers_hold(bh_page_readers *readers);
void bh_page_readers_let_go(bh_page_readers *readers);

/* ---- readers */

/* The file below, whatever it is to the caller. */
typedef struct bh_page_below_ops {
	/* Opens the file at `path` in the way of the reader that was made with `arg`. */
	bh_status (*open)(void *arg, const char *path, void **below_out);
	void (*close)(void *below);
} bh_page_below_ops;

typedef struct bh_page_source {
	const bh_page_file *file;
	void *below;
	uint64_t serial; /* of the reader's sources: 0, then one more with each switch */
} bh_page_source;

typedef struct bh_page_reader bh_page_reader;
/* For the file at `path`, which is open as `below` with the key in `file`; both are taken over on success. While `readers` is held.
 * `ops` and `arg` live as long as the reader. Errors: BH_E_NOT_FOUND, BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_reader_new(bh_page_readers *readers, const char *path, bh_page_file *file, void *below,
					   const bh_page_below_ops *ops, void *arg, bh_page_reader **out);
/* Closes its source. Nobody is inside. A source that it had before may still be about to be closed, by who switched it. NULL-safe.
 */
void bh_page_reader_free(bh_page_reader *reader);

/* The source to read from until bh_page_reader_leave(), which is owed. A thread that is inside may not switch anything. */
const bh_page_source *bh_page_reader_enter(bh_page_reader *reader);
void bh_page_reader_leave(const bh_page_source *source);

/* ---- who works on a file: one who writes it, or one who puts another in its place */

typedef struct bh_page_claim bh_page_claim;
/* Claims the file at `path`, which was just made to be sealed under the DEK, while `readers` is held. Errors: BH_E_NOT_FOUND,
 * BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_claim_made(bh_page_readers *readers, const char *path, const uint8_t dek_id[BH_ID_LEN],
					   bh_page_claim **out);
/* Whether the file at `path` is being written by this process, and under which DEK: its header may not say it yet. */
bool bh_page_claim_is_made(bh_page_readers *readers, const char *path, uint8_t dek_id_out[BH_ID_LEN]);
/* Opens the file at `path` to read and claims it. *claim_out NULL: it is claimed already, or not there; then *fd_out is -1. Errors:
 * BH_E_FORMAT (no regular file), BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_claim_open(bh_page_readers *readers, const char *path, int *fd_out, bh_page_claim **claim_out);
void bh_page_claim_end(bh_page_claim *claim); /* NULL-safe */

/* What a file is opened with. */
typedef struct bh_page_image {
	bh_view header; /* BH_HEADER_LEN bytes */
	uint64_t physical;
	const bh_scopes *scopes;
} bh_page_image;

/* Exchanges the names `path`, whose file is claimed, and `fresh`, a synced file that `image` speaks of, and switches all readers of
 * the claimed file. The claim is one of the new file then, and what is at `fresh` is nobody's. Waits for who is inside of the old
 * sources. *done_out false: another file is at `path`, or none. Then, and on failure, nothing has changed. Errors: those of
 * bh_raw_exchange(), of bh_page_file_new(), and of opening `fresh`. */
BH_MUST_CHECK bh_status bh_page_readers_switch(bh_page_readers *readers, bh_page_claim *claim, const char *fresh, const char *path,
					       const bh_page_image *image, bool *done_out);

#ifdef __cplusplus
}
#endif
#endif
