/* SPDX-License-Identifier: Apache-2.0
 *
 * forge.c: see forge.h.
 */
#include "forge.h"

#include <stdlib.h>

#include "tests/support/harness.h"

static void add(forged *f, const bh_frame_content *content)
{
	forged_frame *frame;

	f->frames = realloc(f->frames, (f->count + 1) * sizeof(*f->frames));
	test_check(f->frames != NULL);
	frame = &f->frames[f->count++];
	*frame = (forged_frame){ 0 };
	test_ok(bh_buf_append(&frame->part, content->part.data, content->part.len));
	test_ok(bh_buf_append(&frame->sections, content->sections.data, content->sections.len));
}

void forge_take(const bh_scopes *scopes, bh_view file, forged *out)
{
	bh_frame_content content = { 0 };
	bh_sync_mark mark;
	size_t off = BH_HEADER_LEN;

	*out = (forged){ 0 };
	memcpy(out->header, file.data, BH_HEADER_LEN);
	test_ok(bh_header_open(bh_view_of(file.data, BH_HEADER_LEN), scopes, &out->key));
	test_ok(bh_sync_mark_open(out->key.aead, file.data + BH_SYNC_MARK_OFFSET, &mark));
	out->mark_seq = mark.seq;
	out->synced = (size_t)mark.point.frames;
	while (off < file.len) {
		bh_view rest = bh_view_of(file.data + off, file.len - off);
		bh_frame_head head;

		test_check(bh_frame_head_read(out->key.header.kind, rest, &head));
		test_ok(bh_frame_open(out->key.aead, out->count, &head, rest, &content));
		add(out, &content);
		off += bh_frame_size(&head);
	}
	bh_buf_clear(&content.plain);
}

void forge_clear(forged *f)
{
	for (size_t i = 0; i < f->count; i++) {
		bh_buf_clear(&f->frames[i].part);
		bh_buf_clear(&f->frames[i].sections);
	}
	free(f->frames);
	bh_file_key_clear(&f->key);
	*f = (forged){ 0 };
}

bh_buf forge_make(const forged *f)
{
	bh_sync_mark mark = { .seq = f->mark_seq + 1,
			      .point = { .frames = BH_MIN(f->synced, f->count), .physical = BH_HEADER_LEN } };
	bh_buf out = { 0 };

	test_ok(bh_buf_append(&out, f->header, BH_HEADER_LEN));
	for (size_t i = 0; i < f->count; i++) {
		const forged_frame *frame = &f->frames[i];
		bh_frame_head head;

		test_ok(bh_frame_begin(frame->sections.len, frame->part.len, &out, &head));
		if (frame->sections.len > 0)
			memcpy(bh_frame_sections(&head, &out), frame->sections.data, frame->sections.len);
		test_ok(bh_frame_seal(f->key.aead, i, &head, frame->part.data, &out));
		if (i + 1 == mark.point.frames)
			mark.point.physical = out.len;
	}
	test_ok(bh_sync_mark_seal(f->key.aead, &mark, out.data + BH_SYNC_MARK_OFFSET));
	return out;
}

uint8_t *forge_structure(forged_frame *frame, size_t *len_out)
{
	size_t at = 1 + frame->part.data[0] * BH_ANNOUNCEMENT_LEN;

	*len_out = frame->part.len - at;
	return frame->part.data + at;
}

void forge_announce(forged_frame *frame, uint32_t cf_id, const uint8_t dek_id[BH_ID_LEN])
{
	bh_announcement a = { .cf_id = cf_id };

	memcpy(a.dek_id, dek_id, BH_ID_LEN);
	test_ok(bh_buf_reserve(&frame->part, BH_ANNOUNCEMENT_LEN));
	memmove(frame->part.data + 1 + BH_ANNOUNCEMENT_LEN, frame->part.data + 1, frame->part.len - 1);
	frame->part.len += BH_ANNOUNCEMENT_LEN;
	frame->part.data[0]++;
	bh_announcement_put(frame->part.data + 1, &a);
}

void forge_copy(forged_frame *to, const forged_frame *from)
{
	forged_frame copy = { 0 };

	test_ok(bh_buf_append(&copy.part, from->part.data, from->part.len));
	test_ok(bh_buf_append(&copy.sections, from->sections.data, from->sections.len));
	bh_buf_clear(&to->part);
	bh_buf_clear(&to->sections);
	*to = copy;
}

void forge_plain(forged_frame *frame, bh_view structure)
{
	frame->sections.len = 0;
	frame->part.len = 0;
	test_ok(bh_buf_append_u8(&frame->part, 0));
	test_ok(bh_buf_append(&frame->part, structure.data, structure.len));
}

/* ---- at a victim */

forged attack_take(const victim *v, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = victim_read(v, name);
	forged f;

	forge_take(victim_scopes(v), bh_buf_view(&file), &f);
	return f;
}

void attack_forged_bytes(const victim *v, const char *what, const char *name, bh_view bytes, attack_expect expect)
{
	attack a = attack_begin(v, what);

	a.may_detach = true;
	attack_put(&a, name, bytes);
	attack_open(&a);
	expect(&a);
}

void attack_forged(const victim *v, const char *what, const char *name, const forged *f, attack_expect expect)
{
	BH_CLEANUP(bh_buf_clear) bh_buf file = forge_make(f);

	attack_forged_bytes(v, what, name, bh_buf_view(&file), expect);
}
