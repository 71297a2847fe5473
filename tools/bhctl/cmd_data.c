/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_data.c: a merchant's records, one or many: put, get, delete, scan, compact.
 */
#include <stdio.h>
#include <unistd.h>

#include "bhctl.h"
#include "live.h"

static bh_status open_class(bhctl *ctl, const char *target, bh_db **db_out, bh_cf **cf_out)
{
	bh_scope scope;

	BH_TRY(bhctl_target(target, &scope));
	BH_TRY(bhctl_open(ctl, 0, db_out));
	return bh_cf_open(*db_out, scope.merchant, scope.cls, cf_out);
}

static bh_status show_class(bhctl *ctl, const char *target, bh_db **db_out, bh_cf **cf_out)
{
	bh_scope scope;

	BH_TRY(bhctl_target(target, &scope));
	BH_TRY(bhctl_open_to_look(ctl, db_out));
	return bh_cf_open(*db_out, scope.merchant, scope.cls, cf_out);
}

static bh_status read_value(const char *arg, bool hex, bh_buf *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf input = { 0 };

	if (arg != NULL && strcmp(arg, "-") != 0)
		return bhctl_bytes("VALUE", bh_view_str(arg), hex, out);
	BH_TRY(bhctl_stdin(&input));
	return bhctl_bytes("standard input", bh_buf_view(&input), hex, out);
}

static bh_status print_done(const bhctl *ctl, const char *verb, const char *target, bool durable)
{
	if (!ctl->json)
		return BH_OK;
	return out_json(json_pack("{s:s, s:s, s:b}", "done", verb, "class", target, "durable", durable));
}

bh_status cmd_put(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf value = { 0 };
	bool hex = false, no_sync = false;
	const bhctl_option options[] = { { .name = "hex", .flag = &hex }, { .name = "no-sync", .flag = &no_sync }, { 0 } };
	bh_write_options write = { 0 };
	bh_scope scope;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 2, 3, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bhctl_target(args[0], &scope));
	BH_TRY(bhctl_bytes("KEY", bh_view_str(args[1]), hex, &key));
	BH_TRY(read_value(count > 2 ? args[2] : NULL, hex, &value));
	BH_TRY(open_class(ctl, args[0], &db, &cf));
	write.sync = !no_sync;
	BH_TRY(bh_put(cf, &write, bh_buf_view(&key), bh_buf_view(&value)));
	return print_done(ctl, "put", args[0], write.sync);
}

static bh_status print_value(const bhctl *ctl, bh_view key, bh_view value, bool hex)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	if (ctl->json) {
		json_t *document = json_object();

		bh_json_set_bytes(document, "key", key, hex);
		bh_json_set_bytes(document, "value", value, hex);
		return out_json(document);
	}
	if (hex) {
		BH_TRY(bh_escape(value, true, &text));
		value = bh_buf_view(&text);
	}
	fwrite(value.data, 1, value.len, stdout);
	if (hex || isatty(STDOUT_FILENO))
		putchar('\n');
	return BH_OK;
}

/* "unmerged": what was put, if anything was, and the operands, oldest first. */
static void set_unmerged(json_t *object, bh_view unmerged, bool hex)
{
	json_t *parts = json_array();
	bh_view part;
	bool is_base;

	while (bh_unmerged_next(&unmerged, &part, &is_base)) {
		json_t *item = json_object();

		bh_json_set_bytes(item, is_base ? "value" : "operand", part, hex);
		json_array_append_new(parts, item);
	}
	json_object_set_new(object, "unmerged", parts);
}

static bh_status print_unmerged(bhctl *ctl, bh_view key, bh_view unmerged, bool hex)
{
	json_t *document;

	if (!ctl->json)
		return bh_fail(BH_E_UNMERGED, "%s; --json shows it", bh_status_message());
	document = json_pack("{s:o}", "error", bh_json_error(BH_E_UNMERGED));
	bh_json_set_bytes(document, "key", key, hex);
	set_unmerged(document, unmerged, hex);
	ctl->reported = true;
	BH_TRY(out_json(document));
	return BH_E_UNMERGED;
}

bh_status cmd_get(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf value = { 0 };
	bool hex = false;
	const bhctl_option options[] = { { .name = "hex", .flag = &hex }, { 0 } };
	bh_status status;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 2, 2, &args, &count));
	BH_TRY(bhctl_bytes("KEY", bh_view_str(args[1]), hex, &key));
	BH_TRY(show_class(ctl, args[0], &db, &cf));
	status = bh_get(cf, NULL, bh_buf_view(&key), &value);
	if (status == BH_E_NO_SUCH_KEY)
		return bh_fail(status, "%s: has no such key", args[0]);
	if (status == BH_E_UNMERGED)
		return print_unmerged(ctl, bh_buf_view(&key), bh_buf_view(&value), hex);
	BH_TRY(status);
	return print_value(ctl, bh_buf_view(&key), bh_buf_view(&value), hex);
}

bh_status cmd_delete(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	bool hex = false, no_sync = false;
	const bhctl_option options[] = { { .name = "hex", .flag = &hex }, { .name = "no-sync", .flag = &no_sync }, { 0 } };
	bh_write_options write = { 0 };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 2, 2, &args, &count));
	BH_TRY(bhctl_bytes("KEY", bh_view_str(args[1]), hex, &key));
	BH_TRY(open_class(ctl, args[0], &db, &cf));
	write.sync = !no_sync;
	BH_TRY(bh_delete(cf, &write, bh_buf_view(&key)));
	return print_done(ctl, "delete", args[0], write.sync);
}

/* ---- scan */

typedef struct scan {
	const bhctl *ctl;
	const char *target;
	bool hex;
	bh_buf prefix;
	uint64_t limit; /* entries; 0: no limit */
	out_array array;
	bh_buf line;       /* scratch */
	uint64_t unmerged; /* entries that are */
} scan;

static void scan_clear(scan *s)
{
	bh_buf_clear(&s->prefix);
	bh_buf_clear(&s->line);
}

/* In text there is no way to say it: it is left out, and counted. */
static bh_status print_unmerged_entry(scan *s, bh_view key, bh_view unmerged)
{
	json_t *entry = json_object();

	s->unmerged++;
	if (!s->ctl->json) {
		json_decref(entry);
		return BH_OK;
	}
	bh_json_set_bytes(entry, "key", key, s->hex);
	set_unmerged(entry, unmerged, s->hex);
	return out_array_item(&s->array, entry);
}

static bh_status print_entry(scan *s, bh_view key, bh_view value)
{
	json_t *entry;

	if (s->ctl->json) {
		entry = json_object();
		bh_json_set_bytes(entry, "key", key, s->hex);
		bh_json_set_bytes(entry, "value", value, s->hex);
		return out_array_item(&s->array, entry);
	}
	s->array.count++;
	s->line.len = 0;
	BH_TRY(bh_escape(key, s->hex, &s->line));
	BH_TRY(bh_buf_append_u8(&s->line, '\t'));
	BH_TRY(bh_escape(value, s->hex, &s->line));
	BH_TRY(bh_buf_append_u8(&s->line, '\n'));
	return fwrite(s->line.data, 1, s->line.len, stdout) == s->line.len ? BH_OK : out_finish();
}

static bool has_prefix(bh_view key, bh_view prefix)
{
	return key.len >= prefix.len && (prefix.len == 0 || memcmp(key.data, prefix.data, prefix.len) == 0);
}

static bh_status print_entries(scan *s, bh_iter *iter)
{
	bh_view prefix = bh_buf_view(&s->prefix);
	bh_status status;

	BH_TRY(bh_iter_seek(iter, prefix));
	while (bh_iter_valid(iter) && (s->limit == 0 || s->array.count < s->limit)) {
		bh_view key, value;

		status = bh_iter_entry(iter, &key, &value);
		if (status != BH_E_UNMERGED)
			BH_TRY(status);
		if (!has_prefix(key, prefix))
			break;
		if (status == BH_E_UNMERGED)
			BH_TRY(print_unmerged_entry(s, key, value));
		else
			BH_TRY(print_entry(s, key, value));
		BH_TRY(bh_iter_next(iter));
	}
	if (s->unmerged == 0)
		return BH_OK;
	return bh_fail(BH_E_UNMERGED, "%s: %llu rows hold merges, and their merge operator is not here%s", s->target,
		       (unsigned long long)s->unmerged, s->ctl->json ? "" : ": they are left out; --json shows them");
}

static void iter_free(bh_iter **iter)
{
	if (*iter != NULL)
		bh_iter_free(*iter);
}

/* Once the document has begun, a failure goes into its last member. */
static bh_status scan_json(scan *s, bh_iter *iter, bhctl *ctl)
{
	bh_status status;
	json_t *tail;

	BH_TRY(out_array_begin(&s->array, json_pack("{s:s}", "class", s->target), "entries"));
	ctl->reported = true;
	status = print_entries(s, iter);
	tail = json_pack("{s:I}", "count", (json_int_t)s->array.count);
	if (status != BH_OK && tail != NULL)
		json_object_set_new(tail, "error", bh_json_error(status));
	BH_TRY(out_array_end(&s->array, tail));
	return status;
}

bh_status cmd_scan(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	BH_CLEANUP(scan_clear) scan s = { .ctl = ctl };
	BH_CLEANUP(iter_free) bh_iter *iter = NULL;
	const char *prefix = NULL, *limit = NULL;
	const bhctl_option options[] = {
		{ .name = "prefix", .value = &prefix },
		{ .name = "limit", .value = &limit },
		{ .name = "hex", .flag = &s.hex },
		{ 0 },
	};
	bh_read_options read = { .no_fill_cache = true };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	if (limit != NULL)
		BH_TRY(bhctl_number("--limit", limit, &s.limit));
	if (prefix != NULL)
		BH_TRY(bhctl_bytes("--prefix", bh_view_str(prefix), s.hex, &s.prefix));
	BH_TRY(show_class(ctl, args[0], &db, &cf));
	s.target = args[0];
	read.lower_bound = bh_buf_view(&s.prefix);
	BH_TRY(bh_iter_new(cf, &read, &iter));
	return ctl->json ? scan_json(&s, iter, ctl) : print_entries(&s, iter);
}

bh_status cmd_compact(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;
	bh_scope scope;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 1, 1, &args, &count));
	BH_TRY(bhctl_target(args[0], &scope));
	BH_TRY(live_open(ctl, &db));
	BH_TRY(live_compact(&db, &scope));
	if (ctl->json)
		return out_json(json_pack("{s:s}", "compacted", args[0]));
	printf("%s: compacted\n", args[0]);
	return BH_OK;
}
