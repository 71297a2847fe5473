/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_spans.c: the span codec over arbitrary logs, sealed and opened in pieces.
 *
 * Byte 0 of the input: bit 0 MANIFEST, bit 1 the rest is records of two bytes of length (else a log as it is), bits 2 to 4 one
 * family's DEK is not available, bit 5 it is detached. Byte 1: the size of the pieces. What can be sealed must open to what it was,
 * up to a torn end.
 */
#include "tests/env/spans/span_fixture.h"

static void make_log(const uint8_t *data, size_t len, bool records, bh_buf *log)
{
	while (records && len >= 2) {
		size_t n = BH_MIN((size_t)bh_get_u16(data), len - 2);

		ok(bh_log_append_record(log->len, bh_view_of(data + 2, n), log));
		data += 2 + n;
		len -= 2 + n;
	}
	put_bytes(log, data, len);
	fill_crcs(log->data, log->len);
}

/* Opens arbitrary bytes as frames, of structure and as long sections: any status will do. */
static void open_hostile(fixture *f, bh_file_kind kind, const bh_buf *log, split by)
{
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	BH_CLEANUP(sealed_clear) sealed s = { 0 };

	for (size_t at = 0; at < log->len;) {
		size_t n = next_piece(by, at, log->len), structure = (n + 1) / 2;
		sealed_frame *frame = add_frame(&s, bh_view_of("\3", 1));

		for (uint32_t cf = 1; cf <= 3; cf++) {
			uint8_t bytes[BH_ANNOUNCEMENT_LEN];
			bh_announcement a = { .cf_id = cf };

			fixture_dek_id(cf, 0, a.dek_id);
			bh_announcement_put(bytes, &a);
			put_bytes(&frame->plain, bytes, sizeof(bytes));
		}
		put_bytes(&frame->plain, log->data + at, structure);
		put_bytes(&frame->sections, log->data + at + structure, n - structure);
		at += n;
	}
	(void)open_sealed(f, kind, &s, &opened);
}

static void round_trip(fixture *f, bh_file_kind kind, bh_buf *log, split by)
{
	BH_CLEANUP(sealed_clear) sealed s = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf opened = { 0 };
	fixture all;

	fixture_init(&all);
	if (seal(f, kind, bh_buf_view(log), by, &s) != BH_OK)
		return;
	ok(open_sealed(&all, kind, &s, &opened));
	/* A WAL may end in a CRC, which is in no frame. */
	if (opened.len > log->len || (kind == BH_KIND_WAL && log->len - opened.len > BH_LOG_CRC))
		abort();
	strip_crcs(log->data, opened.len);
	strip_crcs(opened.data, opened.len);
	if (opened.len > 0 && memcmp(log->data, opened.data, opened.len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	bh_file_kind kind;
	fixture f;
	split by;

	if (len < 2)
		return 0;
	fixture_init(&f);
	kind = data[0] & 1 ? BH_KIND_MANIFEST : BH_KIND_WAL;
	f.unavailable[data[0] >> 2 & 7] = BH_E_NO_KEY;
	f.detached[data[0] >> 2 & 7] = data[0] >> 5 & 1;
	by = (split){ 0, data[1] };
	make_log(data + 2, len - 2, data[0] & 2, &log);
	open_hostile(&f, kind, &log, by);
	round_trip(&f, kind, &log, by);
	return 0;
}
