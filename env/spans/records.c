/* SPDX-License-Identifier: Apache-2.0
 *
 * records.c: see records.h.
 */
#include "env/spans/records.h"

void bh_records_clear(bh_records *r)
{
	bh_wipe(r->payload.data, r->payload.len);
	bh_buf_clear(&r->payload);
	*r = (bh_records){ 0 };
}

bh_status bh_records_feed(bh_records *r, bh_view data, bh_status (*each)(void *arg, const bh_record *rec), void *arg)
{
	while (data.len > 0) {
		bh_log_piece piece;

		BH_TRY(bh_log_next(&r->log, data.data, data.len, &piece));
		if (piece.what == BH_LOG_IS_HEADER && piece.record_begin) {
			r->payload.len = 0;
			r->record_off = r->off + piece.len - BH_LOG_HEADER;
		}
		if (piece.what == BH_LOG_IS_PAYLOAD)
			BH_TRY(bh_buf_append(&r->payload, data.data, piece.len));
		r->off += piece.len;
		data = bh_view_of(data.data + piece.len, data.len - piece.len);
		if (piece.record_end) {
			bh_record rec = { r->count++, r->record_off, bh_buf_view(&r->payload) };

			BH_TRY(each(arg, &rec));
		}
	}
	return BH_OK;
}
