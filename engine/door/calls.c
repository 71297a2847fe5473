/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c: see calls.h. Each call is one of the library's, asked for by name; README.md has what it takes and what it gives.
 */
#include "calls.h"

#include <stdlib.h>

#include <bulkhead/erase.h>
#include <bulkhead/rotation.h>

#include "engine/report/document.h"
#include "engine/report/json.h"
#include "wire.h"

/* ---- what a request says; it has been checked */

static const char *text_of(const bh_door_call *call, const char *name)
{
	return json_string_value(json_object_get(call->request, name));
}

static bool flag_of(const bh_door_call *call, const char *name)
{
	return json_is_true(json_object_get(call->request, name));
}

static uint64_t number_of(const bh_door_call *call, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(call->request, name));
}

/* A member that may be any bytes, with a NUL behind them; "" where it is not there. */
static bh_status bytes_of(const bh_door_call *call, const char *name, bh_buf *out)
{
	BH_TRY(bh_json_get_bytes(call->request, name, out));
	BH_TRY(bh_buf_append_u8(out, 0));
	out->len--;
	return BH_OK;
}

static void set_number(bh_door_call *call, const char *name, uint64_t value)
{
	json_object_set_new(call->result, name, json_integer((json_int_t)value));
}

static void set_flag(bh_door_call *call, const char *name, bool value)
{
	json_object_set_new(call->result, name, json_boolean(value));
}

static void set_text(bh_door_call *call, const char *name, const bh_buf *text)
{
	bh_json_set_bytes(call->result, name, bh_buf_view(text), false);
}

/* ---- looking */

static void report_free(bh_db_report **report)
{
	bh_db_report_free(*report);
}

static bh_status make_document(bh_door_call *call, json_t **out)
{
	BH_CLEANUP(bh_document_clear) bh_document made = { 0 };
	const bh_place place = bh_db_place(call->db);
	const bh_document_want want = { .database = flag_of(call, "database"),
					.merchant = text_of(call, "merchant"),
					.brief = flag_of(call, "brief") };

	BH_TRY(bh_document_open(&place, &made));
	return bh_document_make(&made, &want, out);
}

static bh_status do_status(bh_door_call *call)
{
	BH_CLEANUP(report_free) bh_db_report *report = NULL;
	json_t *document = NULL;

	if (flag_of(call, "live"))
		BH_TRY(bh_db_status(call->db, &report));
	BH_TRY(bh_db_enter(call->db));
	BH_TRY(bh_db_leave(call->db, make_document(call, &document)));
	if (report != NULL)
		bh_document_add_live(document, report);
	json_object_update(call->result, document);
	json_decref(document);
	return BH_OK;
}

static bh_status do_metrics(bh_door_call *call)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(bh_db_metrics(call->db, &text));
	set_text(call, "text", &text);
	return BH_OK;
}

static bh_status do_adopt(bh_door_call *call)
{
	return bh_db_adopt(call->db);
}

static bh_status do_archive(bh_door_call *call)
{
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	bh_audit_archived made;

	BH_TRY(bytes_of(call, "to", &to));
	BH_TRY(bh_db_audit_archive(call->db, (const char *)to.data, &made));
	set_number(call, "first", made.first);
	set_number(call, "last", made.last);
	set_number(call, "bytes", made.bytes);
	json_object_set_new(call->result, "name", json_string(made.name));
	return BH_OK;
}

/* ---- merchants */

static bh_status do_add(bh_door_call *call)
{
	BH_CLEANUP(bh_buf_clear) bh_buf cmk = { 0 };
	const json_t *classes = json_object_get(call->request, "classes");
	const char *names[256];
	bh_merchant_options options = { names, json_array_size(classes) };

	if (options.class_count > sizeof(names) / sizeof(names[0]))
		return bh_fail(BH_E_INVALID, "a merchant has 256 classes at most");
	for (size_t i = 0; i < options.class_count; i++)
		names[i] = json_string_value(json_array_get(classes, i));
	BH_TRY(bytes_of(call, "cmk", &cmk));
	return bh_merchant_add(call->db, text_of(call, "merchant"), (const char *)cmk.data, &options);
}

typedef bh_status (*switch_fn)(bh_db *db, const char *name, const bh_suspend_options *options);

static bh_status switch_merchant(bh_door_call *call, switch_fn fn, bool salvage, bh_buf *salvaged)
{
	BH_CLEANUP(bh_buf_clear) bh_buf reason = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf operator_name = { 0 };
	bh_suspend_options options = { .salvage = salvage, .salvaged_out = salvaged };

	BH_TRY(bytes_of(call, "reason", &reason));
	BH_TRY(bytes_of(call, "operator", &operator_name));
	options.reason = reason.len > 0 ? (const char *)reason.data : NULL;
	options.operator_name = operator_name.len > 0 ? (const char *)operator_name.data : NULL;
	return fn(call->db, text_of(call, "merchant"), &options);
}

static bh_status do_suspend(bh_door_call *call)
{
	return switch_merchant(call, bh_merchant_suspend, false, NULL);
}

static bh_status do_resume(bh_door_call *call)
{
	BH_CLEANUP(bh_buf_clear) bh_buf salvaged = { 0 };

	BH_TRY(switch_merchant(call, bh_merchant_resume, flag_of(call, "salvage"), &salvaged));
	set_text(call, "salvaged", &salvaged);
	return BH_OK;
}

typedef bh_status (*certificate_fn)(bh_db *db, const char *name, bh_buf *certificate_out);

static bh_status certified(bh_door_call *call, certificate_fn fn)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(fn(call->db, text_of(call, "merchant"), &text));
	set_text(call, "certificate", &text);
	return BH_OK;
}

static bh_status do_shred(bh_door_call *call)
{
	return certified(call, bh_merchant_shred);
}

static bh_status do_finalize(bh_door_call *call)
{
	return certified(call, bh_merchant_shred_finalize);
}

static bh_status do_certificate(bh_door_call *call)
{
	return certified(call, bh_merchant_certificate);
}

/* ---- keys */

static bh_status do_rotate(bh_door_call *call)
{
	const bh_rotate_options options = { .sweep = flag_of(call, "sweep"), .exposed = flag_of(call, "exposed") };

	return bh_merchant_rotate(call->db, text_of(call, "merchant"), &options);
}

static void tell_sweep(void *arg, const bh_sweep_progress *p)
{
	const bh_door_call *call = arg;
	json_t *line = json_pack("{s:I, s:I, s:I, s:I, s:I}", "files_total", (json_int_t)p->files_total, "files_done",
				 (json_int_t)p->files_done, "bytes_total", (json_int_t)p->bytes_total, "bytes_done",
				 (json_int_t)p->bytes_done, "remaining_s", (json_int_t)p->remaining_s);

	call->progress(call->progress_arg, line);
	json_decref(line);
}

static bh_status do_sweep(bh_door_call *call)
{
	const bh_sweep_options options = { .bytes_per_s = number_of(call, "bytes_per_s"),
					   .progress = tell_sweep,
					   .progress_arg = call };

	return bh_merchant_sweep(call->db, text_of(call, "merchant"), &options);
}

static json_t *generation_json(const bh_generation *g)
{
	json_t *item =
		json_pack("{s:s, s:I, s:b, s:b, s:b, s:b, s:s}", "class", g->cls, "generation", (json_int_t)g->generation, "newest",
			  g->newest, "retired", g->retired, "sweep", g->sweep, "exposed", g->exposed, "log", g->log);

	json_object_update_new(item, json_pack("{s:I, s:I, s:I, s:I, s:I}", "sealed", (json_int_t)g->sealed, "files",
					       (json_int_t)g->files, "bytes", (json_int_t)g->bytes, "wals", (json_int_t)g->wals,
					       "manifests", (json_int_t)g->manifests));
	return item;
}

static bh_status do_generations(bh_door_call *call)
{
	bh_generation *all = NULL;
	json_t *list = json_array();
	size_t count = 0;
	bh_status status = bh_merchant_generations(call->db, text_of(call, "merchant"), &all, &count);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, generation_json(&all[i]));
	free(all);
	json_object_set_new(call->result, "generations", list);
	return status;
}

static bh_status do_rewrap(bh_door_call *call)
{
	BH_CLEANUP(bh_buf_clear) bh_buf cmk = { 0 };
	bh_rewrap_options options = { .keep_deks = flag_of(call, "keep_deks") };
	bh_rewrap_result result;

	BH_TRY(bytes_of(call, "cmk", &cmk));
	options.cmk_uri = cmk.len > 0 ? (const char *)cmk.data : NULL;
	BH_TRY(bh_merchant_rewrap(call->db, text_of(call, "merchant"), &options, &result));
	set_number(call, "version", result.version);
	set_number(call, "behind", result.behind);
	set_number(call, "rewrapped", result.rewrapped);
	set_flag(call, "moved", result.moved);
	set_flag(call, "rotated", result.rotated);
	return BH_OK;
}

/* ---- classes */

static void close_class(bh_cf **cf)
{
	if (*cf != NULL)
		bh_cf_close(*cf);
}

static bh_status open_class(const bh_door_call *call, bh_cf **out)
{
	return bh_cf_open(call->db, text_of(call, "merchant"), text_of(call, "class"), out);
}

static bh_status do_compact(bh_door_call *call)
{
	BH_CLEANUP(close_class) bh_cf *cf = NULL;
	const bh_view open_end = { 0 };

	BH_TRY(open_class(call, &cf));
	BH_TRY(bh_flush(cf));
	return bh_compact(cf, open_end, open_end);
}

static void set_erased(bh_door_call *call, const bh_erase_result *result)
{
	char digest[2 * BH_ERASE_DIGEST_LEN + 1];

	bh_hex(result->prefix_digest, sizeof(result->prefix_digest), digest);
	json_object_set_new(call->result, "prefix_digest", json_string(digest));
	set_flag(call, "complete", result->complete);
	set_number(call, "sequence", result->sequence);
	set_number(call, "rows", result->rows);
	set_number(call, "files_rewritten", result->files_rewritten);
	set_number(call, "bytes_rewritten", result->bytes_rewritten);
	set_number(call, "versions", result->versions);
	set_number(call, "generation", result->generation);
	set_text(call, "pending", &result->pending);
}

static bh_status do_erase(bh_door_call *call)
{
	BH_CLEANUP(close_class) bh_cf *cf = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf prefix = { 0 };
	BH_CLEANUP(bh_erase_result_clear) bh_erase_result result = { 0 };
	const bh_erase_options options = { .suppress = flag_of(call, "suppress"),
					   .wait_ms = (unsigned)BH_MIN(number_of(call, "wait_ms"), (uint64_t)UINT32_MAX) };

	BH_TRY(bytes_of(call, "prefix", &prefix));
	BH_TRY(open_class(call, &cf));
	BH_TRY(bh_erase_range(cf, bh_buf_view(&prefix), &options, &result));
	set_erased(call, &result);
	return BH_OK;
}

static bh_status do_unsuppress(bh_door_call *call)
{
	BH_CLEANUP(close_class) bh_cf *cf = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf prefix = { 0 };

	BH_TRY(bytes_of(call, "prefix", &prefix));
	BH_TRY(open_class(call, &cf));
	return bh_erase_unsuppress(cf, bh_buf_view(&prefix));
}

static bh_status add_marker(void *arg, const bh_erase_marker *marker)
{
	char digest[2 * BH_ERASE_DIGEST_LEN + 1];

	bh_hex(marker->prefix_digest, sizeof(marker->prefix_digest), digest);
	json_array_append_new(arg, json_pack("{s:s, s:I, s:I}", "prefix_digest", digest, "prefix_bytes",
					     (json_int_t)marker->prefix_len, "at_s", (json_int_t)marker->at_s));
	return BH_OK;
}

static bh_status do_markers(bh_door_call *call)
{
	BH_CLEANUP(close_class) bh_cf *cf = NULL;
	json_t *markers = json_array();

	json_object_set_new(call->result, "markers", markers);
	BH_TRY(open_class(call, &cf));
	return bh_erase_markers(cf, add_marker, markers);
}

/* ---- what there is */

typedef enum kind {
	NAME,   /* text */
	BYTES,  /* text, or in NAME_hex hex; no NUL */
	PREFIX, /* likewise, with any bytes */
	FLAG,
	NUMBER,
	NAMES, /* an array of texts */
} kind;

typedef struct member {
	const char *name; /* NULL: the end */
	kind kind;
	bool needed;
} member;

#define MERCHANT                                                                                                                   \
	{                                                                                                                          \
		"merchant", NAME, true                                                                                             \
	}
#define CLASS                                                                                                                      \
	{                                                                                                                          \
		"class", NAME, true                                                                                                \
	}

static const struct row {
	const char *name;
	bh_status (*run)(bh_door_call *call);
	member members[5];
} rows[] = {
	{ "status",
	  do_status,
	  { { "merchant", NAME, false }, { "database", FLAG, false }, { "brief", FLAG, false }, { "live", FLAG, false } } },
	{ "metrics", do_metrics, { { 0 } } },
	{ "adopt", do_adopt, { { 0 } } },
	{ "audit archive", do_archive, { { "to", BYTES, true } } },
	{ "merchant add", do_add, { MERCHANT, { "cmk", BYTES, true }, { "classes", NAMES, true } } },
	{ "merchant suspend", do_suspend, { MERCHANT, { "reason", BYTES, false }, { "operator", BYTES, false } } },
	{ "merchant resume",
	  do_resume,
	  { MERCHANT, { "reason", BYTES, false }, { "operator", BYTES, false }, { "salvage", FLAG, false } } },
	{ "merchant shred", do_shred, { MERCHANT } },
	{ "merchant finalize", do_finalize, { MERCHANT } },
	{ "merchant certificate", do_certificate, { MERCHANT } },
	{ "rotate", do_rotate, { MERCHANT, { "sweep", FLAG, false }, { "exposed", FLAG, false } } },
	{ "sweep", do_sweep, { MERCHANT, { "bytes_per_s", NUMBER, false } } },
	{ "generations", do_generations, { MERCHANT } },
	{ "rewrap", do_rewrap, { MERCHANT, { "cmk", BYTES, false }, { "keep_deks", FLAG, false } } },
	{ "compact", do_compact, { MERCHANT, CLASS } },
	{ "erase",
	  do_erase,
	  { MERCHANT, CLASS, { "prefix", PREFIX, true }, { "suppress", FLAG, false }, { "wait_ms", NUMBER, false } } },
	{ "unsuppress", do_unsuppress, { MERCHANT, CLASS, { "prefix", PREFIX, true } } },
	{ "markers", do_markers, { MERCHANT, CLASS } },
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define MEMBERS_MAX (sizeof(rows[0].members) / sizeof(rows[0].members[0]))

static const struct row *find_row(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "call"));

	for (size_t i = 0; name != NULL && i < ROW_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* ---- a request is checked */

static bool is_names(const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return false;
	json_array_foreach(value, i, item)
	{
		if (!json_is_string(item))
			return false;
	}
	return true;
}

static bool is_bytes(const json_t *request, const char *name, bool any)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	return bh_json_get_bytes(request, name, &bytes) == BH_OK &&
	       (any || bytes.len == 0 || memchr(bytes.data, '\0', bytes.len) == NULL);
}

static bool has_kind(const json_t *request, const member *m, const json_t *value)
{
	switch (m->kind) {
	case NAME: return json_is_string(value);
	case BYTES: return is_bytes(request, m->name, false);
	case PREFIX: return is_bytes(request, m->name, true);
	case FLAG: return json_is_boolean(value);
	case NUMBER: return json_is_integer(value) && json_integer_value(value) >= 0;
	case NAMES: return is_names(value);
	}
	return false;
}

/* Counts the members of the request that it is. */
static bh_status check_member(const json_t *request, const member *m, size_t *found)
{
	const bool bytes = m->kind == BYTES || m->kind == PREFIX;
	const json_t *value = json_object_get(request, m->name);
	char hex[32];

	snprintf(hex, sizeof(hex), "%s_hex", m->name);
	const size_t given = (value != NULL) + (bytes && json_object_get(request, hex) != NULL);
	if (given == 0 && !m->needed)
		return BH_OK;
	if (given != 1)
		return bh_fail(BH_E_FORMAT, "a request through the door with %s '%s'", given == 0 ? "no" : "two", m->name);
	if (!has_kind(request, m, value))
		return bh_fail(BH_E_FORMAT, "a request through the door whose '%s' is of the wrong type", m->name);
	*found += 1;
	return BH_OK;
}

bh_status bh_door_request_check(const json_t *request)
{
	const json_t *version = json_object_get(request, "door");
	const struct row *row = find_row(request);
	size_t found = 2; /* "door" and "call" */

	if (!json_is_integer(version))
		return bh_fail(BH_E_FORMAT, "a request through the door without its version");
	if (json_integer_value(version) != BH_DOOR_VERSION)
		return bh_fail(BH_E_VERSION, "the door speaks version %d, and was spoken to in version %lld", BH_DOOR_VERSION,
			       (long long)json_integer_value(version));
	if (row == NULL)
		return bh_fail(BH_E_UNSUPPORTED, "the door has no such call");
	for (size_t i = 0; i < MEMBERS_MAX && row->members[i].name != NULL; i++)
		BH_TRY(check_member(request, &row->members[i], &found));
	if (json_object_size(request) != found)
		return bh_fail(BH_E_FORMAT, "a request through the door, '%s', with members that it has not", row->name);
	return BH_OK;
}

bh_status bh_door_call_run(bh_door_call *call)
{
	return find_row(call->request)->run(call);
}
