/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.c: see frame.h.
 */
#include "frame.h"

#define COUNT_LEN 1u /* of the number of announcements */
#define VARINT_MAX 5u

void bh_announcement_put(uint8_t out[BH_ANNOUNCEMENT_LEN], const bh_announcement *a)
{
	bh_put_u32(out, a->cf_id);
	memcpy(out + 4, a->dek_id, BH_ID_LEN);
}

/* ---- the head: varint part, varint sections */

static size_t put_varint(uint8_t *p, size_t value)
{
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		p[len++] = (uint8_t)(value | 0x80);
	p[len++] = (uint8_t)value;
	return len;
}

/* Returns its bytes; 0: there is none, or it is longer than it has to be. */
static size_t get_varint(bh_view bytes, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < BH_MIN(bytes.len, (size_t)VARINT_MAX); i++) {
		value |= (uint64_t)(bytes.data[i] & 0x7f) << (7 * i);
		if (bytes.data[i] & 0x80)
			continue;
		if (i > 0 && bytes.data[i] == 0)
			return 0;
		*out = value;
		return i + 1;
	}
	return 0;
}

static size_t part_max(bh_file_kind kind)
{
	switch (kind) {
	case BH_KIND_WAL: return COUNT_LEN + BH_FRAME_FAMILIES_MAX * BH_ANNOUNCEMENT_LEN + BH_FRAME_MAX;
	case BH_KIND_MANIFEST: return COUNT_LEN + BH_ANNOUNCEMENT_LEN + (size_t)BH_RECORD_MAX;
	default: return COUNT_LEN + BH_FRAME_MAX;
	}
}

static size_t sections_max(bh_file_kind kind)
{
	switch (kind) {
	case BH_KIND_WAL: return BH_FRAME_FAMILIES_MAX * BH_TAG_LEN + BH_FRAME_MAX;
	case BH_KIND_MANIFEST: return BH_TAG_LEN + (size_t)BH_RECORD_MAX;
	default: return 0;
	}
}

bool bh_frame_head_read(bh_file_kind kind, bh_view bytes, bh_frame_head *out)
{
	uint64_t part, sections;
	size_t first = get_varint(bytes, &part), second;

	if (first == 0 || part < COUNT_LEN || part > part_max(kind))
		return false;
	second = get_varint(bh_view_of(bytes.data + first, bytes.len - first), &sections);
	if (second == 0 || sections > sections_max(kind))
		return false;
	*out = (bh_frame_head){ .len = first + second, .sections = (size_t)sections, .part = (size_t)part };
	return true;
}

/* ---- frame: head, sections, platform's part: u8 count, count x { u32 cf id, 16 DEK id }, structure; then the tag. */

bh_status bh_frame_begin(size_t sections, size_t part, bh_buf *out, bh_frame_head *head_out)
{
	uint8_t head[BH_FRAME_HEAD_MAX];
	size_t len = put_varint(head, part);

	len += put_varint(head + len, sections);
	BH_TRY(bh_buf_reserve(out, len + sections + part + BH_TAG_LEN));
	memcpy(out->data + out->len, head, len);
	*head_out = (bh_frame_head){ .len = len, .sections = sections, .part = part };
	return BH_OK;
}

void bh_frame_drop(const bh_frame_head *head, bh_buf *out)
{
	bh_wipe(out->data + out->len, bh_frame_size(head));
}

bh_status bh_frame_seal(const bh_aead *aead, uint64_t number, const bh_frame_head *head, const uint8_t *part, bh_buf *out)
{
	uint8_t *begin = out->data + out->len, *place = bh_frame_part(head, out);
	uint8_t nonce[BH_NONCE_LEN];
	bh_status status;

	bh_nonce(BH_NONCE_UNIT, number, nonce);
	status = bh_aead_seal(aead, nonce, bh_view_of(begin, head->len + head->sections), part, head->part, place,
			      place + head->part);
	if (status != BH_OK) {
		bh_frame_drop(head, out);
		return status;
	}
	out->len += bh_frame_size(head);
	return BH_OK;
}

bh_status bh_frame_open(const bh_aead *aead, uint64_t number, const bh_frame_head *head, bh_view bytes, bh_frame_content *out)
{
	const bh_view aad = bh_view_of(bytes.data, head->len + head->sections);
	const uint8_t *sealed = bytes.data + aad.len;
	uint8_t nonce[BH_NONCE_LEN];
	uint8_t *part;
	size_t announced;

	out->plain.len = 0;
	BH_TRY(bh_buf_reserve(&out->plain, BH_FRAME_ROOM + head->part));
	part = out->plain.data + BH_FRAME_ROOM;
	bh_nonce(BH_NONCE_UNIT, number, nonce);
	BH_TRY(bh_aead_open(aead, nonce, aad, sealed, head->part, sealed + head->part, part));
	out->plain.len = BH_FRAME_ROOM + head->part;

	announced = (size_t)part[0] * BH_ANNOUNCEMENT_LEN;
	if (part[0] > BH_FRAME_FAMILIES_MAX || announced > head->part - COUNT_LEN)
		return bh_fail(BH_E_FORMAT, "announces %zu bytes of keys in %zu bytes", announced, head->part);
	out->part = bh_view_of(part, head->part);
	out->announcements = bh_view_of(part + COUNT_LEN, announced);
	out->structure = bh_view_of(part + COUNT_LEN + announced, head->part - COUNT_LEN - announced);
	out->sections = bh_view_of(bytes.data + head->len, head->sections);
	return BH_OK;
}

size_t bh_frame_announcement_count(const bh_frame_content *content)
{
	return content->announcements.len / BH_ANNOUNCEMENT_LEN;
}

bh_announcement bh_frame_announcement(const bh_frame_content *content, size_t idx)
{
	const uint8_t *p = content->announcements.data + idx * BH_ANNOUNCEMENT_LEN;
	bh_announcement a = { .cf_id = bh_get_u32(p) };

	memcpy(a.dek_id, p + 4, BH_ID_LEN);
	return a;
}

/* ---- sync mark: u64 sequence, u64 frames, u64 physical size, u64 sequence of KEYRING's mark, tag over these. */

#define MARK_FIELDS_LEN (BH_SYNC_MARK_LEN - BH_TAG_LEN)

bh_status bh_sync_mark_seal(const bh_aead *aead, const bh_sync_mark *mark, uint8_t out[BH_SYNC_MARK_LEN])
{
	uint8_t bytes[BH_SYNC_MARK_LEN], nonce[BH_NONCE_LEN];

	bh_put_u64(bytes, mark->seq);
	bh_put_u64(bytes + 8, mark->point.frames);
	bh_put_u64(bytes + 16, mark->point.physical);
	bh_put_u64(bytes + 24, mark->keyring);
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
		.keyring = bh_get_u64(bytes + 24),
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
