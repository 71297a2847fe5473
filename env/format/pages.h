/* SPDX-License-Identifier: Apache-2.0
 *
 * pages.h: sealed pages, the format of SST and blob files. Pure computation: no I/O here.
 *
 * Physical: header (BH_HEADER_LEN), then pages of `page_size` bytes, each page_size-16 bytes of ciphertext and a 16-byte tag; the
 * last page is as long as it needs to be, and there always is one. Nonce: page index, with its own domain for the last page (the
 * STREAM construction, Hoang-Reyhanitabar-Rogaway-Vizar, CRYPTO 2015), so truncation, extension, reordering, duplication and
 * splices all fail to authenticate.
 *
 * Thread-safety: a bh_page_file is immutable and may be read from many threads; a bh_page_writer belongs to one.
 */
#ifndef BH_PAGES_H
#define BH_PAGES_H

#include "header.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_PAGE_SIZE_DEFAULT 2048u

/* Sizes are arithmetic. Errors: BH_E_FORMAT for the page size 0, which a header has that is not of a paged file; BH_E_TRUNCATED for
 * a physical size that no sealed file has. */
BH_MUST_CHECK bh_status bh_pages_logical_size(uint64_t physical, uint32_t page_size, uint64_t *logical_out);
/* `page_size` is a valid one, here and below. */
uint64_t bh_pages_physical_size(uint64_t logical, uint32_t page_size);
/* Where the page that holds logical offset `off` begins in the file. */
uint64_t bh_pages_physical_offset(uint64_t off, uint32_t page_size);

/* ---- writing */
typedef struct bh_page_writer bh_page_writer;
/* Takes `*key` over (leaves it empty) on success. Errors: BH_E_INVALID (not a paged kind), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_writer_new(bh_file_key *key, const uint8_t header[BH_HEADER_LEN], bh_page_writer **out);
void bh_page_writer_free(bh_page_writer *w); /* wipes what it still holds; NULL-safe */
/* Takes `data` in, and appends to `out` (a reused buffer, cleared by the caller's consumption) the physical bytes that became
 * final: the header at the first call, then every full page that is known not to be the last. Errors: BH_E_UNSUPPORTED (bytes after
 * finish); BH_E_NOMEM (nothing was taken in); BH_E_CRYPTO, and then for good. */
BH_MUST_CHECK bh_status bh_page_writer_append(bh_page_writer *w, bh_view data, bh_buf *out);
/* Seals the last page (and the header, if nothing was appended). Nothing can be appended afterwards. Idempotent: the second call
 * adds nothing. */
BH_MUST_CHECK bh_status bh_page_writer_finish(bh_page_writer *w, bh_buf *out);
bool bh_page_writer_finished(const bh_page_writer *w);
uint64_t bh_page_writer_logical(const bh_page_writer *w);  /* bytes appended */
uint64_t bh_page_writer_physical(const bh_page_writer *w); /* bytes handed out so far */

/* ---- reading */
typedef struct bh_page_file bh_page_file;
/* From the first BH_HEADER_LEN bytes and the physical size of the file. Errors: those of bh_header_open, BH_E_TRUNCATED,
 * BH_E_FORMAT (not a paged kind), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_page_file_new(bh_view header, uint64_t physical_size, const bh_scopes *scopes, bh_page_file **out);
void bh_page_file_free(bh_page_file *f);
uint64_t bh_page_file_size(const bh_page_file *f); /* logical */
const bh_file_key *bh_page_file_key(const bh_page_file *f);

/* The physical range to read for the logical range [off, off+len), clipped to the file; all 0 when it lies behind the end. Of an
 * empty file offset 0 yields its one page with out_len 0: opening that range proves that the file is meant to be empty. */
typedef struct bh_page_range {
	uint64_t off;   /* physical: BH_HEADER_LEN plus a multiple of page_size */
	size_t len;     /* physical bytes, to the end of the last page touched */
	size_t out_len; /* logical bytes that the range yields after clipping */
} bh_page_range;
bh_page_range bh_page_file_range(const bh_page_file *f, uint64_t off, size_t len);

/* Opens the pages in `physical` (exactly the bytes of bh_page_file_range(f, off, len)) and writes its out_len logical bytes to
 * `dst`. Pages that lie whole inside the range are opened straight into `dst`, which may not overlap `physical`. Errors:
 * BH_E_TRUNCATED (fewer physical bytes than asked for), BH_E_INVALID (more), BH_E_TAG, naming the page. `dst` is wiped on failure.
 */
BH_MUST_CHECK bh_status bh_page_file_open_range(const bh_page_file *f, uint64_t off, size_t len, bh_view physical, uint8_t *dst);

#ifdef __cplusplus
}
#endif
#endif
