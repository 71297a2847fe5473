/* SPDX-License-Identifier: Apache-2.0
 *
 * format.c: see format.h.
 */
#include "format.h"
#include "keyring/crypto/sign.h"
#include "keyring/kms/provider/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HASH_HEX_LEN (2 * (size_t)BH_SHA256_LEN)

/* Time */

void bh_audit_time_format(int64_t at_ms, char out[BH_AUDIT_TIME_SIZE])
{
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;
	char text[24] = "";

	if (at_ms < 0 || gmtime_r(&at, &tm) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) != 19) {
		memcpy(text, "1970-01-01T00:00:00", 20);
		at_ms = 0;
	}
	snprintf(out, BH_AUDIT_TIME_SIZE, "%s.%03dZ", text, (int)(at_ms % 1000));
}

static bool is_digits(const char *text, const char *shape)
{
	for (; *shape != '\0'; shape++, text++)
		if (*shape == '0' ? *text < '0' || *text > '9' : *text != *shape)
			return false;
	return true;
}

static int number(const char *text, int digits)
{
	int n = 0;

	while (digits-- > 0)
		n = 10 * n + (*text++ - '0');
	return n;
}

bh_status bh_audit_time_parse(bh_view text, int64_t *at_ms_out)
{
	static const char shape[] = "0000-00-00T00:00:00.000Z";
	char t[sizeof(shape)] = "", again[BH_AUDIT_TIME_SIZE];

	if (text.len == sizeof(shape) - 1)
		memcpy(t, text.data, text.len);
	if (!is_digits(t, shape))
		return bh_fail(BH_E_FORMAT, "a time that is not written as 2026-01-31T12:00:00.000Z");
	struct tm tm = { .tm_year = number(t, 4) - 1900,
			 .tm_mon = number(t + 5, 2) - 1,
			 .tm_mday = number(t + 8, 2),
			 .tm_hour = number(t + 11, 2),
			 .tm_min = number(t + 14, 2),
			 .tm_sec = number(t + 17, 2) };
	int64_t at_ms = (int64_t)timegm(&tm) * 1000 + number(t + 20, 3);
	bh_audit_time_format(at_ms, again);
	if (strcmp(t, again) != 0)
		return bh_fail(BH_E_FORMAT, "'%s': there is no such time", t);
	*at_ms_out = at_ms;
	return BH_OK;
}

/* Floors */

void bh_audit_floor_format(const bh_audit_position *position, char out[BH_AUDIT_FLOOR_SIZE])
{
	char root[HASH_HEX_LEN + 1];

	bh_hex(position->root, BH_SHA256_LEN, root);
	snprintf(out, BH_AUDIT_FLOOR_SIZE, "%llu:%s", (unsigned long long)position->size, root);
}

bh_status bh_audit_floor_parse(const char *text, bh_audit_position *out)
{
	const char *colon = strchr(text, ':');
	bh_audit_position position = { 0 };
	char *end = NULL;

	errno = 0;
	position.size = strtoull(text, &end, 10);
	if (colon == NULL || end != colon || errno != 0 || text[0] < '1' || text[0] > '9' ||
	    bh_unhex(colon + 1, position.root, BH_SHA256_LEN) != BH_OK)
		return bh_fail(BH_E_INVALID, "'%.100s': a floor is written SIZE:ROOT, a number and 64 hex digits", text);
	*out = position;
	return BH_OK;
}

/* Texts: JSON strings, RFC 8259, in UTF-8. */

/* Bytes of the UTF-8 character (RFC 3629) at the front of `text`; 0: there is none. */
static size_t utf8_len(bh_view text)
{
	static const struct {
		uint8_t lead_min, lead_max, second_min, second_max, len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const uint8_t *p = text.data;

	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (p[0] < forms[i].lead_min || p[0] > forms[i].lead_max)
			continue;
		bool whole = text.len >= forms[i].len && p[1] >= forms[i].second_min && p[1] <= forms[i].second_max;
		for (size_t k = 2; whole && k < forms[i].len; k++)
			whole = (p[k] & 0xc0) == 0x80;
		return whole ? forms[i].len : 0;
	}
	return 0;
}

static bh_status append_string(const char *text, bh_buf *out)
{
	bh_view rest = bh_view_str(text);
	size_t room = BH_AUDIT_TEXT_MAX;

	BH_TRY(bh_buf_append_u8(out, '"'));
	while (rest.len > 0) {
		size_t len = utf8_len(rest), taken = BH_MAX(len, (size_t)1);

		if (taken > room)
			break;
		if (len == 0)
			BH_TRY(bh_buf_append_u8(out, '?'));
		else if (*rest.data < 0x20 || *rest.data == 0x7f)
			BH_TRY(bh_buf_printf(out, "\\u%04x", *rest.data));
		else if (*rest.data == '"' || *rest.data == '\\')
			BH_TRY(bh_buf_printf(out, "\\%c", *rest.data));
		else
			BH_TRY(bh_buf_append(out, rest.data, len));
		rest = bh_view_of(rest.data + taken, rest.len - taken);
		room -= taken;
	}
	return bh_buf_append_u8(out, '"');
}

/* Entries */

static bh_status append_text(const char *name, const char *text, bh_buf *out)
{
	if (text == NULL)
		return BH_OK;
	BH_TRY(bh_buf_printf(out, ",\"%s\":", name));
	return append_string(text, out);
}

static bh_status append_id(const char *before, const uint8_t *id, bh_buf *out)
{
	char hex[BH_ID_HEX_SIZE];

	bh_hex(id, BH_ID_LEN, hex);
	return bh_buf_printf(out, "%s\"%s\"", before, hex);
}

static bh_status append_deks(const bh_audit_event *event, bh_buf *out)
{
	if (event->dek_id != NULL)
		BH_TRY(append_id(",\"dek\":", event->dek_id, out));
	if (event->dek_ids == NULL)
		return BH_OK;
	if (event->dek_count > BH_AUDIT_DEKS_MAX)
		return bh_fail(BH_E_INVALID, "an audit event of %zu DEKs; %d are the most", event->dek_count, BH_AUDIT_DEKS_MAX);
	BH_TRY(bh_buf_printf(out, ",\"deks\":["));
	for (size_t i = 0; i < event->dek_count; i++)
		BH_TRY(append_id(i > 0 ? "," : "", event->dek_ids + i * BH_ID_LEN, out));
	return bh_buf_append_u8(out, ']');
}

bh_status bh_audit_body_encode(const bh_audit_process *process, int64_t at_ms, const bh_audit_event *event, bh_buf *out)
{
	char time[BH_AUDIT_TIME_SIZE];

	bh_audit_time_format(at_ms, time);
	BH_TRY(bh_buf_printf(out, "\"time\":\"%s\",\"process\":\"%s\"", time, process->id));
	BH_TRY(append_text("host", process->host, out));
	BH_TRY(bh_buf_printf(out, ",\"pid\":%ld", process->pid));
	BH_TRY(append_text("actor", process->actor, out));
	BH_TRY(append_text("action", event->action, out));
	BH_TRY(append_text("merchant", event->merchant, out));
	BH_TRY(append_text("region", event->region, out));
	BH_TRY(append_text("class", event->cls, out));
	BH_TRY(append_deks(event, out));
	BH_TRY(append_text("cmk", bh_kms_uri_shown(event->cmk_uri), out));
	if (event->cmk_version != 0)
		BH_TRY(bh_buf_printf(out, ",\"cmk_version\":%u", event->cmk_version));
	BH_TRY(append_text("kms_request", event->kms_request_id, out));
	BH_TRY(append_text("kms_principal", event->kms_principal, out));
	if (event->count > 1)
		BH_TRY(bh_buf_printf(out, ",\"count\":%llu", (unsigned long long)event->count));
	if (event->until_ms != 0) {
		bh_audit_time_format(event->until_ms, time);
		BH_TRY(bh_buf_printf(out, ",\"until\":\"%s\"", time));
	}
	if (event->archived != 0)
		BH_TRY(bh_buf_printf(out, BH_AUDIT_ARCHIVED "%llu", (unsigned long long)event->archived));
	if (event->keyring != 0)
		BH_TRY(bh_buf_printf(out, BH_AUDIT_KEYRING "%llu", (unsigned long long)event->keyring));
	BH_TRY(append_text("outcome", bh_status_name(event->outcome), out));
	BH_TRY(append_text("detail", event->detail, out));
	return bh_buf_printf(out, "}\n");
}

uint64_t bh_audit_line_number(bh_view line, const char *member)
{
	const uint8_t *at = memmem(line.data, line.len, member, strlen(member));
	const uint8_t *end = line.data + line.len;
	uint64_t number = 0;

	for (at = at != NULL ? at + strlen(member) : end; at < end && *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	return number;
}

bh_status bh_audit_entry_encode(uint64_t seq, const uint8_t prev[BH_SHA256_LEN], bh_view body, bh_buf *out)
{
	char hex[HASH_HEX_LEN + 1];

	bh_hex(prev, BH_SHA256_LEN, hex);
	BH_TRY(bh_buf_printf(out, "{\"seq\":%llu,\"prev\":\"%s\",", (unsigned long long)seq, hex));
	return bh_buf_append(out, body.data, body.len);
}

/* Checkpoints.
 *
 * What is signed:
 *     0    32  "bulkhead/1/audit-checkpoint", or "bulkhead/1/audit-anchor", then zero
 *    32     8  size
 *    40     8  time, milliseconds since 1970
 *    48    32  root
 *    80    32  SHA-256 of the line before the checkpoint
 *   112     8  offset, in an anchor alone
 * An anchor's peaks need no signature: they add up to the root.
 */
static const char checkpoint_label[] = "bulkhead/1/audit-checkpoint";
static const char anchor_label[] = "bulkhead/1/audit-anchor";

size_t bh_audit_checkpoint_message(const bh_audit_checkpoint *checkpoint, uint8_t out[BH_AUDIT_ANCHOR_SIGNED_LEN])
{
	const char *label = checkpoint->offset != 0 ? anchor_label : checkpoint_label;

	memset(out, 0, BH_AUDIT_ANCHOR_SIGNED_LEN);
	memcpy(out, label, strlen(label));
	bh_put_u64(out + 32, checkpoint->position.size);
	bh_put_u64(out + 40, (uint64_t)checkpoint->at_ms);
	memcpy(out + 48, checkpoint->position.root, BH_SHA256_LEN);
	memcpy(out + 80, checkpoint->prev, BH_SHA256_LEN);
	bh_put_u64(out + 112, checkpoint->offset);
	return checkpoint->offset != 0 ? BH_AUDIT_ANCHOR_SIGNED_LEN : BH_AUDIT_SIGNED_LEN;
}

static bool has_peak(uint64_t size, unsigned level)
{
	return (size >> level & 1) != 0;
}

/* The largest subtree, which is the leftmost, first. */
static bh_status append_peaks(const bh_merkle *tree, bh_buf *out)
{
	const char *before = ",\"peaks\":[";
	char hex[HASH_HEX_LEN + 1];

	for (unsigned level = 64; level-- > 0;) {
		if (!has_peak(tree->size, level))
			continue;
		bh_hex(tree->peaks[level], BH_SHA256_LEN, hex);
		BH_TRY(bh_buf_printf(out, "%s\"%s\"", before, hex));
		before = ",";
	}
	return bh_buf_printf(out, "]");
}

bh_status bh_audit_checkpoint_encode(const bh_audit_checkpoint *checkpoint, const bh_merkle *tree, bh_buf *out)
{
	char prev[HASH_HEX_LEN + 1], root[HASH_HEX_LEN + 1], signature[2 * BH_SIGNATURE_LEN + 1], time[BH_AUDIT_TIME_SIZE];

	bh_hex(checkpoint->prev, BH_SHA256_LEN, prev);
	bh_hex(checkpoint->position.root, BH_SHA256_LEN, root);
	bh_hex(checkpoint->signature, BH_SIGNATURE_LEN, signature);
	bh_audit_time_format(checkpoint->at_ms, time);
	if (checkpoint->offset == 0)
		return bh_buf_printf(out,
				     "{\"checkpoint\":%llu,\"prev\":\"%s\",\"time\":\"%s\",\"root\":\"%s\",\"signature\":\"%s\"}\n",
				     (unsigned long long)checkpoint->position.size, prev, time, root, signature);
	BH_TRY(bh_buf_printf(out, BH_AUDIT_ANCHOR_BEGIN "%llu,\"offset\":%llu,\"prev\":\"%s\",\"time\":\"%s\",\"root\":\"%s\"",
			     (unsigned long long)checkpoint->position.size, (unsigned long long)checkpoint->offset, prev, time,
			     root));
	BH_TRY(append_peaks(tree, out));
	return bh_buf_printf(out, ",\"signature\":\"%s\"}\n", signature);
}

/* Lines */

static void read_literal(bh_reader *r, const char *literal)
{
	size_t len = strlen(literal);
	bh_view bytes = bh_read_bytes(r, len);

	if (bytes.len != len || memcmp(bytes.data, literal, len) != 0)
		r->failed = true;
}

/* A decimal number without leading zeros, at most 19 digits. */
static uint64_t read_number(bh_reader *r)
{
	uint64_t n = 0;
	size_t digits = 0;

	for (; digits < 19 && r->rest.len > 0 && *r->rest.data >= '0' && *r->rest.data <= '9'; digits++)
		n = 10 * n + (uint64_t)(bh_read_u8(r) - '0');
	if (digits == 0 || n == 0)
		r->failed = true;
	return n;
}

static void read_hex(bh_reader *r, uint8_t *out, size_t len)
{
	char text[2 * BH_SIGNATURE_LEN + 1];
	bh_view hex = bh_read_bytes(r, 2 * len);

	if (hex.len != 2 * len)
		return;
	memcpy(text, hex.data, hex.len);
	text[hex.len] = '\0';
	if (strlen(text) != hex.len || bh_unhex(text, out, len) != BH_OK)
		r->failed = true;
}

static int64_t read_time(bh_reader *r)
{
	int64_t at_ms = 0;

	if (bh_audit_time_parse(bh_read_bytes(r, 24), &at_ms) != BH_OK)
		r->failed = true;
	return at_ms;
}

static bool begins_with(bh_view line, const char *literal)
{
	bh_reader r = bh_reader_of(line);

	read_literal(&r, literal);
	return bh_reader_ok(&r);
}

static bool looks_like_anchor(bh_view line)
{
	return begins_with(line, BH_AUDIT_ANCHOR_BEGIN);
}

bool bh_audit_line_looks_like_checkpoint(bh_view line)
{
	return begins_with(line, "{\"checkpoint\":") || looks_like_anchor(line);
}

static void read_peaks(bh_reader *r, bh_merkle *tree)
{
	const char *before = ",\"peaks\":[\"";

	for (unsigned level = 64; level-- > 0 && bh_reader_ok(r);) {
		if (!has_peak(tree->size, level))
			continue;
		read_literal(r, before);
		read_hex(r, tree->peaks[level], BH_SHA256_LEN);
		read_literal(r, "\"");
		before = ",\"";
	}
	read_literal(r, "]");
}

static void read_fields(bh_reader *r, bool anchor, bh_audit_checkpoint *out, bh_merkle *tree)
{
	read_literal(r, anchor ? BH_AUDIT_ANCHOR_BEGIN : "{\"checkpoint\":");
	out->position.size = read_number(r);
	if (anchor)
		read_literal(r, ",\"offset\":");
	out->offset = anchor ? read_number(r) : 0;
	read_literal(r, ",\"prev\":\"");
	read_hex(r, out->prev, BH_SHA256_LEN);
	read_literal(r, "\",\"time\":\"");
	out->at_ms = read_time(r);
	read_literal(r, "\",\"root\":\"");
	read_hex(r, out->position.root, BH_SHA256_LEN);
	read_literal(r, "\"");
	tree->size = out->position.size;
	if (anchor)
		read_peaks(r, tree);
	read_literal(r, ",\"signature\":\"");
	read_hex(r, out->signature, BH_SIGNATURE_LEN);
}

static bh_status peaks_check(const bh_audit_checkpoint *anchor, const bh_merkle *tree)
{
	uint8_t root[BH_SHA256_LEN];

	BH_TRY(bh_merkle_root(tree, root));
	return memcmp(root, anchor->position.root, sizeof(root)) == 0
		       ? BH_OK
		       : bh_fail(BH_E_TAG, "is an anchor of another tree than its root's");
}

static bh_status checkpoint_decode(bh_view line, bh_audit_checkpoint *out, bh_merkle *tree)
{
	BH_CLEANUP(bh_buf_clear) bh_buf again = { 0 };
	bh_reader r = bh_reader_of(line);

	read_fields(&r, looks_like_anchor(line), out, tree);
	if (!bh_reader_ok(&r))
		return bh_fail(BH_E_FORMAT, "is no whole checkpoint");
	BH_TRY(bh_audit_checkpoint_encode(out, tree, &again));
	if (again.len != line.len || memcmp(again.data, line.data, line.len) != 0)
		return bh_fail(BH_E_FORMAT, "is not written as a checkpoint is");
	return out->offset != 0 ? peaks_check(out, tree) : BH_OK;
}

static bh_status entry_decode(bh_view line, bh_audit_line *out)
{
	bh_reader r = bh_reader_of(line);

	read_literal(&r, "{\"seq\":");
	out->seq = read_number(&r);
	read_literal(&r, ",\"prev\":\"");
	read_hex(&r, out->prev, BH_SHA256_LEN);
	read_literal(&r, "\",\"time\":\"");
	return bh_reader_ok(&r) ? BH_OK : bh_fail(BH_E_FORMAT, "is neither an entry nor a checkpoint");
}

bh_status bh_audit_line_decode(bh_view line, bh_audit_line *out)
{
	out->is_checkpoint = bh_audit_line_looks_like_checkpoint(line);
	if (!out->is_checkpoint)
		return entry_decode(line, out);
	BH_TRY(checkpoint_decode(line, &out->checkpoint, &out->tree));
	memcpy(out->prev, out->checkpoint.prev, BH_SHA256_LEN);
	return BH_OK;
}
