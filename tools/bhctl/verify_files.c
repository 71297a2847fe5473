/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_files.c: every sealed file: header, place, every page or frame. Beyond the first bad page of a file the others are still
 * opened.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/core/home.h"
#include "verify.h"

#define FAILURES_PER_FILE 16 /* pages that are named; what is beyond is counted in a note */

/* A file that is being checked. */
typedef struct target {
	verify *v;
	report *r;
	verify_root *root;
	const bh_tree_entry *entry;
	char *path; /* owned */
	bh_path_info info;
	sealed file;
	bool live; /* RocksDB needs it: what is wrong with it is a failure. False: a leftover, whose end may well be missing */
} target;

static void target_clear(target *t)
{
	free(t->path);
	sealed_close(&t->file);
}

static void fail_at(const target *t, const char *unit, uint64_t idx, uint64_t off, bh_status status)
{
	if (t->live)
		report_failure(t->r, t->entry->path, unit, idx, off, status);
	else
		report_note(t->r, "%s: a leftover that RocksDB removes at the next open; it is no whole file: %s", t->entry->path,
			    bh_status_message());
}

/* ---- the header and whose it is */

/* What can be said of a file of pages without its key: its place, by what its header says, and its size. */
static bool has_its_place(const target *t, const bh_header *header, const bh_scope *scope)
{
	return header->kind == t->info.kind && header->number == t->info.number &&
	       strcmp(scope->merchant, t->info.scope.merchant) == 0 && strcmp(scope->cls, t->info.scope.cls) == 0;
}

static void check_locked(const target *t, const bh_header *header, const bh_dek_info *dek)
{
	uint64_t logical;
	bh_status status;

	if (!has_its_place(t, header, &dek->scope)) {
		status = bh_fail(BH_E_TAG, "sealed for '%s/%s' as number %llu of the kind '%s'; it was put here from elsewhere",
				 dek->scope.merchant, dek->scope.cls, (unsigned long long)header->number,
				 bh_file_kind_name(header->kind));
		report_failure(t->r, t->entry->path, NULL, 0, 0, status);
		return;
	}
	status = bh_pages_logical_size(t->file.size, header->page_size, &logical);
	if (status != BH_OK)
		fail_at(t, NULL, 0, 0, status);
}

/* Whether the file's key cannot be had although the keyring knows it: then it is skipped. */
static bool lacks_key(const target *t, const bh_header *header)
{
	const bh_dek_info *dek = inspect_dek(&t->v->in, header->dek_id);
	bh_status why;

	if (dek == NULL)
		return false;
	if (dek->tombstone && t->live) {
		report_failure(t->r, t->entry->path, NULL, 0, 0,
			       bh_fail(BH_E_SHREDDED, "sealed for '%s/%s' under a DEK that is destroyed, but the MANIFEST has it",
				       dek->scope.merchant, dek->scope.cls));
		return true;
	}
	if (dek->tombstone) {
		report_note(t->r, "%s: sealed for %s/%s, %s; nobody can read it, and it can be removed", t->entry->path,
			    dek->scope.merchant, dek->scope.cls,
			    dek->retired_at_s != 0 ? "under a DEK that is retired" : "which is shredded");
		t->r->skipped++;
		return true;
	}
	why = inspect_why_locked(&t->v->in, dek);
	if (why == BH_OK)
		return false;
	check_locked(t, header, dek);
	if (why == BH_E_SUSPENDED)
		t->r->sealed++;
	else
		t->r->skipped++;
	return true;
}

/* Whether the file can be opened at all; says why not. */
static bool check_header(const target *t)
{
	bh_header header;
	bh_status status = bh_header_parse(bh_view_of(t->file.header, t->file.header_len), &header);

	if (status != BH_OK) {
		fail_at(t, NULL, 0, 0, status);
		return false;
	}
	return !lacks_key(t, &header);
}

static bool check_place(const target *t, const bh_file_key *key)
{
	bh_status status = bh_path_check_place(t->entry->path, &t->info, key);

	if (status != BH_OK)
		fail_at(t, NULL, 0, 0, status);
	return status == BH_OK;
}

/* ---- pages */

static bh_status open_one_page(target *t, const bh_page_file *pages, uint64_t idx, uint32_t page_data, uint8_t *scratch)
{
	uint64_t off = idx * page_data;
	bh_page_range range = bh_page_file_range(pages, off, page_data);
	bh_view physical;

	BH_TRY(sealed_view(&t->file, range.off, range.len, &physical));
	return bh_page_file_open_range(pages, off, page_data, physical, scratch);
}

static void open_every_page(target *t, const bh_page_file *pages)
{
	uint32_t page_size = bh_page_file_key(pages)->header.page_size;
	uint64_t count = (t->file.size - BH_HEADER_LEN + page_size - 1) / page_size;
	uint8_t scratch[BH_PAGE_SIZE_MAX];
	uint64_t bad = 0;

	for (uint64_t idx = 0; idx < count; idx++) {
		bh_status status = open_one_page(t, pages, idx, page_size - BH_TAG_LEN, scratch);

		t->r->units++;
		if (status != BH_OK && ++bad <= (t->live ? FAILURES_PER_FILE : 1))
			fail_at(t, "page", idx, BH_HEADER_LEN + idx * page_size, status);
	}
	if (bad > FAILURES_PER_FILE)
		report_note(t->r, "%s: %llu pages in all do not authenticate", t->entry->path, (unsigned long long)bad);
	bh_wipe(scratch, sizeof(scratch));
}

static bh_status check_paged(target *t)
{
	bh_page_file *pages = NULL;
	bh_status status;

	t->live = verify_needs(t->v, t->entry->path);
	if (!check_header(t))
		return BH_OK;
	status = bh_page_file_new(bh_view_of(t->file.header, t->file.header_len), t->file.size, &t->v->in.scopes, &pages);
	if (status != BH_OK) {
		fail_at(t, NULL, 0, 0, status);
		return BH_OK;
	}
	if (check_place(t, bh_page_file_key(pages)))
		open_every_page(t, pages);
	bh_page_file_free(pages);
	return BH_OK;
}

/* ---- frames */

static bh_status drop_ready(void *arg, bh_stream_reader *r)
{
	(void)arg;
	bh_stream_reader_consume(r, bh_stream_reader_ready(r).len);
	return BH_OK;
}

/* Only logs may end badly, above their last synced point: a MANIFEST in the middle of a frame, a WAL in any way. */
static void check_end(const target *t, const bh_stream_reader *stream)
{
	uint64_t frame = bh_stream_reader_frame(stream), off = bh_stream_reader_offset(stream);
	bh_stream_end end = bh_stream_reader_end(stream);
	bool may = t->info.kind == BH_KIND_WAL || (t->info.kind == BH_KIND_MANIFEST && end == BH_STREAM_TORN);

	if (end == BH_STREAM_OPEN || end == BH_STREAM_CLEAN)
		return;
	if (may)
		report_note(t->r, "%s: %s at offset %llu, above what was synced: %llu bytes that the next open ignores",
			    t->entry->path, end == BH_STREAM_TORN ? "torn" : "does not authenticate", (unsigned long long)off,
			    (unsigned long long)(t->file.size - off));
	else
		report_failure(t->r, t->entry->path, "frame", frame, off,
			       bh_fail(BH_E_TAG, "is torn or damaged, and nothing but the end of a log may be"));
}

/* `take` gets the logical bytes. */
static bh_status check_stream(target *t, const bh_scopes *scopes, bh_status (*take)(void *arg, bh_stream_reader *r), void *arg)
{
	bh_stream_reader *stream = NULL;
	bh_status status;

	t->live = true;
	if (!check_header(t))
		return BH_OK;
	status = bh_stream_reader_new(bh_view_of(t->file.header, t->file.header_len), scopes, false, &stream);
	if (status != BH_OK) {
		report_failure(t->r, t->entry->path, NULL, 0, 0, status);
		return BH_OK;
	}
	if (check_place(t, bh_stream_reader_key(stream))) {
		status = sealed_pump(&t->file, stream, take, arg);
		t->r->units += bh_stream_reader_frame(stream);
		if (status != BH_OK)
			report_failure(t->r, t->entry->path, "frame", bh_stream_reader_frame(stream),
				       bh_stream_reader_offset(stream), status);
		else
			check_end(t, stream);
	}
	bh_stream_reader_free(stream);
	return status;
}

/* ---- every file of a kind */

/* Opens the file if it is one of `kind`. */
static bh_status begin(verify *v, report *r, const bh_tree_entry *entry, bh_file_kind kind, target *t, bool *wanted_out)
{
	*t = (target){ .v = v, .r = r, .root = verify_root_of(v, entry->path), .entry = entry, .file = SEALED_CLOSED };
	*wanted_out = false;
	/* Strangers and leftovers are among the strays. */
	if (entry->type != BH_TREE_FILE || t->root == NULL || !verify_knows(t->root, entry->path) ||
	    strcmp(entry->path, BH_KEYRING_FILE) == 0 || strcmp(entry->path, BH_RESERVE_FILE) == 0 ||
	    strcmp(entry->path, BH_FRESH_OLDER_FILE) == 0 || strcmp(entry->path, BH_HOME_FILE) == 0 || verify_is_audit(entry->path))
		return BH_OK;
	if (asprintf(&t->path, "%s/%s", v->ctl->db, entry->path) < 0)
		return bh_fail(BH_E_NOMEM, "%s: no memory", entry->path);
	if (bh_fs_classify(t->root->fs, t->path, &t->info) != BH_OK || !t->info.sealed || t->info.kind != kind)
		return BH_OK;
	r->files++;
	*wanted_out = true;
	return sealed_open(t->path, &t->file);
}

static bh_status check_pages_of(verify *v, report *r, bh_file_kind kind)
{
	for (size_t i = 0; i < v->files.count; i++) {
		BH_CLEANUP(target_clear) target t;
		bool wanted;

		BH_TRY(begin(v, r, &v->files.entries[i], kind, &t, &wanted));
		if (wanted)
			BH_TRY(check_paged(&t));
	}
	return BH_OK;
}

bh_status verify_ssts(verify *v, report *r)
{
	return check_pages_of(v, r, BH_KIND_SST);
}

bh_status verify_blobs(verify *v, report *r)
{
	return check_pages_of(v, r, BH_KIND_BLOB);
}

bh_status verify_wals(verify *v, report *r)
{
	for (size_t i = 0; i < v->files.count; i++) {
		BH_CLEANUP(target_clear) target t;
		bool wanted;

		BH_TRY(begin(v, r, &v->files.entries[i], BH_KIND_WAL, &t, &wanted));
		if (wanted)
			(void)check_stream(&t, &t.root->scopes, drop_ready, NULL);
	}
	return BH_OK;
}

/* ---- CURRENT and its like */

static bh_status take_current(void *arg, bh_stream_reader *r)
{
	bh_view ready = bh_stream_reader_ready(r);
	verify_root *root = arg;
	size_t have = strlen(root->current);

	if (ready.len >= sizeof(root->current) - have)
		return bh_fail(BH_E_FORMAT, "CURRENT is longer than the name of a MANIFEST");
	if (ready.len > 0)
		memcpy(root->current + have, ready.data, ready.len);
	bh_stream_reader_consume(r, ready.len);
	return BH_OK;
}

/* Whether the path is that of the root's file `name`. */
static bool is_file(const verify_root *root, const char *path, const char *name)
{
	return strcmp(verify_below(root, path), name) == 0;
}

static void check_current(const verify *v, report *r, verify_root *root)
{
	char current[VERIFY_PATH_SIZE], named[VERIFY_PATH_SIZE];

	root->current[strcspn(root->current, "\n")] = '\0';
	snprintf(current, sizeof(current), "%sCURRENT", root->prefix);
	snprintf(named, sizeof(named), "%s%s", root->prefix, root->current);
	if (!bh_tree_has(&v->files, current))
		report_failure(r, current, NULL, 0, 0, bh_fail(BH_E_FORMAT, "is missing: RocksDB cannot find its MANIFEST"));
	else if (root->current[0] != '\0' && !bh_tree_has(&v->files, named))
		report_failure(r, current, NULL, 0, 0, bh_fail(BH_E_FORMAT, "names %s, which is not there", root->current));
}

bh_status verify_small(verify *v, report *r)
{
	for (size_t i = 0; i < v->files.count; i++) {
		BH_CLEANUP(target_clear) target t;
		bool wanted, is_current;
		bh_status status;

		BH_TRY(begin(v, r, &v->files.entries[i], BH_KIND_OTHER, &t, &wanted));
		if (!wanted)
			continue;
		is_current = is_file(t.root, t.entry->path, "CURRENT");
		status = check_stream(&t, &v->in.scopes, is_current ? take_current : drop_ready, t.root);
		if (is_current && status != BH_OK)
			t.root->current[0] = '\0';
	}
	for (size_t i = 0; i < v->root_count; i++)
		check_current(v, r, &v->roots[i]);
	return BH_OK;
}

/* ---- MANIFESTs */

typedef struct manifest_taking {
	bh_records records;
	bh_manifest_sum *manifest;
} manifest_taking;

static bh_status take_edit(void *arg, const bh_record *rec)
{
	return bh_manifest_sum_take(arg, rec->payload);
}

static bh_status take_manifest(void *arg, bh_stream_reader *r)
{
	manifest_taking *taking = arg;
	bh_view ready = bh_stream_reader_ready(r);

	BH_TRY(bh_records_feed(&taking->records, ready, take_edit, taking->manifest));
	bh_stream_reader_consume(r, ready.len);
	return BH_OK;
}

static bh_status ignore_added(void *arg, uint32_t cf_id, bh_view name)
{
	(void)arg;
	(void)cf_id;
	(void)name;
	return BH_OK;
}

static bh_status ignore_dropped(void *arg, uint32_t cf_id)
{
	(void)arg;
	(void)cf_id;
	return BH_OK;
}

static void ignore_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	(void)arg;
	(void)cf_id;
	(void)number;
}

static bh_status know_no_scope(void *arg, uint32_t cf_id, bh_scope *out)
{
	(void)arg;
	(void)cf_id;
	(void)out;
	return BH_E_NOT_FOUND;
}

static bh_status allow_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	(void)arg;
	(void)cf_id;
	(void)file;
	return BH_OK;
}

/* What families were called in a MANIFEST that is not the one in use says nothing of the logs. */
static bh_status check_leftover(target *t)
{
	bh_scopes scopes = t->root->scopes;

	scopes.cf_added = ignore_added;
	scopes.cf_dropped = ignore_dropped;
	scopes.cf_log_number = ignore_log_number;
	scopes.cf_scope = know_no_scope;
	scopes.cf_blank = allow_blank;
	return check_stream(t, &scopes, drop_ready, NULL);
}

bh_status verify_manifests(verify *v, report *r)
{
	for (size_t i = 0; i < v->files.count; i++) {
		BH_CLEANUP(target_clear) target t;
		manifest_taking taking = { 0 };
		bool wanted, is_current;
		size_t failures = json_array_size(r->failures);
		bh_status status;

		BH_TRY(begin(v, r, &v->files.entries[i], BH_KIND_MANIFEST, &t, &wanted));
		if (!wanted)
			continue;
		is_current = is_file(t.root, t.entry->path, t.root->current);
		taking.manifest = &t.root->manifest;
		status = is_current ? check_stream(&t, &t.root->scopes, take_manifest, &taking) : check_leftover(&t);
		bh_records_clear(&taking.records);
		if (is_current)
			t.root->have_manifest = status == BH_OK && json_array_size(r->failures) == failures;
	}
	return BH_OK;
}
