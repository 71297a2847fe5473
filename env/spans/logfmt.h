/* SPDX-License-Identifier: Apache-2.0
 *
 * logfmt.h: RocksDB's log format, which WAL and MANIFEST share, as a push parser.
 *
 * A file is blocks of 32 KiB. A record lies in one fragment (Full) or several (First, Middle..., Last), none of which crosses a
 * block: 0  4  CRC-32C of type and payload, masked 4  2  payload length 6  1  type: 1 Full, 2 First, 3 Middle, 4 Last 7  .. payload
 * Fewer than 7 bytes at the end of a block are a trailer of zeros. Recyclable types (5 to 8), compression (9), sizes of timestamps
 * (10, 11), ends of logs before (130, 131) and all others are refused by name, as is a fragment that does not continue what came
 * before it.
 *
 * The parser keeps no payload. It is told the bytes in order, in pieces of any size, and says what they are. The CRC is not looked
 * at: sealed files do not have it; spans.c looks at it before that. Thread-safety: none.
 */
#ifndef BH_LOGFMT_H
#define BH_LOGFMT_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of what no RocksDB that this build knows writes: it is not damage. */
#define BH_NEWER_ROCKSDB "written by a newer RocksDB than this Bulkhead knows; open it with a Bulkhead made for that one"

#define BH_LOG_BLOCK 32768u
#define BH_LOG_HEADER 7u /* bytes of a fragment's header */
#define BH_LOG_CRC 4u    /* ... of which the first are the CRC */

/* RocksDB's sequence numbers have 56 bits, and it ends the process when they come to an end. No database comes to half of that:
 * whoever says so has forged it. */
#define BH_SEQUENCE_LIMIT ((uint64_t)1 << 55)

enum { BH_LOG_FULL = 1, BH_LOG_FIRST = 2, BH_LOG_MIDDLE = 3, BH_LOG_LAST = 4 };

/* All zero: at the start of a file. */
typedef struct bh_log_parser {
	uint32_t block_off;    /* bytes of the current block that have passed */
	uint32_t payload_left; /* of the current fragment */
	uint8_t header[BH_LOG_HEADER];
	uint8_t header_len; /* bytes of the current header that have passed; 0 between fragments */
	bool in_record;     /* a First or Middle has passed, its Last has not */
} bh_log_parser;

typedef enum bh_log_what {
	BH_LOG_IS_HEADER,
	BH_LOG_IS_PAYLOAD,
	BH_LOG_IS_TRAILER,
} bh_log_what;

typedef struct bh_log_piece {
	bh_log_what what;
	size_t len;        /* bytes of the input it covers, at least 1 */
	uint8_t header_at; /* header: index of its first byte in the header */
	bool header_end;   /* header: complete with this piece ... */
	bool record_begin; /* ... and begins a record */
	bool fragment_end; /* the fragment is complete with this piece (a header's own, when it has no payload) */
	bool record_end;   /* ... and so is the record */
} bh_log_piece;

/* Says what the first bytes of data[0..len) are; len is at least 1. Errors: BH_E_UNSUPPORTED (a record type), BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_log_next(bh_log_parser *p, const uint8_t *data, size_t len, bh_log_piece *out);

/* Whether the bytes so far end between records. */
static inline bool bh_log_at_boundary(const bh_log_parser *p)
{
	return !p->in_record && p->header_len == 0;
}

/* Appends `payload` as a record that begins at file offset `off`: the block trailer that is due there, then its fragments. Errors:
 * BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_log_append_record(uint64_t off, bh_view payload, bh_buf *out);

/* Fills in the CRC of a complete fragment, header included. */
void bh_log_fill_crc(uint8_t *fragment, size_t len);

#ifdef __cplusplus
}
#endif
#endif
