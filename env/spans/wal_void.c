/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_void.c: see wal_void.h.
 */
#include "wal_void.h"

#include "logfmt.h"

#define BATCH_SEQUENCE 8u /* bytes of a batch's sequence number, which stays */
#define BATCH_HEADER 12u  /* and of the count of its entries */
#define TAG_NOOP 0x0d

/* `passed`: payload bytes of the record before these. */
static void void_payload(uint8_t *data, size_t len, uint64_t passed)
{
	for (size_t i = 0; i < len; i++) {
		if (passed + i >= BATCH_HEADER)
			data[i] = TAG_NOOP;
		else if (passed + i >= BATCH_SEQUENCE)
			data[i] = 0;
	}
}

/* `change` NULL: looks only. */
static bool walk(uint64_t off, const uint8_t *data, size_t len, uint8_t *change)
{
	bh_log_parser parser = { .block_off = (uint32_t)(off % BH_LOG_BLOCK) };
	uint64_t passed = 0;
	size_t fragment = 0; /* where it begins */
	bh_log_piece piece;

	for (size_t at = 0; at < len; at += piece.len) {
		if (bh_log_next(&parser, data + at, len - at, &piece) != BH_OK)
			return false;
		if (piece.record_begin)
			passed = 0;
		if (piece.what == BH_LOG_IS_HEADER && piece.header_at == 0)
			fragment = at;
		if (piece.what == BH_LOG_IS_PAYLOAD) {
			if (change != NULL)
				void_payload(change + at, piece.len, passed);
			passed += piece.len;
		}
		if (change != NULL && piece.fragment_end)
			bh_log_fill_crc(change + fragment, at + piece.len - fragment);
		if (piece.record_end && passed < BATCH_HEADER)
			return false;
	}
	return bh_log_at_boundary(&parser);
}

bh_status bh_wal_void(uint64_t off, uint8_t *data, size_t len)
{
	if (!walk(off, data, len, NULL))
		return bh_fail(BH_E_FORMAT, "what was refused is not whole records of a log");
	(void)walk(off, data, len, data);
	return BH_OK;
}
