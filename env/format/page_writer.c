/* SPDX-License-Identifier: Apache-2.0
 *
 * page_writer.c: seals pages; see pages.h.
 *
 * Invariants: `held` plaintext bytes wait in `page`, one page's worth at most. A full page waits there too until a further byte
 * proves that it is not the last, because the last page has a nonce domain of its own. Each page index is sealed once: after a
 * failure in the cipher the writer is done for, so no nonce comes twice.
 */
#include <stdlib.h>

#include "pages.h"

struct bh_page_writer {
	bh_file_key key;
	uint32_t page_data; /* plaintext bytes of a full page */
	bool header_out;    /* the header was handed out */
	bool finished;
	bool broken;   /* sealing failed: no more bytes ever */
	uint64_t next; /* index of the next page to seal */
	uint64_t logical;
	uint64_t physical;
	uint64_t tallied; /* bytes of pages that the DEK's tally has */
	size_t held;
	uint8_t header[BH_HEADER_LEN];
	uint8_t page[]; /* page_data bytes */
};

static size_t writer_size(uint32_t page_data)
{
	return sizeof(bh_page_writer) + page_data;
}

bh_status bh_page_writer_new(bh_file_key *key, const uint8_t header[BH_HEADER_LEN], bh_page_writer **out)
{
	bh_page_writer *w;
	uint32_t page_data;

	if (!bh_file_kind_is_paged(key->header.kind))
		return bh_fail(BH_E_INVALID, "a %s file has no pages", bh_file_kind_name(key->header.kind));
	page_data = key->header.page_size - BH_TAG_LEN;
	w = malloc(writer_size(page_data));
	if (!w)
		return bh_fail(BH_E_NOMEM, "no memory for a page writer");
	memset(w, 0, offsetof(bh_page_writer, header));
	w->key = *key;
	w->page_data = page_data;
	memcpy(w->header, header, BH_HEADER_LEN);
	memset(key, 0, sizeof(*key));
	*out = w;
	return BH_OK;
}

void bh_page_writer_free(bh_page_writer *w)
{
	if (!w)
		return;
	bh_file_key_clear(&w->key);
	bh_wipe(w->page, w->page_data);
	free(w);
}

/* Room in `out` must be there for all of these. */
static void put_header(bh_page_writer *w, bh_buf *out)
{
	if (w->header_out)
		return;
	memcpy(out->data + out->len, w->header, BH_HEADER_LEN);
	out->len += BH_HEADER_LEN;
	w->physical += BH_HEADER_LEN;
	w->header_out = true;
}

static bh_status put_page(bh_page_writer *w, uint8_t domain, const uint8_t *data, size_t len, bh_buf *out)
{
	uint8_t nonce[BH_NONCE_LEN];
	uint8_t *at = out->data + out->len;

	bh_nonce(domain, w->next, nonce);
	BH_TRY(bh_aead_seal(w->key.aead, nonce, bh_view_of(NULL, 0), data, len, at, at + len));
	out->len += len + BH_TAG_LEN;
	w->physical += len + BH_TAG_LEN;
	w->next++;
	return BH_OK;
}

/* Seals `full` pages from the held bytes and `data`, and holds what is left. */
static bh_status take(bh_page_writer *w, bh_view data, size_t full, bh_buf *out)
{
	put_header(w, out);
	if (full > 0 && w->held > 0) {
		size_t fill = w->page_data - w->held;

		if (fill > 0)
			memcpy(w->page + w->held, data.data, fill);
		BH_TRY(put_page(w, BH_NONCE_UNIT, w->page, w->page_data, out));
		data = bh_view_of(data.data + fill, data.len - fill);
		w->held = 0;
		full--;
	}
	for (; full > 0; full--) {
		BH_TRY(put_page(w, BH_NONCE_UNIT, data.data, w->page_data, out));
		data = bh_view_of(data.data + w->page_data, data.len - w->page_data);
	}
	if (data.len > 0)
		memcpy(w->page + w->held, data.data, data.len);
	w->held += data.len;
	return BH_OK;
}

static bh_status check_usable(const bh_page_writer *w)
{
	return w->broken ? bh_fail(BH_E_CRYPTO, "sealing failed before: this file cannot be continued") : BH_OK;
}

/* Once for all pages of a call. What a broken writer had sealed before counts for nothing. */
static void tally(bh_page_writer *w)
{
	const uint64_t sealed = w->physical - BH_HEADER_LEN;

	if (sealed > w->tallied)
		bh_tally_add(bh_dek_tally(w->key.dek), sealed - w->tallied);
	w->tallied = sealed;
}

/* Undoes what `out` got from a call that failed half-way. */
static bh_status break_writer(bh_page_writer *w, bh_status status, bh_buf *out, size_t out_len)
{
	w->broken = true;
	out->len = out_len;
	return status;
}

bh_status bh_page_writer_append(bh_page_writer *w, bh_view data, bh_buf *out)
{
	size_t total = w->held + data.len, out_len = out->len;
	size_t full = total > 0 ? (total - 1) / w->page_data : 0;
	bh_status status;

	if (w->finished && data.len == 0)
		return BH_OK;
	if (w->finished)
		return bh_fail(BH_E_UNSUPPORTED, "the last page is sealed: nothing can be appended after a sync");
	BH_TRY(check_usable(w));
	BH_TRY(bh_buf_reserve(out, full * w->key.header.page_size + (w->header_out ? 0 : BH_HEADER_LEN)));
	status = take(w, data, full, out);
	if (status != BH_OK)
		return break_writer(w, status, out, out_len);
	tally(w);
	w->logical += data.len;
	return BH_OK;
}

bh_status bh_page_writer_finish(bh_page_writer *w, bh_buf *out)
{
	size_t out_len = out->len;
	bh_status status;

	if (w->finished)
		return BH_OK;
	BH_TRY(check_usable(w));
	BH_TRY(bh_buf_reserve(out, w->held + BH_TAG_LEN + (w->header_out ? 0 : BH_HEADER_LEN)));
	put_header(w, out);
	status = put_page(w, BH_NONCE_LAST_PAGE, w->page, w->held, out);
	if (status != BH_OK)
		return break_writer(w, status, out, out_len);
	bh_wipe(w->page, w->page_data);
	tally(w);
	w->held = 0;
	w->finished = true;
	return BH_OK;
}

bool bh_page_writer_finished(const bh_page_writer *w)
{
	return w->finished;
}

uint64_t bh_page_writer_logical(const bh_page_writer *w)
{
	return w->logical;
}

uint64_t bh_page_writer_physical(const bh_page_writer *w)
{
	return w->physical;
}
