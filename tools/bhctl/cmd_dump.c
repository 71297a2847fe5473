/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_dump.c: any file of a database: its header and layout, which need no key, then its records, which do.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/core/home.h"
#include "dump.h"

#define SHOWN_BYTES 64 /* of a key or value, without --full */

static void dump_clear(dump *d)
{
	inspect_clear(&d->in);
	sealed_close(&d->file);
	json_decref(d->head);
	json_decref(d->tail);
}

/* ---- what all parts use */

bh_status dump_begin(dump *d, const char *array)
{
	json_t *head = d->head;

	d->array.count = 0;
	if (!d->ctl->json)
		return BH_OK;
	d->head = NULL;
	d->ctl->reported = true;
	return out_array_begin(&d->array, head, array);
}

bool dump_enough(const dump *d)
{
	return d->limit > 0 && d->array.count >= d->limit;
}

void dump_bytes(const dump *d, bh_view bytes, bool available)
{
	if (!available) {
		printf("<no key: %zu bytes>", bytes.len);
		return;
	}
	putchar('"');
	out_bytes(bytes, d->hex, d->full ? 0 : SHOWN_BYTES);
	putchar('"');
}

void dump_set_bytes(const dump *d, json_t *object, const char *name, bh_view bytes, bool available)
{
	char len_name[64];

	if (available) {
		bh_json_set_bytes(object, name, bytes, d->hex);
		return;
	}
	snprintf(len_name, sizeof(len_name), "%s_bytes", name);
	json_object_set_new(object, name, json_null());
	json_object_set_new(object, len_name, json_integer((json_int_t)bytes.len));
}

/* ---- header and layout */

static void show_header(dump *d)
{
	const bh_header *h = &d->header;
	const bool is_named = h->kind == BH_KIND_OTHER; /* its number is the hash of its name */
	char salt[2 * BH_SALT_LEN + 1], dek[BH_ID_HEX_SIZE], name[17];

	snprintf(name, sizeof(name), "%016" PRIx64, h->number);
	bh_hex(h->salt, BH_SALT_LEN, salt);
	bh_hex(h->dek_id, BH_ID_LEN, dek);
	if (d->ctl->json) {
		json_object_set_new(d->head, "header",
				    json_pack("{s:s, s:i, s:i, s:I, s:I, s:s, s:s}", "kind", bh_file_kind_name(h->kind), "version",
					      BH_FORMAT_VERSION, "suite", BH_SUITE_AES256GCM, "number",
					      is_named ? (json_int_t)0 : (json_int_t)h->number, "page_size",
					      (json_int_t)h->page_size, "salt", salt, "dek", dek));
		if (is_named)
			json_object_set_new(json_object_get(d->head, "header"), "name_hash", json_string(name));
		return;
	}
	printf("kind      %s, format version %u, suite %u (AES-256-GCM, AES-256-CTR, HKDF-SHA256)\n", bh_file_kind_name(h->kind),
	       BH_FORMAT_VERSION, BH_SUITE_AES256GCM);
	if (is_named)
		printf("bound to  the name with the hash %s\n", name);
	else if (h->number != 0)
		printf("number    %llu\n", (unsigned long long)h->number);
	printf("salt      %s\nDEK       %s\n", salt, dek);
}

static bh_status show_pages(dump *d)
{
	uint64_t body = d->file.size - BH_HEADER_LEN, logical = 0, pages;
	uint32_t page_size = d->header.page_size;

	BH_TRY(bh_pages_logical_size(d->file.size, page_size, &logical));
	pages = (body + page_size - 1) / page_size;
	if (d->ctl->json) {
		json_object_set_new(d->head, "layout",
				    json_pack("{s:I, s:I, s:I, s:I}", "first_page_offset", (json_int_t)BH_HEADER_LEN, "pages",
					      (json_int_t)pages, "last_page_bytes", (json_int_t)(body - (pages - 1) * page_size),
					      "logical_size", (json_int_t)logical));
		return BH_OK;
	}
	printf("size      %llu bytes; %llu of content\n", (unsigned long long)d->file.size, (unsigned long long)logical);
	printf("layout    %llu pages of %u bytes from offset %u on, the last of %llu\n", (unsigned long long)pages, page_size,
	       BH_HEADER_LEN, (unsigned long long)(body - (pages - 1) * page_size));
	return BH_OK;
}

typedef struct frame_sum {
	uint64_t frames;
	uint64_t end; /* offset behind the last whole one */
} frame_sum;

static bh_status show_frame(dump *d, uint64_t number, uint64_t off, size_t size)
{
	if (dump_enough(d))
		return BH_OK;
	if (d->ctl->json)
		return out_array_item(&d->array, json_pack("{s:I, s:I, s:I}", "frame", (json_int_t)number, "offset",
							   (json_int_t)off, "bytes", (json_int_t)size));
	d->array.count++;
	printf("  frame %llu at %llu: %zu bytes\n", (unsigned long long)number, (unsigned long long)off, size);
	return BH_OK;
}

/* Walks the frames by their lengths. */
static bh_status walk_frames(dump *d, bool show, frame_sum *sum)
{
	size_t size = 0;

	*sum = (frame_sum){ .end = BH_HEADER_LEN };
	for (;;) {
		BH_TRY(sealed_frame_size(&d->file, sum->end, &size));
		if (size == 0)
			return BH_OK;
		if (show)
			BH_TRY(show_frame(d, sum->frames, sum->end, size));
		sum->frames++;
		sum->end += size;
	}
}

static bh_status show_frames(dump *d)
{
	const uint8_t *mark = d->file.header + BH_SYNC_MARK_OFFSET;
	frame_sum sum;

	BH_TRY(walk_frames(d, false, &sum));
	if (d->ctl->json) {
		json_object_set_new(
			d->head, "layout",
			json_pack("{s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "first_frame_offset", (json_int_t)BH_HEADER_LEN,
				  "frames", (json_int_t)sum.frames, "bytes_behind_last_frame", (json_int_t)(d->file.size - sum.end),
				  "sync_mark", "offset", (json_int_t)BH_SYNC_MARK_OFFSET, "sequence", (json_int_t)bh_get_u64(mark),
				  "frames", (json_int_t)bh_get_u64(mark + 8), "bytes", (json_int_t)bh_get_u64(mark + 16)));
	} else {
		printf("size      %llu bytes\n", (unsigned long long)d->file.size);
		printf("layout    %llu frames from offset %u on; %llu bytes behind the last whole one\n",
		       (unsigned long long)sum.frames, BH_HEADER_LEN, (unsigned long long)(d->file.size - sum.end));
		printf("sync mark at %u: number %llu, %llu frames, %llu bytes\n", BH_SYNC_MARK_OFFSET,
		       (unsigned long long)bh_get_u64(mark), (unsigned long long)bh_get_u64(mark + 8),
		       (unsigned long long)bh_get_u64(mark + 16));
	}
	if (!d->raw)
		return BH_OK;
	BH_TRY(dump_begin(d, "frames"));
	return walk_frames(d, true, &sum);
}

static bh_status show_layout(dump *d)
{
	return bh_file_kind_is_paged(d->header.kind) ? show_pages(d) : show_frames(d);
}

/* ---- records */

static void show_owner(dump *d)
{
	char owner[BH_CF_NAME_SIZE];

	inspect_owner(&d->in, d->header.dek_id, owner);
	if (d->ctl->json)
		json_object_set_new(d->head, "owner", json_string(owner));
	else
		printf("owner     %s\n", owner);
}

/* CURRENT, IDENTITY, OPTIONS: their text. */
static bh_status dump_text(dump *d)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(sealed_text(&d->file, &d->in.scopes, &text));
	if (d->ctl->json)
		bh_json_set_bytes(d->head, "text", bh_buf_view(&text), d->hex);
	else
		fwrite(text.data, 1, text.len, stdout);
	return BH_OK;
}

/* What an operator has closed, this program does not open either. */
static bh_status check_suspended(const dump *d)
{
	const bh_dek_info *dek = inspect_dek(&d->in, d->header.dek_id);

	if (dek == NULL || inspect_why_locked(&d->in, dek) != BH_E_SUSPENDED)
		return BH_OK;
	return bh_fail(BH_E_SUSPENDED, "its merchant '%s' is suspended; resume it first", dek->scope.merchant);
}

static bh_status dump_records(dump *d, const char *dir)
{
	BH_TRY(inspect_open(d->ctl, dir, &d->in));
	BH_TRY(inspect_unlock(dir, &d->in));
	show_owner(d);
	BH_TRY(check_suspended(d));
	switch (d->header.kind) {
	case BH_KIND_SST: return dump_sst(d);
	case BH_KIND_BLOB: return dump_blob(d);
	case BH_KIND_WAL:
	case BH_KIND_MANIFEST: return dump_log(d);
	case BH_KIND_OTHER: return dump_text(d);
	}
	return BH_OK;
}

/* ---- which file, of which database */

static bool holds_keyring(const char *dir)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	return bh_buf_printf(&path, "%s/" BH_KEYRING_FILE, dir) == BH_OK && access((const char *)path.data, F_OK) == 0;
}

/* The database that `file` lies in: the nearest directory above it with a keyring; NULL: none. */
static bh_status find_database(const char *file, char **out)
{
	BH_CLEANUP(bhctl_freep) char *path = NULL;
	char *slash;

	BH_TRY(bhctl_absolute(file, &path));
	while ((slash = strrchr(path, '/')) != NULL && slash > path) {
		*slash = '\0';
		if (!holds_keyring(path))
			continue;
		*out = strdup(path);
		return *out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "%s: no memory", file);
	}
	return BH_OK;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static bh_status check_name(const char *path)
{
	const char *name = base_name(path);

	if (strcmp(name, "LOG") == 0 || strncmp(name, "LOG.old.", 8) == 0)
		return bh_fail(BH_E_UNSUPPORTED, "%s: RocksDB's info log is plain text; read it with less", path);
	if (strcmp(name, "LOCK") == 0)
		return bh_fail(BH_E_UNSUPPORTED, "%s: a lock file, which holds nothing", path);
	if (strcmp(name, BH_RESERVE_FILE) == 0)
		return bh_fail(BH_E_UNSUPPORTED, "%s: room that is kept for a full disk, which holds nothing", path);
	if (strcmp(name, BH_HOME_FILE) == 0)
		return bh_fail(BH_E_UNSUPPORTED, "%s: says where the database is at home, by a digest", path);
	if (strcmp(name, BH_AUDIT_FILE) == 0)
		return bh_fail(BH_E_UNSUPPORTED, "%s: the audit log is plain text; 'bhctl audit show' reads it", path);
	return BH_OK;
}

static bh_status run_sealed(dump *d, const char *dir)
{
	bh_status status = bh_header_parse(bh_view_of(d->file.header, d->file.header_len), &d->header);

	if (status != BH_OK)
		return bh_fail_prefix(status, "%s", d->path);
	show_header(d);
	BH_TRY(bh_fail_prefix(show_layout(d), "%s", d->path));
	if (d->raw)
		return BH_OK;
	if (dir == NULL)
		return bh_fail(BH_E_NO_KEY, "%s: lies in no database; give --db DIR to see its records, or --raw", d->path);
	return bh_fail_prefix(dump_records(d, dir), "%s", d->path);
}

static bh_status run(dump *d)
{
	BH_CLEANUP(bhctl_freep) char *found = NULL;

	BH_TRY(check_name(d->path));
	BH_TRY(sealed_open(d->path, &d->file));
	if (d->ctl->db == NULL)
		BH_TRY(find_database(d->path, &found));
	if (strcmp(base_name(d->path), BH_KEYRING_FILE) == 0)
		return dump_keyring(d, d->ctl->db != NULL ? d->ctl->db : found);
	return run_sealed(d, d->ctl->db != NULL ? d->ctl->db : found);
}

/* Ends the document: with what could be shown, and with why it was not all. A file that cannot be read at all has none. */
static bh_status finish_json(dump *d, bh_status status)
{
	json_t *tail = d->tail != NULL ? json_incref(d->tail) : json_object();

	if (!d->ctl->reported && status != BH_OK && json_object_get(d->head, "header") == NULL) {
		json_decref(tail);
		return status;
	}
	if (status != BH_OK)
		json_object_set_new(tail, "error", bh_json_error(status));
	if (d->ctl->reported) {
		BH_TRY(out_array_end(&d->array, tail));
		return status;
	}
	d->ctl->reported = true;
	json_object_update_new(d->head, tail);
	BH_TRY(out_json(json_incref(d->head)));
	return status;
}

bh_status cmd_dump(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(dump_clear) dump d = { .ctl = ctl, .file = SEALED_CLOSED };
	const char *limit = NULL;
	const bhctl_option options[] = {
		{ .name = "raw", .flag = &d.raw },
		{ .name = "hex", .flag = &d.hex },
		{ .name = "full", .flag = &d.full },
		{ .name = "limit", .value = &limit },
		{ 0 },
	};
	bh_status status;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	if (limit != NULL)
		BH_TRY(bhctl_number("--limit", limit, &d.limit));
	d.path = args[0];
	d.head = bh_json_with_text("file", d.path);
	d.tail = json_object();
	status = run(&d);
	return ctl->json ? finish_json(&d, status) : status;
}
