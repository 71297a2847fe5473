/* SPDX-License-Identifier: Apache-2.0
 *
 * pages.c: the arithmetic of sealed pages; see pages.h. Writing is in page_writer.c, reading in page_file.c.
 */
#include "pages.h"

bh_status bh_pages_logical_size(uint64_t physical, uint32_t page_size, uint64_t *logical_out)
{
	uint64_t body, before_last, last;

	if (page_size <= BH_TAG_LEN)
		return bh_fail(BH_E_FORMAT,
			       "a log or a small file where an SST or blob file is due; it was put here from elsewhere");
	if (physical < BH_HEADER_LEN + BH_TAG_LEN)
		return bh_fail(BH_E_TRUNCATED, "%llu bytes cannot hold a header and a page: cut off, or never finished",
			       (unsigned long long)physical);
	body = physical - BH_HEADER_LEN;
	before_last = (body - 1) / page_size;
	last = body - before_last * page_size;
	/* An empty last page exists in an empty file alone. */
	if (last < BH_TAG_LEN || (last == BH_TAG_LEN && before_last > 0))
		return bh_fail(BH_E_TRUNCATED, "the last page has %llu bytes, no more than its tag: the file was cut or extended",
			       (unsigned long long)last);
	*logical_out = before_last * (page_size - BH_TAG_LEN) + last - BH_TAG_LEN;
	return BH_OK;
}

uint64_t bh_pages_physical_size(uint64_t logical, uint32_t page_size)
{
	uint32_t page_data = page_size - BH_TAG_LEN;
	uint64_t pages = logical == 0 ? 1 : (logical - 1) / page_data + 1;

	return BH_HEADER_LEN + logical + pages * BH_TAG_LEN;
}

uint64_t bh_pages_physical_offset(uint64_t off, uint32_t page_size)
{
	return BH_HEADER_LEN + off / (page_size - BH_TAG_LEN) * page_size;
}
