/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.c: see wire.h. Encode and decode stand side by side.
 */
#include "wire.h"

#define MAGIC_LEN 4
#define WIRE_VERSION 1

static const char request_magic[MAGIC_LEN + 1] = "BHKQ";
static const char answer_magic[MAGIC_LEN + 1] = "BHKA";

const char *bh_agent_command_name(bh_agent_command command)
{
	switch (command) {
	case BH_AGENT_OPEN: return "open";
	case BH_AGENT_DESCRIBE: return "describe";
	case BH_AGENT_WRAP: return "wrap";
	case BH_AGENT_UNWRAP: return "unwrap";
	case BH_AGENT_DESTROY: return "destroy";
	}
	return "unknown";
}

/* Outcomes have numbers of their own: those of bh_status may move from build to build. */
static const struct {
	uint8_t code;
	bh_status status;
} outcomes[] = {
	{ 0, BH_OK },       { 1, BH_E_KMS_REFUSED }, { 2, BH_E_NOT_FOUND },      { 3, BH_E_KMS_UNREACHABLE },
	{ 4, BH_E_TAG },    { 5, BH_E_FORMAT },      { 6, BH_E_VERSION },        { 7, BH_E_INVALID },
	{ 8, BH_E_REGION }, { 9, BH_E_TRUNCATED },   { 10, BH_E_KMS_THROTTLED }, { 11, BH_E_KMS_SEALED },
};
#define OUTCOME_COUNT (sizeof(outcomes) / sizeof(outcomes[0]))

static size_t outcome_find(bh_status status)
{
	size_t i = 0;

	while (i < OUTCOME_COUNT && outcomes[i].status != status)
		i++;
	return i;
}

bh_status bh_agent_outcome(bh_status status)
{
	return outcome_find(status) < OUTCOME_COUNT ? status : BH_E_KMS_UNREACHABLE;
}

/* A sticky writer into a secret: too much for it shows at the end, once. */

typedef struct writer {
	bh_secret frame;
	size_t len;
	bool failed;
} writer;

static void writer_clear(writer *w)
{
	bh_secret_clear(&w->frame);
}

static void write_bytes(writer *w, const void *data, size_t len)
{
	w->failed = w->failed || len > w->frame.len - w->len;
	if (w->failed || len == 0)
		return;
	memcpy(w->frame.data + w->len, data, len);
	w->len += len;
}

static void write_u8(writer *w, uint8_t v)
{
	write_bytes(w, &v, 1);
}

static void write_u32(writer *w, uint32_t v)
{
	uint8_t bytes[4];

	bh_put_u32(bytes, v);
	write_bytes(w, bytes, sizeof(bytes));
}

static void write_u64(writer *w, uint64_t v)
{
	uint8_t bytes[8];

	bh_put_u64(bytes, v);
	write_bytes(w, bytes, sizeof(bytes));
}

/* u16 length, then the bytes, at most `max`. */
static void write_blob(writer *w, bh_view v, size_t max)
{
	uint8_t len[2];

	w->failed = w->failed || v.len > max;
	bh_put_u16(len, (uint16_t)v.len);
	write_bytes(w, len, sizeof(len));
	write_bytes(w, v.data, v.len);
}

static void write_text(writer *w, const char *text, size_t max)
{
	write_blob(w, bh_view_str(text), max);
}

static bh_status writer_begin(writer *w)
{
	BH_TRY(bh_secret_init(&w->frame, BH_AGENT_LENGTH_SIZE + BH_AGENT_BODY_MAX));
	w->len = BH_AGENT_LENGTH_SIZE;
	return BH_OK;
}

static bh_status writer_end(writer *w, bh_secret *out)
{
	if (w->failed)
		return bh_fail(BH_E_INVALID, "KMS agent: a key name, wrap or context is longer than its protocol takes");
	bh_put_u32(w->frame.data, (uint32_t)(w->len - BH_AGENT_LENGTH_SIZE));
	*out = bh_secret_take(&w->frame);
	return BH_OK;
}

/* Text: no NUL and no other control character, since it ends up in messages. */
static void read_text(bh_reader *r, char *out, size_t max)
{
	bh_view text = bh_read_blob16(r);

	r->failed = r->failed || text.len > max;
	for (size_t i = 0; i < text.len && !r->failed; i++)
		r->failed = text.data[i] < 0x20 || text.data[i] == 0x7f;
	if (r->failed)
		return;
	if (text.len > 0)
		memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

static bh_view read_blob(bh_reader *r, size_t min, size_t max)
{
	bh_view blob = bh_read_blob16(r);

	r->failed = r->failed || blob.len < min || blob.len > max;
	return blob;
}

/* Head: magic, u16 version, u8 command, u8 zero, 16 id, text key */

static void head_write(writer *w, const char *magic, bh_agent_command command, const uint8_t *id, const char *key)
{
	uint8_t version[2];

	bh_put_u16(version, WIRE_VERSION);
	write_bytes(w, magic, MAGIC_LEN);
	write_bytes(w, version, sizeof(version));
	write_u8(w, (uint8_t)command);
	write_u8(w, 0);
	write_bytes(w, id, BH_AGENT_REQUEST_ID_LEN);
	write_text(w, key, BH_NAME_MAX);
}

static bh_status head_read(bh_reader *r, const char *magic, bh_agent_command *command, uint8_t *id, char *key)
{
	bh_view start = bh_read_bytes(r, MAGIC_LEN);
	uint16_t version = bh_read_u16(r);

	if (!bh_reader_ok(r) || memcmp(start.data, magic, MAGIC_LEN) != 0)
		return bh_fail(BH_E_FORMAT, "KMS agent: what came is not of its protocol");
	if (version != WIRE_VERSION)
		return bh_fail(BH_E_VERSION, "KMS agent: protocol of version %u; this build knows %d", version, WIRE_VERSION);
	uint8_t code = bh_read_u8(r);
	r->failed = r->failed || code < BH_AGENT_OPEN || code > BH_AGENT_DESTROY;
	r->failed = bh_read_u8(r) != 0 || r->failed;
	bh_view bytes = bh_read_bytes(r, BH_AGENT_REQUEST_ID_LEN);
	read_text(r, key, BH_NAME_MAX);
	if (!bh_reader_ok(r))
		return bh_fail(BH_E_FORMAT, "KMS agent: the head of what came is malformed");
	*command = (bh_agent_command)code;
	memcpy(id, bytes.data, BH_AGENT_REQUEST_ID_LEN);
	return BH_OK;
}

/* Request: head, blob payload, blob context */

bh_status bh_agent_request_encode(const bh_agent_request *request, bh_secret *out)
{
	BH_CLEANUP(writer_clear) writer w = { 0 };

	BH_TRY(writer_begin(&w));
	head_write(&w, request_magic, request->command, request->id, request->key);
	write_blob(&w, request->payload, BH_KMS_WRAPPED_MAX);
	write_blob(&w, request->context, BH_AGENT_CONTEXT_MAX);
	return writer_end(&w, out);
}

bh_status bh_agent_request_decode(bh_view body, bh_agent_request *out)
{
	bh_agent_request request = { 0 };
	bh_reader r = bh_reader_of(body);

	BH_TRY(head_read(&r, request_magic, &request.command, request.id, request.key));
	bool wrap = request.command == BH_AGENT_WRAP, has_bytes = wrap || request.command == BH_AGENT_UNWRAP;
	size_t most = wrap ? BH_DEK_LEN : BH_KMS_WRAPPED_MAX;
	request.payload = read_blob(&r, wrap ? BH_DEK_LEN : 0, has_bytes ? most : 0);
	request.context = read_blob(&r, 0, has_bytes ? BH_AGENT_CONTEXT_MAX : 0);
	if (!bh_reader_done(&r))
		return bh_fail(BH_E_FORMAT, "KMS agent: malformed request (%s)", bh_agent_command_name(request.command));
	*out = request;
	return BH_OK;
}

/* What an answer holds, by command */

static void info_write(writer *w, const bh_kms_key_info *info)
{
	write_text(w, info->region, BH_NAME_MAX);
	write_u8(w, (uint8_t)info->state);
	write_u32(w, info->version);
	write_u64(w, (uint64_t)info->created_at_s);
	write_u64(w, (uint64_t)info->changed_at_s);
	write_u32(w, info->deletion_window_s);
	write_u64(w, (uint64_t)info->scheduled_s);
	write_text(w, info->request_id, BH_KMS_REQUEST_ID_SIZE - 1);
}

static bh_kms_key_state read_state(bh_reader *r)
{
	uint8_t state = bh_read_u8(r);

	r->failed = r->failed || state < BH_KMS_ENABLED || state > BH_KMS_PENDING_DELETION;
	return r->failed ? BH_KMS_DESTROYED : (bh_kms_key_state)state;
}

static void info_read(bh_reader *r, bh_kms_key_info *out)
{
	read_text(r, out->region, BH_NAME_MAX);
	out->state = read_state(r);
	out->version = bh_read_u32(r);
	out->created_at_s = (int64_t)bh_read_u64(r);
	out->changed_at_s = (int64_t)bh_read_u64(r);
	out->deletion_window_s = bh_read_u32(r);
	out->scheduled_s = (int64_t)bh_read_u64(r);
	read_text(r, out->request_id, BH_KMS_REQUEST_ID_SIZE - 1);
	r->failed = r->failed || out->version == 0;
}

static void evidence_write(writer *w, const bh_kms_evidence *evidence)
{
	write_u8(w, (uint8_t)evidence->state);
	write_u64(w, (uint64_t)evidence->at_s);
	write_u64(w, (uint64_t)evidence->scheduled_s);
	write_text(w, evidence->request_id, BH_KMS_REQUEST_ID_SIZE - 1);
}

static void evidence_read(bh_reader *r, bh_kms_evidence *out)
{
	out->state = read_state(r);
	out->at_s = (int64_t)bh_read_u64(r);
	out->scheduled_s = (int64_t)bh_read_u64(r);
	read_text(r, out->request_id, BH_KMS_REQUEST_ID_SIZE - 1);
}

static void result_write(writer *w, const bh_agent_answer *answer)
{
	switch (answer->command) {
	case BH_AGENT_OPEN: break;
	case BH_AGENT_DESCRIBE: info_write(w, &answer->info); break;
	case BH_AGENT_WRAP:
		write_u32(w, answer->version);
		write_blob(w, answer->payload, BH_KMS_WRAPPED_MAX);
		break;
	case BH_AGENT_UNWRAP: write_blob(w, answer->payload, BH_DEK_LEN); break;
	case BH_AGENT_DESTROY: evidence_write(w, &answer->evidence); break;
	}
}

static void result_read(bh_reader *r, bh_agent_answer *out)
{
	switch (out->command) {
	case BH_AGENT_OPEN: break;
	case BH_AGENT_DESCRIBE: info_read(r, &out->info); break;
	case BH_AGENT_WRAP:
		out->version = bh_read_u32(r);
		out->payload = read_blob(r, 1, BH_KMS_WRAPPED_MAX);
		break;
	case BH_AGENT_UNWRAP: out->payload = read_blob(r, BH_DEK_LEN, BH_DEK_LEN); break;
	case BH_AGENT_DESTROY: evidence_read(r, &out->evidence); break;
	}
}

/* Answer: head, u8 outcome, then the result, or, where it is not "done", the message as text */

static void message_write(writer *w, const char *message)
{
	char cut[BH_AGENT_MESSAGE_MAX + 1];
	size_t len = strnlen(message, BH_AGENT_MESSAGE_MAX);

	for (size_t i = 0; i < len; i++)
		cut[i] = (unsigned char)message[i] < 0x20 || message[i] == 0x7f ? '?' : message[i];
	write_blob(w, bh_view_of(cut, len), BH_AGENT_MESSAGE_MAX);
}

bh_status bh_agent_answer_encode(const bh_agent_answer *answer, bh_secret *out)
{
	BH_CLEANUP(writer_clear) writer w = { 0 };
	bh_status outcome = bh_agent_outcome(answer->outcome);

	BH_TRY(writer_begin(&w));
	head_write(&w, answer_magic, answer->command, answer->id, answer->key);
	write_u8(&w, outcomes[outcome_find(outcome)].code);
	if (outcome == BH_OK)
		result_write(&w, answer);
	else
		message_write(&w, answer->message);
	return writer_end(&w, out);
}

bh_status bh_agent_answer_decode(bh_view body, bh_agent_answer *out)
{
	bh_agent_answer answer = { 0 };
	bh_reader r = bh_reader_of(body);

	BH_TRY(head_read(&r, answer_magic, &answer.command, answer.id, answer.key));
	uint8_t code = bh_read_u8(&r);
	if (!bh_reader_ok(&r) || code >= OUTCOME_COUNT)
		return bh_fail(BH_E_FORMAT, "KMS agent: answer with an outcome it does not have");
	answer.outcome = outcomes[code].status;
	if (answer.outcome == BH_OK)
		result_read(&r, &answer);
	else
		read_text(&r, answer.message, BH_AGENT_MESSAGE_MAX);
	if (!bh_reader_done(&r))
		return bh_fail(BH_E_FORMAT, "KMS agent: malformed answer (%s)", bh_agent_command_name(answer.command));
	memcpy(answer.info.name, answer.key, sizeof(answer.key));
	*out = answer;
	return BH_OK;
}

bh_view bh_agent_frame_view(const bh_secret *frame)
{
	return bh_view_of(frame->data, BH_AGENT_LENGTH_SIZE + bh_get_u32(frame->data));
}

bh_status bh_agent_length_decode(const uint8_t *frame, size_t *len_out)
{
	uint32_t len = bh_get_u32(frame);

	if (len == 0 || len > BH_AGENT_BODY_MAX)
		return bh_fail(BH_E_FORMAT, "KMS agent: a frame of %u bytes; %d are the most", len, BH_AGENT_BODY_MAX);
	*len_out = len;
	return BH_OK;
}
