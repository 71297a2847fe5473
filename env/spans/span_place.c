/* SPDX-License-Identifier: Apache-2.0
 *
 * span_place.c: see span_place.h.
 */
#include "span_place.h"

/* Offsets. */
enum {
	AT_FAMILY = 0,
	AT_FRAMES = 4,
	AT_OFFSET = 12,
	AT_IN_RECORD = 20,
	AT_HEADER_LEN = 21,
	AT_HEADER = 22,
	AT_PAYLOAD_LEFT = 25,
	AT_STATE = 29,
	AT_BATCH = 30,
	AT_INDEX = 42,
	AT_TAG = 46,
	AT_STRINGS = 47,
	AT_ENTRY_FAMILY = 48,
	AT_VARINT_LEN = 52,
	AT_VARINT = 53,
	AT_LEFT = 57,
};

/* A CRC is not stored: a header of which no more than that has passed has not begun. */
static void put_log(uint64_t off, const bh_log_parser *log, uint8_t *out)
{
	const bool begun = log->header_len > BH_LOG_CRC;

	bh_put_u64(out + AT_OFFSET, begun ? off : off - log->header_len);
	out[AT_IN_RECORD] = log->in_record;
	if (!begun)
		return;
	out[AT_HEADER_LEN] = log->header_len;
	memcpy(out + AT_HEADER, log->header + BH_LOG_CRC, log->header_len - BH_LOG_CRC);
	if (log->header_len == BH_LOG_HEADER)
		bh_put_u32(out + AT_PAYLOAD_LEFT, log->payload_left);
}

static void put_varint(const bh_wal_parser *wal, uint8_t *out)
{
	out[AT_VARINT_LEN] = wal->varint_len;
	bh_put_u32(out + AT_VARINT, wal->varint);
}

static void put_entry(const bh_wal_parser *wal, uint8_t *out)
{
	out[AT_TAG] = wal->tag;
	out[AT_STRINGS] = wal->strings_left;
	if (wal->state == BH_WAL_FAMILY) {
		put_varint(wal, out);
		return;
	}
	bh_put_u32(out + AT_ENTRY_FAMILY, wal->cf_id);
	if (wal->state == BH_WAL_LENGTH)
		put_varint(wal, out);
	else
		bh_put_u32(out + AT_LEFT, wal->left);
}

static void put_batch(const bh_wal_parser *wal, uint8_t *out)
{
	out[AT_STATE] = wal->state;
	memcpy(out + AT_BATCH, wal->header, BH_WAL_BATCH_HEADER);
	if (wal->state == BH_WAL_HEADER)
		bh_put_u32(out + AT_LEFT, wal->left);
	else
		bh_put_u32(out + AT_INDEX, wal->index);
	if (bh_wal_in_entry(wal))
		put_entry(wal, out);
}

void bh_place_encode(uint64_t off, const bh_log_parser *log, const bh_wal_parser *wal, uint8_t out[BH_PLACE_LEN])
{
	memset(out, 0, BH_PLACE_LEN);
	put_log(off, log, out);
	if (wal->state != BH_WAL_OUTSIDE)
		put_batch(wal, out);
}

void bh_place_set_family(uint8_t place[BH_PLACE_LEN], uint32_t cf_id, uint64_t frames)
{
	bh_put_u32(place + AT_FAMILY, cf_id);
	bh_put_u64(place + AT_FRAMES, frames);
}
