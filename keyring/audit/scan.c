/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c: see scan.h.
 */
#include "scan.h"
#include "keyring/crypto/sign.h"
#include "keyring/base/io.h"
#include "keyring/base/base.h"

#define READ_STEP (256u << 10)

typedef struct scan {
	int fd;
	const char *name;
	const bh_audit_scan_options *options;
	uint64_t read_off; /* bytes that were read into `window` so far */
	bh_buf window;
	size_t window_pos; /* where the next line begins */
	bool every_signature;

	bh_merkle tree;
	uint8_t prev[BH_SHA256_LEN];
	uint64_t line_no; /* of the line under way, from 1; from the anchor on, where the scan began at one */
	uint64_t line_end;
	bh_audit_scan_result good;
} scan;

/* Lines */

static bh_status window_fill(scan *s)
{
	size_t step = (size_t)BH_MIN(s->good.file_len - s->read_off, (uint64_t)READ_STEP);
	size_t rest = s->window.len - s->window_pos;

	if (rest > 0)
		memmove(s->window.data, s->window.data + s->window_pos, rest);
	s->window.len = rest;
	s->window_pos = 0;
	BH_TRY(bh_buf_reserve(&s->window, step));
	BH_TRY(bh_io_read_at(s->fd, s->name, s->read_off, s->window.data + rest, step));
	s->window.len += step;
	s->read_off += step;
	return BH_OK;
}

/* The next line, or at the end what there is of one. `*line` stays valid until the next call. */
static bh_status line_next(scan *s, bh_view *line)
{
	for (;;) {
		size_t left = s->window.len - s->window_pos;
		bh_view rest = { left > 0 ? s->window.data + s->window_pos : NULL, left }; /* the buffer is NULL at first */
		const uint8_t *end = left > 0 ? memchr(rest.data, '\n', rest.len) : NULL;

		if (end != NULL || rest.len > BH_AUDIT_LINE_MAX || s->read_off == s->good.file_len) {
			*line = bh_view_of(rest.data, end != NULL ? (size_t)(end - rest.data) + 1 : rest.len);
			s->window_pos += line->len;
			s->line_end += line->len;
			s->line_no += line->len > 0;
			return BH_OK;
		}
		BH_TRY(window_fill(s));
	}
}

/* What is known of the log */

static bh_status floor_differs(const bh_audit_position *known, const uint8_t root[BH_SHA256_LEN])
{
	char want[2 * BH_SHA256_LEN + 1], have[2 * BH_SHA256_LEN + 1];

	bh_hex(known->root, BH_SHA256_LEN, want);
	bh_hex(root, BH_SHA256_LEN, have);
	return bh_fail(BH_E_TAG, "the first %llu entries have the root %s, but %s was recorded: this is another history",
		       (unsigned long long)known->size, have, want);
}

static bh_status floors_check(const scan *s)
{
	for (size_t i = 0; i < s->options->floor_count; i++) {
		const bh_audit_position *known = &s->options->floors[i];
		uint8_t root[BH_SHA256_LEN];

		if (known->size != s->tree.size)
			continue;
		BH_TRY(bh_merkle_root(&s->tree, root));
		if (memcmp(root, known->root, sizeof(root)) != 0)
			return floor_differs(known, root);
	}
	return BH_OK;
}

static bh_status floors_reached(const scan *s)
{
	for (size_t i = 0; i < s->options->floor_count; i++)
		if (!s->options->more && s->options->floors[i].size > s->good.tree.size)
			return bh_fail(BH_E_ROLLBACK,
				       "ends at %llu entries, but %llu were recorded: it was cut, or an older one put back",
				       (unsigned long long)s->good.tree.size, (unsigned long long)s->options->floors[i].size);
	return BH_OK;
}

/* Entries and checkpoints */

static bh_status signature_check(const scan *s, const bh_audit_checkpoint *checkpoint)
{
	uint8_t message[BH_AUDIT_ANCHOR_SIGNED_LEN];
	size_t len = bh_audit_checkpoint_message(checkpoint, message);

	return bh_sign_verify(s->options->public_key, bh_view_of(message, len), checkpoint->signature);
}

/* `line_len`: bytes of its line, which the scan has just passed. */
static bh_status take_checkpoint(scan *s, const bh_audit_checkpoint *checkpoint, size_t line_len)
{
	uint8_t root[BH_SHA256_LEN];

	if (checkpoint->position.size != s->tree.size)
		return bh_fail(BH_E_TAG, "is a checkpoint of %llu entries after %llu",
			       (unsigned long long)checkpoint->position.size, (unsigned long long)s->tree.size);
	BH_TRY(bh_merkle_root(&s->tree, root));
	if (memcmp(root, checkpoint->position.root, sizeof(root)) != 0)
		return bh_fail(BH_E_TAG, "is a checkpoint over other entries than those before it");
	const uint64_t lies = s->line_end - line_len;
	if (checkpoint->offset != 0 && checkpoint->offset != s->good.base + lies)
		return bh_fail(BH_E_TAG, "is an anchor made for byte %llu, and lies at %llu",
			       (unsigned long long)checkpoint->offset, (unsigned long long)(s->good.base + lies));
	if (s->every_signature)
		BH_TRY(signature_check(s, checkpoint));
	s->good.last = *checkpoint;
	s->good.tree = s->tree;
	s->good.good_len = s->line_end;
	s->good.lines = s->line_no;
	s->good.checkpoints++;
	s->good.tail_entries = 0;
	if (checkpoint->offset != 0) {
		s->good.anchor = lies;
		s->good.anchored = s->line_end;
	}
	return BH_OK;
}

static bh_status take_entry(scan *s, uint64_t seq, bh_view line)
{
	uint8_t leaf[BH_SHA256_LEN];

	if (seq != s->tree.size + 1)
		return bh_fail(BH_E_TAG, "is entry %llu after entry %llu", (unsigned long long)seq,
			       (unsigned long long)s->tree.size);
	BH_TRY(bh_merkle_leaf(line, leaf));
	BH_TRY(bh_merkle_add(&s->tree, leaf));
	BH_TRY(floors_check(s));
	s->good.tail_entries++;
	s->good.is_told = s->good.is_told || bh_audit_line_number(line, BH_AUDIT_ARCHIVED) == s->good.first;
	return s->options->each != NULL ? s->options->each(s->options->arg, seq, line) : BH_OK;
}

static bh_status take_line(scan *s, bh_view bytes)
{
	bh_audit_line line;

	BH_TRY(bh_audit_line_decode(bytes, &line));
	if (memcmp(line.prev, s->prev, BH_SHA256_LEN) != 0)
		return bh_fail(BH_E_TAG, "does not follow the line before it: one of them was changed, moved, added or removed");
	BH_TRY(bh_sha256(bytes, s->prev));
	if (!line.is_checkpoint)
		return take_entry(s, line.seq, bytes);
	BH_TRY(take_checkpoint(s, &line.checkpoint, bytes.len));
	memcpy(s->good.prev, s->prev, BH_SHA256_LEN);
	return BH_OK;
}

/* The end */

/* A piece of a line, or one with bytes that no line has, is what a crash leaves; unless a checkpoint, which is written last, comes
 * behind it. */
static bool may_be_torn(bh_view line)
{
	bool piece = line.data[line.len - 1] != '\n' && line.len <= BH_AUDIT_LINE_MAX;

	return piece || memchr(line.data, 0, line.len) != NULL;
}

static bh_status rest_has_checkpoint(scan *s, bool *found)
{
	bh_view line;

	for (*found = false; !*found;) {
		BH_TRY(line_next(s, &line));
		if (line.len == 0)
			return BH_OK;
		*found = line.data[line.len - 1] == '\n' && bh_audit_line_looks_like_checkpoint(line);
	}
	return BH_OK;
}

/* Line by line, to the end or to a torn tail. */
static bh_status run(scan *s)
{
	for (;;) {
		bool checkpoint_follows = false;
		bh_view line;

		BH_TRY(line_next(s, &line));
		if (line.len == 0)
			return BH_OK;
		if (!may_be_torn(line)) {
			BH_TRY(take_line(s, line));
			continue;
		}
		uint64_t line_no = s->line_no;
		BH_TRY(rest_has_checkpoint(s, &checkpoint_follows));
		if (!checkpoint_follows)
			return BH_OK;
		s->line_no = line_no;
		return bh_fail(BH_E_FORMAT, "has bytes that no line of the log has");
	}
}

static bh_status run_named(scan *s)
{
	bh_status status = run(s);

	if ((status == BH_E_FORMAT || status == BH_E_TAG) && s->good.begin != 0)
		return bh_fail_prefix(status, "line %llu behind the anchor at byte %llu", (unsigned long long)s->line_no,
				      (unsigned long long)s->good.begin);
	if (status == BH_E_FORMAT || status == BH_E_TAG)
		return bh_fail_prefix(status, "line %llu", (unsigned long long)s->line_no);
	return status;
}

/* Where to begin. What looks like an anchor and is not to be trusted is passed over: a scan that begins before it says what is
 * wrong with it. */

/* The size of the smallest floor that can be looked at; 0: there is none, and then nobody knows which of the anchors were durable.
 */
static uint64_t lowest_floor(const scan *s)
{
	const bh_audit_scan_options *options = s->options;
	uint64_t lowest = 0;

	for (size_t i = 0; i < options->floor_count; i++) {
		const uint64_t size = options->floors[i].size;

		if (size != 0 && size >= s->good.first && (lowest == 0 || size < lowest))
			lowest = size;
	}
	return lowest;
}

/* The anchor that may lie at `off`: its line, in `bytes`, and what that says; an empty view if it is none. */
static bh_status anchor_read(const scan *s, uint64_t off, bh_buf *bytes, bh_view *text, bh_audit_line *line)
{
	const size_t len = (size_t)BH_MIN(s->good.file_len - off, (uint64_t)BH_AUDIT_LINE_MAX);

	*text = (bh_view){ 0 };
	BH_TRY(bh_buf_reserve(bytes, len));
	BH_TRY(bh_io_read_at(s->fd, s->name, off, bytes->data, len));
	const uint8_t *end = len > 0 ? memchr(bytes->data, '\n', len) : NULL;
	bh_view whole = bh_view_of(bytes->data, end != NULL ? (size_t)(end - bytes->data) + 1 : 0);
	if (whole.len > 0 && bh_audit_line_decode(whole, line) == BH_OK && line->is_checkpoint && line->checkpoint.offset != 0)
		*text = whole;
	return BH_OK;
}

/* Begins the scan behind the anchor at `off`. */
static bh_status begin_behind(scan *s, uint64_t off, bh_view text, const bh_audit_line *line)
{
	s->tree = line->tree;
	BH_TRY(bh_sha256(text, s->prev));
	s->read_off = s->line_end = off + text.len;
	s->line_no = 0;
	s->good = (bh_audit_scan_result){ .last = line->checkpoint,
					  .tree = line->tree,
					  .base = s->good.base,
					  .first = s->good.first,
					  .begin = off,
					  .anchor = off,
					  .anchored = s->line_end,
					  .good_len = s->line_end,
					  .file_len = s->good.file_len,
					  .checkpoints = 1 };
	memcpy(s->good.prev, s->prev, BH_SHA256_LEN);
	return floors_check(s);
}

/* ... if there is one. */
static bh_status anchor_try(scan *s, uint64_t off, bool *found)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bh_audit_line line;
	bh_view text;

	BH_TRY(anchor_read(s, off, &bytes, &text, &line));
	if (text.len == 0 || line.checkpoint.offset != s->good.base + off || line.checkpoint.position.size > lowest_floor(s) ||
	    signature_check(s, &line.checkpoint) != BH_OK)
		return BH_OK;
	*found = true;
	return begin_behind(s, off, text, &line);
}

static bh_status goes_on(const scan *s)
{
	const bh_audit_scan_result *before = s->options->before;

	if (before == NULL || (s->good.base == before->base + before->anchor && before->good_len == before->anchored &&
			       memcmp(s->good.prev, before->prev, BH_SHA256_LEN) == 0))
		return BH_OK;
	return bh_fail(BH_E_TAG, "begins behind entry %llu, and does not go on from the file before, which ends at %llu",
		       (unsigned long long)s->good.first, (unsigned long long)before->tree.size);
}

/* A file whose first line is an anchor: what came before it was archived. */
static bh_status begin_at_first(scan *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bh_audit_line line;
	bh_view text;

	BH_TRY(anchor_read(s, 0, &bytes, &text, &line));
	if (text.len > 0) {
		s->good.base = line.checkpoint.offset;
		s->good.first = line.checkpoint.position.size;
		BH_TRY(begin_behind(s, 0, text, &line));
		s->line_no = s->good.lines = 1;
	}
	return goes_on(s);
}

/* From the last of the lines that begin in bytes [off, off + len) as an anchor does. `len` has what tells so of the last one. */
static bh_status anchors_try(scan *s, uint64_t off, bh_view bytes, bool *found)
{
	static const char begin[] = "\n" BH_AUDIT_ANCHOR_BEGIN;
	const size_t begin_len = sizeof(begin) - 1;

	for (size_t at = bytes.len; !*found && at-- > 0;)
		if (bytes.data[at] == '\n' && bytes.len - at >= begin_len && memcmp(bytes.data + at, begin, begin_len) == 0)
			BH_TRY(anchor_try(s, off + at + 1, found));
	return BH_OK;
}

static bh_status begin_at_anchor(scan *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	const size_t overlap = sizeof(BH_AUDIT_ANCHOR_BEGIN);
	uint64_t end = s->good.file_len;
	bool found = false;

	if (!s->options->from_anchor || s->options->public_key == NULL || lowest_floor(s) == 0)
		return BH_OK;
	BH_TRY(bh_buf_reserve(&bytes, READ_STEP + overlap));
	while (!found && end > 0) {
		uint64_t off = end - BH_MIN(end, (uint64_t)READ_STEP);
		size_t len = (size_t)(BH_MIN(end + overlap, s->good.file_len) - off);

		BH_TRY(bh_io_read_at(s->fd, s->name, off, bytes.data, len));
		BH_TRY(anchors_try(s, off, bh_view_of(bytes.data, len), &found));
		end = off;
	}
	return BH_OK;
}

static bh_status scan_file(int fd, const char *name, uint64_t len, const bh_audit_scan_options *options, bool every_signature,
			   bh_audit_scan_result *out)
{
	scan s = { .fd = fd, .name = name, .options = options, .every_signature = every_signature, .good.file_len = len };

	bh_status status = begin_at_first(&s);
	if (status == BH_OK)
		status = begin_at_anchor(&s);
	if (status == BH_OK)
		status = run_named(&s);
	if (status == BH_OK)
		status = floors_reached(&s);
	if (status == BH_OK)
		*out = s.good;
	bh_buf_clear(&s.window);
	return status;
}

/* Says which checkpoint is the first that is not by the owner of the key, of those that were scanned. */
static bh_status first_forgery(int fd, const char *name, uint64_t len, const bh_audit_scan_options *options)
{
	bh_audit_scan_options alone = *options;
	bh_audit_scan_result unused;

	alone.each = NULL;
	BH_TRY(scan_file(fd, name, len, &alone, true, &unused));
	return bh_fail(BH_E_TAG, "its last checkpoint is not signed by this key");
}

bh_status bh_audit_scan(int fd, const char *name, uint64_t len, const bh_audit_scan_options *options, bh_audit_scan_result *out)
{
	bh_audit_scan_result result;
	scan last = { .options = options };

	BH_TRY(scan_file(fd, name, len, options, false, &result));
	last.good = result;
	if (options->public_key != NULL && result.checkpoints > 0 && signature_check(&last, &result.last) != BH_OK)
		return first_forgery(fd, name, len, options);
	*out = result;
	return BH_OK;
}
