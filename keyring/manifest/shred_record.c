/* SPDX-License-Identifier: Apache-2.0
 *
 * shred_record.c: see shred_record.h.
 */
#include "shred_record.h"

#include <stdlib.h>

static bool refuses(const bh_shred_probe *probe)
{
	return probe->at_ms != 0 && (probe->status == BH_E_KMS_REFUSED || probe->status == BH_E_NOT_FOUND);
}

static bool is_gone(const bh_shred_answer *answer, const bh_shred_probe *last)
{
	return answer->at_ms != 0 && answer->status == BH_OK && answer->state == BH_KMS_DESTROYED && refuses(last);
}

bool bh_shred_is_final(const bh_shred_record *record)
{
	return is_gone(&record->cmk, record->wrap.at_ms != 0 ? &record->wrap : &record->unwrap);
}

bool bh_former_cmk_is_gone(const bh_former_cmk *former)
{
	return is_gone(&former->answer, &former->wrap);
}

/* Text: blob16. A status is written as its name: numbers may move from release to release, names stay. */

static bh_status text_append(bh_buf *out, const char *text)
{
	return bh_buf_append_blob16(out, bh_view_str(text));
}

static bool text_read(bh_reader *r, char *out, size_t size)
{
	bh_view text = bh_read_blob16(r);

	if (!bh_reader_ok(r) || text.len >= size || (text.len > 0 && memchr(text.data, 0, text.len) != NULL))
		return false;
	memset(out, 0, size);
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	return true;
}

static bool status_read(bh_reader *r, bh_status *out)
{
	char name[32];

	if (!text_read(r, name, sizeof(name)))
		return false;
	for (bh_status status = BH_OK; status < BH_E_COUNT_; status++) {
		if (strcmp(bh_status_name(status), name) == 0) {
			*out = status;
			return true;
		}
	}
	return false;
}

/* Answer: i64 at, text status, u8 state, i64 destroyed at, i64 scheduled for, text request id, text message */

static bh_status answer_encode(const bh_shred_answer *answer, bh_buf *out)
{
	BH_TRY(bh_buf_append_u64(out, (uint64_t)answer->at_ms));
	BH_TRY(text_append(out, bh_status_name(answer->status)));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)answer->state));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)answer->destroyed_at_s));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)answer->scheduled_s));
	BH_TRY(text_append(out, answer->request_id));
	return text_append(out, answer->message);
}

static bool answer_read(bh_reader *r, bh_shred_answer *out)
{
	out->at_ms = (int64_t)bh_read_u64(r);
	if (!status_read(r, &out->status))
		return false;
	unsigned state = bh_read_u8(r);
	if (state > BH_KMS_PENDING_DELETION)
		return false;
	out->state = (bh_kms_key_state)state;
	out->destroyed_at_s = (int64_t)bh_read_u64(r);
	out->scheduled_s = (int64_t)bh_read_u64(r);
	return text_read(r, out->request_id, sizeof(out->request_id)) && text_read(r, out->message, sizeof(out->message));
}

/* Probe: i64 at, text status */

static bh_status probe_encode(const bh_shred_probe *probe, bh_buf *out)
{
	BH_TRY(bh_buf_append_u64(out, (uint64_t)probe->at_ms));
	return text_append(out, bh_status_name(probe->status));
}

static bool probe_read(bh_reader *r, bh_shred_probe *out)
{
	out->at_ms = (int64_t)bh_read_u64(r);
	return status_read(r, &out->status);
}

/* Former CMK: text URI, i64 left at (not 0), answer, probe (wrap) */

bh_status bh_former_cmk_encode(const bh_former_cmk *former, bh_buf *out)
{
	BH_TRY(text_append(out, former->uri));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)former->left_at_s));
	BH_TRY(answer_encode(&former->answer, out));
	return probe_encode(&former->wrap, out);
}

bh_status bh_former_cmk_decode(bh_reader *r, bh_former_cmk *out)
{
	bh_former_cmk former = { 0 };
	bool whole = text_read(r, former.uri, sizeof(former.uri));

	former.left_at_s = (int64_t)bh_read_u64(r);
	whole = whole && former.uri[0] != '\0' && former.left_at_s > 0 && answer_read(r, &former.answer) &&
		probe_read(r, &former.wrap) && bh_reader_ok(r);
	if (!whole)
		return bh_fail(BH_E_FORMAT,
			       "the record of a former CMK has the wrong form; another version of this program wrote it");
	*out = former;
	return BH_OK;
}

/* Shred: i64 asked at, i64 unreadable at, i64 destroyed at, u64 files, 32 digest of salts, answer, probe (unwrap), probe (wrap),
 * u8 issued (0 or 1) */

bh_status bh_shred_record_encode(const bh_shred_record *record, bh_buf *out)
{
	BH_TRY(bh_buf_append_u64(out, (uint64_t)record->asked_at_ms));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)record->unreadable_at_ms));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)record->destroyed_at_ms));
	BH_TRY(bh_buf_append_u64(out, record->file_count));
	BH_TRY(bh_buf_append(out, record->salts, sizeof(record->salts)));
	BH_TRY(answer_encode(&record->cmk, out));
	BH_TRY(probe_encode(&record->unwrap, out));
	BH_TRY(probe_encode(&record->wrap, out));
	return bh_buf_append_u8(out, record->issued ? 1 : 0);
}

static bool record_read(bh_reader *r, bh_shred_record *out)
{
	out->asked_at_ms = (int64_t)bh_read_u64(r);
	out->unreadable_at_ms = (int64_t)bh_read_u64(r);
	out->destroyed_at_ms = (int64_t)bh_read_u64(r);
	out->file_count = bh_read_u64(r);
	bh_view salts = bh_read_bytes(r, sizeof(out->salts));
	if (!bh_reader_ok(r))
		return false;
	memcpy(out->salts, salts.data, sizeof(out->salts));
	if (!answer_read(r, &out->cmk) || !probe_read(r, &out->unwrap) || !probe_read(r, &out->wrap))
		return false;
	unsigned issued = bh_read_u8(r);
	out->issued = issued == 1;
	return bh_reader_ok(r) && issued <= 1 && out->asked_at_ms != 0;
}

bh_status bh_shred_record_decode(bh_reader *r, bh_shred_record *out)
{
	bh_shred_record record = { 0 };

	if (!record_read(r, &record))
		return bh_fail(BH_E_FORMAT, "the record of a shred has the wrong form; another version of this program wrote it");
	*out = record;
	return BH_OK;
}
