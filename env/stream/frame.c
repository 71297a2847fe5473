/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.c: see frame.h.
 */
#include "frame.h"

#define COUNT_LEN 2u /* of the number of announcements */
#define PLAIN_MIN (COUNT_LEN + 1)
#define PLAIN_MAX (COUNT_LEN + BH_FRAME_ANNOUNCEMENTS_MAX * BH_ANNOUNCEMENT_LEN + BH_FRAME_MAX)

/* ---- frame: u32 length, then sealed: u16 count, count x { u32 cf id, 16 DEK id }, data; then the tag. */

static uint8_t *put_announcement(uint8_t *p, const bh_announcement *a)
{
	bh_put_u32(p, a->cf_id);
	memcpy(p + 4, a->dek_id, BH_ID_LEN);
	return p + BH_ANNOUNCEMENT_LEN;
}

static void put_plain(uint8_t *p, const bh_frame *frame)
{
	bh_put_u16(p, (uint16_t)frame->count);
	p += COUNT_LEN;
	for (size_t i = 0; i < frame->count; i++)
		p = put_announcement(p, &frame->announcements[i]);
	if (frame->data.len > 0)
		memcpy(p, frame->data.data, frame->data.len);
}

/* Built and sealed in place: one copy of the data. */
bh_status bh_frame_seal(const bh_aead *aead, uint64_t number, const bh_frame *frame, bh_buf *out)
{
	size_t len = COUNT_LEN + frame->count * BH_ANNOUNCEMENT_LEN + frame->data.len;
	uint8_t nonce[BH_NONCE_LEN];
	uint8_t *head, *plain;
	bh_status status;

	BH_TRY(bh_buf_reserve(out, BH_FRAME_HEAD_LEN + len + BH_TAG_LEN));
	head = out->data + out->len;
	plain = head + BH_FRAME_HEAD_LEN;
	bh_put_u32(head, (uint32_t)len);
	put_plain(plain, frame);
	bh_nonce(BH_NONCE_UNIT, number, nonce);
	status = bh_aead_seal(aead, nonce, bh_view_of(head, BH_FRAME_HEAD_LEN), plain, len, plain, plain + len);
	if (status != BH_OK) {
		bh_wipe(plain, len);
		return status;
	}
	out->len += BH_FRAME_HEAD_LEN + len + BH_TAG_LEN;
	return BH_OK;
}

size_t bh_frame_size(const uint8_t head[BH_FRAME_HEAD_LEN])
{
	uint32_t len = bh_get_u32(head);

	return len < PLAIN_MIN || len > PLAIN_MAX ? 0 : BH_FRAME_HEAD_LEN + (size_t)len + BH_TAG_LEN;
}

bh_status bh_frame_open(const bh_aead *aead, uint64_t number, bh_view bytes, bh_frame_content *out)
{
	const uint8_t *sealed = bytes.data + BH_FRAME_HEAD_LEN;
	size_t len = bytes.len - BH_FRAME_HEAD_LEN - BH_TAG_LEN, announced;
	uint8_t nonce[BH_NONCE_LEN];

	out->plain.len = 0;
	BH_TRY(bh_buf_reserve(&out->plain, len));
	bh_nonce(BH_NONCE_UNIT, number, nonce);
	BH_TRY(bh_aead_open(aead, nonce, bh_view_of(bytes.data, BH_FRAME_HEAD_LEN), sealed, len, sealed + len, out->plain.data));
	out->plain.len = len;

	announced = (size_t)bh_get_u16(out->plain.data) * BH_ANNOUNCEMENT_LEN;
	if (announced > len - COUNT_LEN || len - COUNT_LEN - announced > BH_FRAME_MAX)
		return bh_fail(BH_E_FORMAT, "frame %llu announces %zu bytes of keys and has %zu bytes", (unsigned long long)number,
			       announced, len);
	out->announcements = bh_view_of(out->plain.data + COUNT_LEN, announced);
	out->data = bh_view_of(out->plain.data + COUNT_LEN + announced, len - COUNT_LEN - announced);
	return BH_OK;
}

bh_announcement bh_frame_announcement(const bh_frame_content *content, size_t idx)
{
	const uint8_t *p = content->announcements.data + idx * BH_ANNOUNCEMENT_LEN;
	bh_announcement a = { .cf_id = bh_get_u32(p) };

	memcpy(a.dek_id, p + 4, BH_ID_LEN);
	return a;
}

/* ---- sync mark: u64 sequence, u64 frames, u64 physical size, tag over these. */

#define MARK_FIELDS_LEN (BH_SYNC_MARK_LEN - BH_TAG_LEN)

bh_status bh_sync_mark_seal(const bh_aead *aead, const bh_sync_mark *mark, uint8_t out[BH_SYNC_MARK_LEN])
{
	uint8_t bytes[BH_SYNC_MARK_LEN], nonce[BH_NONCE_LEN];

	bh_put_u64(bytes, mark->seq);
	bh_put_u64(bytes + 8, mark->point.frames);
	bh_put_u64(bytes + 16, mark->point.physical);
	bh_nonce(BH_NONCE_SYNC, mark->seq, nonce);
	BH_TRY(bh_aead_seal(aead, nonce, bh_view_of(bytes, MARK_FIELDS_LEN), NULL, 0, NULL, bytes + MARK_FIELDS_LEN));
	memcpy(out, bytes, BH_SYNC_MARK_LEN);
	return BH_OK;
}

bh_status bh_sync_mark_open(const bh_aead *aead, const uint8_t bytes[BH_SYNC_MARK_LEN], bh_sync_mark *out)
{
	bh_sync_mark mark = {
		.seq = bh_get_u64(bytes),
		.point = { .frames = bh_get_u64(bytes + 8), .physical = bh_get_u64(bytes + 16) },
	};
	uint8_t nonce[BH_NONCE_LEN];
	bh_status status;

	bh_nonce(BH_NONCE_SYNC, mark.seq, nonce);
	status = bh_aead_open(aead, nonce, bh_view_of(bytes, MARK_FIELDS_LEN), NULL, 0, bytes + MARK_FIELDS_LEN, NULL);
	if (status != BH_OK)
		return bh_fail_prefix(status, "sync mark");
	if (mark.point.physical < BH_HEADER_LEN || (mark.point.frames == 0) != (mark.point.physical == BH_HEADER_LEN))
		return bh_fail(BH_E_FORMAT, "sync mark of %llu frames in %llu bytes", (unsigned long long)mark.point.frames,
			       (unsigned long long)mark.point.physical);
	*out = mark;
	return BH_OK;
}
