/* SPDX-License-Identifier: Apache-2.0
 *
 * logfmt.c: RocksDB's log format; see logfmt.h.
 */
#include "logfmt.h"

#include "crc32c.h"

static void advance(bh_log_parser *p, size_t len)
{
	p->block_off = (uint32_t)(p->block_off + len) % BH_LOG_BLOCK;
}

static void end_fragment(bh_log_parser *p, bh_log_piece *out)
{
	uint8_t type = p->header[6];

	p->header_len = 0;
	p->in_record = type == BH_LOG_FIRST || type == BH_LOG_MIDDLE;
	out->fragment_end = true;
	out->record_end = !p->in_record;
}

/* Nothing of this is damage: RocksDB writes such records, with options that are refused, or a newer one does. */
static bh_status refuse_type(uint8_t type)
{
	static const struct {
		uint8_t first, last;
		const char *what;
	} known[] = {
		{ 5, 8, "WAL recycling (recycle_log_file_num) must be off" },
		{ 9, 9, "WAL compression (wal_compression) must be off" },
		{ 10, 11, "a comparator with timestamps, which RocksDB 8.3 and later note in their logs, is not supported" },
		{ 130, 131, "track_and_verify_wals must be off" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (type >= known[i].first && type <= known[i].last)
			return bh_fail(BH_E_UNSUPPORTED, "log record of type %u: %s", type, known[i].what);
	return bh_fail(BH_E_UNSUPPORTED, "log record of type %u: " BH_NEWER_ROCKSDB, type);
}

static bh_status check_header(const bh_log_parser *p)
{
	uint8_t type = p->header[6];
	bool begins = type == BH_LOG_FULL || type == BH_LOG_FIRST;

	if (type < BH_LOG_FULL || type > BH_LOG_LAST)
		return refuse_type(type);
	if (begins == p->in_record)
		return bh_fail(BH_E_FORMAT, "log fragment of type %u %s a record", type, p->in_record ? "inside" : "outside of");
	if (p->payload_left > BH_LOG_BLOCK - p->block_off)
		return bh_fail(BH_E_FORMAT, "log fragment of %u bytes crosses its block", (unsigned)p->payload_left);
	return BH_OK;
}

static bh_status take_header(bh_log_parser *p, const uint8_t *data, size_t len, bh_log_piece *out)
{
	size_t n = BH_MIN(len, BH_LOG_HEADER - p->header_len);

	*out = (bh_log_piece){ .what = BH_LOG_IS_HEADER, .len = n, .header_at = p->header_len };
	memcpy(p->header + p->header_len, data, n);
	p->header_len = (uint8_t)(p->header_len + n);
	if (p->header_len < BH_LOG_HEADER) {
		advance(p, n);
		return BH_OK;
	}
	/* Not reduced to the block yet: a header may end exactly with its block. */
	p->block_off += (uint32_t)n;
	p->payload_left = bh_get_u16(p->header + 4);
	BH_TRY(check_header(p));
	p->block_off %= BH_LOG_BLOCK;
	out->header_end = true;
	out->record_begin = !p->in_record;
	if (p->payload_left == 0)
		end_fragment(p, out);
	return BH_OK;
}

static bh_status take_trailer(bh_log_parser *p, const uint8_t *data, size_t len, bh_log_piece *out)
{
	size_t n = BH_MIN(len, (size_t)(BH_LOG_BLOCK - p->block_off));

	for (size_t i = 0; i < n; i++)
		if (data[i] != 0)
			return bh_fail(BH_E_FORMAT, "log block trailer is not zero");
	*out = (bh_log_piece){ .what = BH_LOG_IS_TRAILER, .len = n };
	advance(p, n);
	return BH_OK;
}

bh_status bh_log_next(bh_log_parser *p, const uint8_t *data, size_t len, bh_log_piece *out)
{
	size_t n;

	if (p->header_len == 0 && BH_LOG_BLOCK - p->block_off < BH_LOG_HEADER)
		return take_trailer(p, data, len, out);
	if (p->header_len < BH_LOG_HEADER)
		return take_header(p, data, len, out);
	n = BH_MIN(len, (size_t)p->payload_left);
	*out = (bh_log_piece){ .what = BH_LOG_IS_PAYLOAD, .len = n };
	advance(p, n);
	p->payload_left -= (uint32_t)n;
	if (p->payload_left == 0)
		end_fragment(p, out);
	return BH_OK;
}

void bh_log_fill_crc(uint8_t *fragment, size_t len)
{
	bh_put_u32(fragment, bh_crc32c_mask(bh_crc32c(0, fragment + 6, len - 6)));
}

static bh_status append_fragment(uint8_t type, const uint8_t *payload, size_t len, bh_buf *out)
{
	uint8_t *p;

	BH_TRY(bh_buf_reserve(out, BH_LOG_HEADER + len));
	p = out->data + out->len;
	bh_put_u16(p + 4, (uint16_t)len);
	p[6] = type;
	if (len > 0)
		memcpy(p + BH_LOG_HEADER, payload, len);
	bh_log_fill_crc(p, BH_LOG_HEADER + len);
	out->len += BH_LOG_HEADER + len;
	return BH_OK;
}

bh_status bh_log_append_record(uint64_t off, bh_view payload, bh_buf *out)
{
	static const uint8_t zeros[BH_LOG_HEADER];
	bool begin = true;

	for (;;) {
		size_t room = BH_LOG_BLOCK - (size_t)(off % BH_LOG_BLOCK);
		size_t n;
		bool end;

		if (room < BH_LOG_HEADER) {
			BH_TRY(bh_buf_append(out, zeros, room));
			off += room;
			continue;
		}
		n = BH_MIN(payload.len, room - BH_LOG_HEADER);
		end = n == payload.len;
		BH_TRY(append_fragment(begin ? (end ? BH_LOG_FULL : BH_LOG_FIRST) : (end ? BH_LOG_LAST : BH_LOG_MIDDLE),
				       payload.data, n, out));
		if (end)
			return BH_OK;
		payload = bh_view_of(payload.data + n, payload.len - n);
		off += BH_LOG_HEADER + n;
		begin = false;
	}
}
