/* SPDX-License-Identifier: Apache-2.0
 *
 * live.c: see live.h.
 */
#include "live.h"

#include <stdlib.h>
#include <unistd.h>

#include "door.h"
#include "engine/door/wire.h"
#include "engine/report/document.h"
#include "engine/report/metrics.h"
#include "inspect.h"

/* ---- whoever has it */

bh_status live_open(bhctl *ctl, live *out)
{
	*out = (live)LIVE_CLOSED;
	out->ctl = ctl;
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(door_find(ctl, &out->door));
	return out->door >= 0 ? BH_OK : bhctl_open(ctl, 0, &out->db);
}

void live_close(live *l)
{
	bhctl_db_close(&l->db);
	if (l->door >= 0)
		close(l->door);
	*l = (live)LIVE_CLOSED;
}

/* Asks; `request` is released. A connection is for one request. */
static bh_status ask(live *l, json_t *request, json_t **result_out)
{
	int door = l->door;

	l->door = -1;
	return door_ask(l->ctl, door, request, NULL, NULL, result_out);
}

/* For its outcome alone. */
static bh_status tell(live *l, json_t *request)
{
	json_t *result = NULL;

	BH_TRY(ask(l, request, &result));
	json_decref(result);
	return BH_OK;
}

static json_t *of_merchant(const char *call, const char *name)
{
	json_t *request = door_request(call);

	json_object_set_new(request, "merchant", json_string(name));
	return request;
}

static json_t *of_class(const char *call, const bh_scope *cls)
{
	json_t *request = of_merchant(call, cls->merchant);

	json_object_set_new(request, "class", json_string(cls->cls));
	return request;
}

static void set_flag(json_t *request, const char *name, bool value)
{
	if (value)
		json_object_set_new(request, name, json_true());
}

static void set_text(json_t *request, const char *name, const char *value)
{
	if (value != NULL)
		bh_json_set_text(request, name, value);
}

static uint64_t number_of(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static bool flag_of(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

/* ---- looking */

static bh_status store_metrics(const char *path, bh_view text)
{
	bh_status status;

	bhctl_callers_files(true);
	status = bh_metrics_store(path, text);
	bhctl_callers_files(false);
	return status;
}

static bh_status ask_metrics(bhctl *ctl, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	json_t *result = NULL;
	bh_status status;

	BH_TRY(door_ask(ctl, -1, door_request("metrics"), NULL, NULL, &result));
	status = bh_json_get_bytes(result, "text", &text);
	json_decref(result);
	BH_TRY(status);
	return store_metrics(path, bh_buf_view(&text));
}

/* The service may have opened it by another path than the caller's. */
static void set_path(const bhctl *ctl, json_t *document)
{
	json_t *database = json_object_get(document, "database");

	if (database == NULL)
		return;
	json_object_del(database, "path_hex");
	json_object_del(database, "path");
	bh_json_set_text(database, "path", ctl->db);
}

static bh_status ask_document(bhctl *ctl, int door, const live_want *want, json_t **out)
{
	json_t *request = door_request("status");

	set_flag(request, "database", want->database);
	set_flag(request, "brief", want->brief);
	set_flag(request, "live", want->live);
	set_text(request, "merchant", want->merchant);
	BH_TRY(door_ask(ctl, door, request, NULL, NULL, out));
	set_path(ctl, *out);
	return want->prometheus != NULL ? ask_metrics(ctl, want->prometheus) : BH_OK;
}

static void report_free(bh_db_report **report)
{
	bh_db_report_free(*report);
}

/* These are the live database's, so it is opened for them, to look. */
static bh_status look_live(bhctl *ctl, const char *prometheus, bh_db_report **out)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(bhctl_open_to_look(ctl, &db));
	if (prometheus != NULL) {
		BH_TRY(bh_db_metrics(db, &text));
		BH_TRY(store_metrics(prometheus, bh_buf_view(&text)));
	}
	return bh_db_status(db, out);
}

static bh_status make_document(bhctl *ctl, const live_want *want, json_t **out)
{
	BH_CLEANUP(report_free) bh_db_report *report = NULL;
	BH_CLEANUP(inspect_clear) inspect in = { 0 };
	BH_CLEANUP(bh_document_clear) bh_document made = { 0 };
	const bh_document_want whole = { want->database, want->merchant, want->brief };

	if (want->live || want->prometheus != NULL)
		BH_TRY(look_live(ctl, want->prometheus, &report));
	BH_TRY(inspect_open(ctl, ctl->db, &in));
	BH_TRY(inspect_files(ctl->db, &in));
	BH_TRY(bh_document_open(&(bh_place){ ctl->db, in.fs, in.keyring }, &made));
	BH_TRY(bh_document_make(&made, &whole, out));
	if (report != NULL)
		bh_document_add_live(*out, report);
	return BH_OK;
}

bh_status live_document(bhctl *ctl, const live_want *want, json_t **out)
{
	int door = -1;

	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(door_find(ctl, &door));
	return door >= 0 ? ask_document(ctl, door, want, out) : make_document(ctl, want, out);
}

static bh_status ask_names(live *l, json_t **out)
{
	json_t *request = door_request("status"), *document, *names = json_array();
	const json_t *merchant;
	size_t i;
	bh_status status;

	set_flag(request, "brief", true);
	status = ask(l, request, &document);
	if (status != BH_OK) {
		json_decref(names);
		return status;
	}
	json_array_foreach(json_object_get(document, "merchants"), i, merchant)
	{
		if (strcmp(bh_json_text_of(merchant, "state"), "shredded") != 0)
			json_array_append(names, json_object_get(merchant, "name"));
	}
	json_decref(document);
	*out = names;
	return BH_OK;
}

bh_status live_names(live *l, json_t **out)
{
	BH_CLEANUP(report_free) bh_db_report *report = NULL;

	if (l->db == NULL)
		return ask_names(l, out);
	BH_TRY(bh_db_status(l->db, &report));
	*out = json_array();
	for (size_t i = 0; i < report->merchant_count; i++)
		json_array_append_new(*out, json_string(report->merchants[i].name));
	return BH_OK;
}

bh_status live_adopt(live *l)
{
	return l->db != NULL ? bh_db_adopt(l->db) : tell(l, door_request("adopt"));
}

bh_status live_audit_archive(live *l, const char *to, bh_audit_archived *out)
{
	json_t *request, *result = NULL;

	if (l->db != NULL)
		return bh_db_audit_archive(l->db, to, out);
	request = door_request("audit archive");
	set_text(request, "to", to);
	BH_TRY(ask(l, request, &result));
	*out = (bh_audit_archived){ number_of(result, "first"), number_of(result, "last"), number_of(result, "bytes"), "" };
	snprintf(out->name, sizeof(out->name), "%s", bh_json_text_of(result, "name"));
	json_decref(result);
	return BH_OK;
}

/* ---- merchants */

bh_status live_add(live *l, const char *name, const char *cmk_uri, const bh_merchant_options *options)
{
	json_t *request, *classes;

	if (l->db != NULL)
		return bh_merchant_add(l->db, name, cmk_uri, options);
	request = of_merchant("merchant add", name);
	classes = json_array();
	for (size_t i = 0; i < options->class_count; i++)
		json_array_append_new(classes, json_string(options->classes[i]));
	json_object_set_new(request, "classes", classes);
	set_text(request, "cmk", cmk_uri);
	return tell(l, request);
}

static json_t *of_switch(const char *call, const char *name, const bh_suspend_options *options)
{
	json_t *request = of_merchant(call, name);

	set_text(request, "reason", options->reason);
	set_text(request, "operator", options->operator_name);
	return request;
}

bh_status live_suspend(live *l, const char *name, const bh_suspend_options *options)
{
	return l->db != NULL ? bh_merchant_suspend(l->db, name, options) : tell(l, of_switch("merchant suspend", name, options));
}

bh_status live_resume(live *l, const char *name, const bh_suspend_options *options)
{
	json_t *request, *result = NULL;
	bh_status status = BH_OK;

	if (l->db != NULL)
		return bh_merchant_resume(l->db, name, options);
	request = of_switch("merchant resume", name, options);
	set_flag(request, "salvage", options->salvage);
	BH_TRY(ask(l, request, &result));
	if (options->salvaged_out != NULL)
		status = bh_json_get_bytes(result, "salvaged", options->salvaged_out);
	json_decref(result);
	return status;
}

static bh_status ask_certificate(live *l, const char *call, const char *name, bh_buf *out)
{
	json_t *result = NULL;
	bh_status status;

	BH_TRY(ask(l, of_merchant(call, name), &result));
	status = bh_json_get_bytes(result, "certificate", out);
	json_decref(result);
	return status;
}

bh_status live_shred(live *l, const char *name, bh_buf *certificate_out)
{
	return l->db != NULL ? bh_merchant_shred(l->db, name, certificate_out)
			     : ask_certificate(l, "merchant shred", name, certificate_out);
}

bh_status live_shred_finalize(live *l, const char *name, bh_buf *certificate_out)
{
	return l->db != NULL ? bh_merchant_shred_finalize(l->db, name, certificate_out)
			     : ask_certificate(l, "merchant finalize", name, certificate_out);
}

bh_status live_certificate(live *l, const char *name, bh_buf *certificate_out)
{
	return l->db != NULL ? bh_merchant_certificate(l->db, name, certificate_out)
			     : ask_certificate(l, "merchant certificate", name, certificate_out);
}

/* ---- keys */

bh_status live_rotate(live *l, const char *name, const bh_rotate_options *options)
{
	json_t *request;

	if (l->db != NULL)
		return bh_merchant_rotate(l->db, name, options);
	request = of_merchant("rotate", name);
	set_flag(request, "sweep", options->sweep);
	set_flag(request, "exposed", options->exposed);
	return tell(l, request);
}

static void tell_sweep(void *arg, const json_t *progress)
{
	const bh_sweep_options *options = arg;
	const bh_sweep_progress p = { number_of(progress, "files_total"), number_of(progress, "files_done"),
				      number_of(progress, "bytes_total"), number_of(progress, "bytes_done"),
				      (int64_t)number_of(progress, "remaining_s") };

	if (options->progress != NULL)
		options->progress(options->progress_arg, &p);
}

bh_status live_sweep(live *l, const char *name, const bh_sweep_options *options)
{
	bh_sweep_options o = options != NULL ? *options : (bh_sweep_options){ 0 };
	json_t *request, *result = NULL;
	int door = l->door;

	if (l->db != NULL)
		return bh_merchant_sweep(l->db, name, options);
	request = of_merchant("sweep", name);
	if (o.bytes_per_s > 0)
		json_object_set_new(request, "bytes_per_s", json_integer((json_int_t)o.bytes_per_s));
	l->door = -1;
	BH_TRY(door_ask(l->ctl, door, request, tell_sweep, &o, &result));
	json_decref(result);
	return BH_OK;
}

static void read_generation(const json_t *item, bh_generation *out)
{
	snprintf(out->cls, sizeof(out->cls), "%s", bh_json_text_of(item, "class"));
	snprintf(out->log, sizeof(out->log), "%s", bh_json_text_of(item, "log"));
	out->generation = (uint32_t)number_of(item, "generation");
	out->newest = flag_of(item, "newest");
	out->retired = flag_of(item, "retired");
	out->sweep = flag_of(item, "sweep");
	out->exposed = flag_of(item, "exposed");
	out->sealed = number_of(item, "sealed");
	out->files = number_of(item, "files");
	out->bytes = number_of(item, "bytes");
	out->wals = number_of(item, "wals");
	out->manifests = number_of(item, "manifests");
}

bh_status live_generations(live *l, const char *name, bh_generation **out, size_t *count_out)
{
	json_t *result = NULL;
	const json_t *list, *item;
	size_t i;

	if (l->db != NULL)
		return bh_merchant_generations(l->db, name, out, count_out);
	BH_TRY(ask(l, of_merchant("generations", name), &result));
	list = json_object_get(result, "generations");
	*count_out = json_array_size(list);
	*out = calloc(*count_out + 1, sizeof(**out));
	if (*out != NULL)
		json_array_foreach(list, i, item) read_generation(item, &(*out)[i]);
	json_decref(result);
	return *out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "merchant '%s': no memory for its generations", name);
}

bh_status live_rewrap(live *l, const char *name, const bh_rewrap_options *options, bh_rewrap_result *out)
{
	const bh_rewrap_options o = options != NULL ? *options : (bh_rewrap_options){ 0 };
	json_t *request, *result = NULL;

	if (l->db != NULL)
		return bh_merchant_rewrap(l->db, name, options, out);
	request = of_merchant("rewrap", name);
	set_text(request, "cmk", o.cmk_uri);
	set_flag(request, "keep_deks", o.keep_deks);
	BH_TRY(ask(l, request, &result));
	*out = (bh_rewrap_result){ .version = (uint32_t)number_of(result, "version"),
				   .behind = number_of(result, "behind"),
				   .rewrapped = number_of(result, "rewrapped"),
				   .moved = flag_of(result, "moved"),
				   .rotated = flag_of(result, "rotated") };
	json_decref(result);
	return BH_OK;
}

/* ---- classes */

bh_status live_compact(live *l, const bh_scope *cls)
{
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	const bh_view open_end = { 0 };

	if (l->db == NULL)
		return tell(l, of_class("compact", cls));
	BH_TRY(bh_cf_open(l->db, cls->merchant, cls->cls, &cf));
	BH_TRY(bh_flush(cf));
	return bh_compact(cf, open_end, open_end);
}

static bh_status read_erased(const json_t *result, bh_erase_result *out)
{
	bh_erase_result read = { .complete = flag_of(result, "complete"),
				 .sequence = number_of(result, "sequence"),
				 .rows = number_of(result, "rows"),
				 .files_rewritten = number_of(result, "files_rewritten"),
				 .bytes_rewritten = number_of(result, "bytes_rewritten"),
				 .versions = number_of(result, "versions"),
				 .generation = (uint32_t)number_of(result, "generation") };

	BH_TRY(bh_unhex(bh_json_text_of(result, "prefix_digest"), read.prefix_digest, sizeof(read.prefix_digest)));
	BH_TRY(bh_json_get_bytes(result, "pending", &read.pending));
	*out = read;
	return BH_OK;
}

bh_status live_erase(live *l, const bh_scope *cls, bh_view prefix, const bh_erase_options *options, bh_erase_result *out)
{
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	json_t *request, *result = NULL;
	bh_status status;

	if (l->db != NULL) {
		BH_TRY(bh_cf_open(l->db, cls->merchant, cls->cls, &cf));
		return bh_erase_range(cf, prefix, options, out);
	}
	request = of_class("erase", cls);
	bh_json_set_bytes(request, "prefix", prefix, false);
	set_flag(request, "suppress", options->suppress);
	if (options->wait_ms > 0)
		json_object_set_new(request, "wait_ms", json_integer((json_int_t)options->wait_ms));
	BH_TRY(ask(l, request, &result));
	status = read_erased(result, out);
	json_decref(result);
	return status;
}

bh_status live_unsuppress(live *l, const bh_scope *cls, bh_view prefix)
{
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	json_t *request;

	if (l->db != NULL) {
		BH_TRY(bh_cf_open(l->db, cls->merchant, cls->cls, &cf));
		return bh_erase_unsuppress(cf, prefix);
	}
	request = of_class("unsuppress", cls);
	bh_json_set_bytes(request, "prefix", prefix, false);
	return tell(l, request);
}

static bh_status each_marker(const json_t *result, bh_status (*each)(void *arg, const bh_erase_marker *marker), void *arg)
{
	const json_t *list = json_object_get(result, "markers");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		bh_erase_marker marker = { .prefix_len = (uint32_t)number_of(item, "prefix_bytes"),
					   .at_s = (int64_t)number_of(item, "at_s") };

		BH_TRY(bh_unhex(bh_json_text_of(item, "prefix_digest"), marker.prefix_digest, sizeof(marker.prefix_digest)));
		BH_TRY(each(arg, &marker));
	}
	return BH_OK;
}

bh_status live_markers(live *l, const bh_scope *cls, bh_status (*each)(void *arg, const bh_erase_marker *marker), void *arg)
{
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	json_t *result = NULL;
	bh_status status;

	if (l->db != NULL) {
		BH_TRY(bh_cf_open(l->db, cls->merchant, cls->cls, &cf));
		return bh_erase_markers(cf, each, arg);
	}
	BH_TRY(ask(l, of_class("markers", cls), &result));
	status = each_marker(result, each, arg);
	json_decref(result);
	return status;
}
