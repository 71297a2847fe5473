/* SPDX-License-Identifier: Apache-2.0
 *
 * records.h: the records of a WAL or MANIFEST, put together out of its logical bytes (logfmt.h has the format).
 *
 * Thread-safety: none.
 */
#ifndef BH_RECORDS_H
#define BH_RECORDS_H

#include "env/spans/logfmt.h"

typedef struct bh_record {
	uint64_t number;
	uint64_t off; /* logical offset of its first header */
	bh_view payload;
} bh_record;

typedef struct bh_records {
	bh_log_parser log;
	bh_buf payload;      /* of the record under way */
	uint64_t off;        /* logical offset of the next byte */
	uint64_t record_off; /* of the record under way */
	uint64_t count;      /* whole records */
} bh_records;
void bh_records_clear(bh_records *r);

/* Takes the next bytes in; calls `each` for every record that is whole with them. Errors: those of the parser and of `each`. */
BH_MUST_CHECK bh_status bh_records_feed(bh_records *r, bh_view data, bh_status (*each)(void *arg, const bh_record *rec), void *arg);

#endif
