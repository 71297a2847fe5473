/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_verify.c: an array of checks over a closed database, and their report. Nothing in its directory is changed.
 */
#include <stdarg.h>
#include <stdio.h>

#include "verify.h"

/* In this order: each may use what those before it have learnt. */
static const check checks[] = {
	{ "keyring", NULL, verify_keyring },       { "audit log", NULL, verify_audit },
	{ "log list", NULL, verify_log_list },     { "suspended", NULL, verify_suspended },
	{ "small files", "frame", verify_small },  { "manifests", "frame", verify_manifests },
	{ "logs", "frame", verify_wals },          { "tables", "page", verify_ssts },
	{ "blobs", "page", verify_blobs },         { "certificates", NULL, verify_certificates },
	{ "files present", NULL, verify_present }, { "strays", NULL, verify_strays },
	{ "opening", NULL, verify_opening },
};
#define CHECK_COUNT (sizeof(checks) / sizeof(checks[0]))

void report_failure(report *r, const char *file, const char *unit, uint64_t idx, uint64_t off, bh_status status)
{
	json_t *failure = bh_json_error(status);

	bh_json_set_text(failure, "file", file);
	if (unit != NULL) {
		json_object_set_new(failure, unit, json_integer((json_int_t)idx));
		json_object_set_new(failure, "offset", json_integer((json_int_t)off));
	}
	json_array_append_new(r->failures, failure);
}

void report_note(report *r, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(r->notes, bh_json_sentence(text));
}

static json_t *report_json(const report *r)
{
	json_t *item = json_pack("{s:s, s:b, s:I}", "name", r->name, "ok", json_array_size(r->failures) == 0, "files",
				 (json_int_t)r->files);
	char units[16];

	if (r->unit != NULL) {
		snprintf(units, sizeof(units), "%ss", r->unit);
		json_object_set_new(item, units, json_integer((json_int_t)r->units));
	}
	json_object_set_new(item, "skipped_no_key", json_integer((json_int_t)r->skipped));
	json_object_set_new(item, "sealed_suspended", json_integer((json_int_t)r->sealed));
	json_object_set(item, "failures", r->failures);
	json_object_set(item, "notes", r->notes);
	return item;
}

/* ---- the text: printed as each check is done */

static void print_failure(const json_t *failure, const char *unit)
{
	const json_t *idx = unit != NULL ? json_object_get(failure, unit) : NULL;

	printf("     %s", bh_json_text_of(failure, "file"));
	if (idx != NULL)
		printf(": %s %lld at offset %lld", unit, (long long)json_integer_value(idx),
		       (long long)json_integer_value(json_object_get(failure, "offset")));
	printf(": %s: %s\n", json_string_value(json_object_get(failure, "name")),
	       json_string_value(json_object_get(failure, "message")));
}

static void print_report(const report *r)
{
	const json_t *item;
	size_t i;

	printf("%s %s: %llu files", json_array_size(r->failures) == 0 ? "ok  " : "FAIL", r->name, (unsigned long long)r->files);
	if (r->unit != NULL)
		printf(", %llu %ss", (unsigned long long)r->units, r->unit);
	if (r->skipped > 0)
		printf("; skipped: %llu, no key", (unsigned long long)r->skipped);
	if (r->sealed > 0)
		printf("; sealed, not opened: %llu, suspended", (unsigned long long)r->sealed);
	putchar('\n');
	json_array_foreach(r->failures, i, item) print_failure(item, r->unit);
	json_array_foreach(r->notes, i, item) printf("     note: %s\n", json_string_value(item));
}

/* ---- running */

/* Of these failures those that are none of the files: nothing can be read that a newer RocksDB wrote. */
static size_t not_understood(const json_t *failures)
{
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(failures, i, item) count +=
		strcmp(json_string_value(json_object_get(item, "name")), bh_status_name(BH_E_UNSUPPORTED)) == 0;
	return count;
}

static bh_status run_check(verify *v, const check *c, size_t *failures, size_t *newer)
{
	report r = { .name = c->name, .unit = c->unit, .failures = json_array(), .notes = json_array() };
	bh_status status = c->run(v, &r);

	if (status != BH_OK)
		report_failure(&r, v->ctl->db, NULL, 0, 0, status);
	*failures += json_array_size(r.failures);
	*newer += not_understood(r.failures);
	if (!v->ctl->json)
		print_report(&r);
	json_array_append_new(v->checks, report_json(&r));
	json_decref(r.failures);
	json_decref(r.notes);
	return status;
}

static void verify_clear(verify *v)
{
	verify_roots_clear(v);
	inspect_clear(&v->in);
	bh_tree_clear(&v->files);
	json_decref(v->checks);
}

/* Without the keyring nothing can be authenticated, so that one failing is the command's own failure. */
static bh_status open_all(verify *v)
{
	BH_TRY(inspect_open(v->ctl, v->ctl->db, &v->in));
	BH_TRY(inspect_unlock(v->ctl->db, &v->in));
	BH_TRY(bh_tree_list(v->ctl->db, &v->files));
	return verify_roots_find(v);
}

static bh_status print_json(const verify *v, size_t failures)
{
	json_t *document = json_pack("{s:b, s:I, s:O}", "ok", failures == 0, "failures", (json_int_t)failures, "checks", v->checks);

	bh_json_set_text(document, "database", v->ctl->db);
	return out_json(document);
}

bh_status cmd_verify(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(verify_clear) verify v = { .ctl = ctl };
	size_t failures = 0, newer = 0;
	bh_status status = BH_OK;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 0, 0, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(open_all(&v));
	v.checks = json_array();
	for (size_t i = 0; i < CHECK_COUNT; i++) {
		bh_status broken = run_check(&v, &checks[i], &failures, &newer);

		status = status == BH_OK ? broken : status;
	}
	if (ctl->json) {
		ctl->reported = true;
		BH_TRY(print_json(&v, failures));
	}
	if (status == BH_E_IO || status == BH_E_NOMEM)
		return bh_fail(status, "%s: could not be verified as a whole: see above", ctl->db);
	if (failures > 0 && newer == failures)
		return bh_fail(BH_E_UNSUPPORTED,
			       "%s: %zu places were written by a newer RocksDB than this Bulkhead knows; verify it "
			       "with a Bulkhead made for that one",
			       ctl->db, newer);
	if (failures > 0)
		return bh_fail(BH_E_TAG, "%s: %zu failures; restore the files that are named from a backup", ctl->db, failures);
	if (!ctl->json)
		printf("%s: verified\n", ctl->db);
	return BH_OK;
}
