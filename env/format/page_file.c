/* SPDX-License-Identifier: Apache-2.0
 *
 * page_file.c: opens pages; see pages.h.
 *
 * Nothing leaves this file that has not authenticated. A page asked for in part is opened on the stack and wiped there.
 */
#include <stdlib.h>

#include "pages.h"

struct bh_page_file {
	bh_file_key key;
	uint32_t page_size;
	uint32_t page_data; /* plaintext bytes of a full page */
	uint64_t physical;
	uint64_t logical;
	uint64_t last; /* index of the last page */
};

bh_status bh_page_file_new(bh_view header, uint64_t physical_size, const bh_scopes *scopes, bh_page_file **out)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	uint64_t logical;
	bh_page_file *f;

	BH_TRY(bh_header_open(header, scopes, &key));
	if (!bh_file_kind_is_paged(key.header.kind))
		return bh_fail(BH_E_FORMAT, "a %s file where an SST or blob file is due", bh_file_kind_name(key.header.kind));
	BH_TRY(bh_pages_logical_size(physical_size, key.header.page_size, &logical));
	f = malloc(sizeof(*f));
	if (!f)
		return bh_fail(BH_E_NOMEM, "no memory to open a page file");
	*f = (bh_page_file){
		.key = key,
		.page_size = key.header.page_size,
		.page_data = key.header.page_size - BH_TAG_LEN,
		.physical = physical_size,
		.logical = logical,
		.last = (physical_size - BH_HEADER_LEN - 1) / key.header.page_size,
	};
	memset(&key, 0, sizeof(key));
	*out = f;
	return BH_OK;
}

void bh_page_file_free(bh_page_file *f)
{
	if (!f)
		return;
	bh_file_key_clear(&f->key);
	free(f);
}

uint64_t bh_page_file_size(const bh_page_file *f)
{
	return f->logical;
}

const bh_file_key *bh_page_file_key(const bh_page_file *f)
{
	return &f->key;
}

bh_page_range bh_page_file_range(const bh_page_file *f, uint64_t off, size_t len)
{
	bh_page_range range = { 0 };
	uint64_t last;

	if (len == 0)
		return range;
	/* That a file is empty is a claim as well: its one page is read and has to authenticate. */
	if (f->logical == 0 && off == 0)
		return (bh_page_range){ .off = BH_HEADER_LEN, .len = BH_TAG_LEN };
	if (off >= f->logical)
		return range;
	range.out_len = BH_MIN(len, f->logical - off);
	range.off = bh_pages_physical_offset(off, f->page_size);
	last = bh_pages_physical_offset(off + range.out_len - 1, f->page_size);
	range.len = BH_MIN(last + f->page_size, f->physical) - range.off;
	return range;
}

static bh_status open_page(const bh_page_file *f, uint64_t idx, bh_view page, uint8_t *dst)
{
	size_t len = page.len - BH_TAG_LEN;
	uint8_t nonce[BH_NONCE_LEN];
	bh_status status;

	bh_nonce(idx == f->last ? BH_NONCE_LAST_PAGE : BH_NONCE_UNIT, idx, nonce);
	status = bh_aead_open(f->key.aead, nonce, bh_view_of(NULL, 0), page.data, len, page.data + len, dst);
	return bh_fail_prefix(status, "page %llu of %llu", (unsigned long long)idx, (unsigned long long)f->last + 1);
}

/* Bytes [skip, skip + want) of a page. */
static bh_status open_part(const bh_page_file *f, uint64_t idx, bh_view page, size_t skip, size_t want, uint8_t *dst)
{
	uint8_t whole[BH_PAGE_SIZE_MAX]; /* touched as far as the page goes */

	BH_TRY(open_page(f, idx, page, whole));
	memcpy(dst, whole + skip, want);
	bh_wipe(whole, page.len - BH_TAG_LEN);
	return BH_OK;
}

/* `skip`: bytes of the first page before the range. */
static bh_status open_pages(const bh_page_file *f, uint64_t idx, size_t skip, bh_view physical, uint8_t *dst, size_t left)
{
	while (physical.len > 0) {
		bh_view page = bh_view_of(physical.data, BH_MIN(physical.len, f->page_size));
		size_t have = page.len - BH_TAG_LEN;
		size_t want = BH_MIN(have - skip, left);

		BH_TRY(want == have ? open_page(f, idx, page, dst) : open_part(f, idx, page, skip, want, dst));
		physical = bh_view_of(physical.data + page.len, physical.len - page.len);
		dst += want;
		left -= want;
		skip = 0;
		idx++;
	}
	return BH_OK;
}

bh_status bh_page_file_open_range(const bh_page_file *f, uint64_t off, size_t len, bh_view physical, uint8_t *dst)
{
	bh_page_range range = bh_page_file_range(f, off, len);
	bh_status status;

	if (physical.len < range.len)
		return bh_fail(BH_E_TRUNCATED, "%zu of %zu bytes at offset %llu: the file was cut while it was open", physical.len,
			       range.len, (unsigned long long)range.off);
	if (physical.len > range.len)
		return bh_fail(BH_E_INVALID, "%zu bytes for a range of %zu", physical.len, range.len);
	status = open_pages(f, off / f->page_data, (size_t)(off % f->page_data), physical, dst, range.out_len);
	if (status != BH_OK)
		bh_wipe(dst, range.out_len);
	return status;
}
