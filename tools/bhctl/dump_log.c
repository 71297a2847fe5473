/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_log.c: the records of a WAL and the edits of a MANIFEST, and whose bytes are where.
 *
 * The stream reader blanks spans whose DEK is not available; here they are shown as such. Records are taken after every frame, so
 * that a family's DEK is still the one that the record's spans are under.
 */
#include <stdio.h>
#include <stdlib.h>

#include "env/spans/spans.h"
#include "env/spans/wal_spans.h"
#include "dump.h"
#include "env/fs/manifest_sum.h"
#include "env/spans/records.h"

/* What one family has of the file. */
typedef struct share {
	uint32_t family;
	uint64_t spans;
	uint64_t bytes;
	uint64_t first; /* logical offsets: of the first byte ... */
	uint64_t end;   /* ... and behind the last */
	uint8_t dek_id[BH_ID_LEN];
	bool available;
} share;

typedef struct log_dump {
	dump *d;
	bh_spans *spans; /* the reader's */
	bh_records records;
	bh_manifest_sum manifest; /* MANIFEST: for the names of families */
	share *shares;
	size_t share_count;
	uint64_t logical; /* bytes */
	bool no_memory;
} log_dump;

static void log_dump_clear(log_dump *l)
{
	bh_records_clear(&l->records);
	bh_manifest_sum_clear(&l->manifest);
	free(l->shares);
}

/* ---- whose bytes are where */

static share *share_of(log_dump *l, uint32_t family)
{
	share *grown;

	for (size_t i = 0; i < l->share_count; i++)
		if (l->shares[i].family == family)
			return &l->shares[i];
	grown = realloc(l->shares, (l->share_count + 1) * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	l->shares = grown;
	grown[l->share_count] = (share){ .family = family, .first = UINT64_MAX };
	return &grown[l->share_count++];
}

static void observe(void *arg, uint64_t off, size_t len, uint32_t family)
{
	log_dump *l = arg;
	share *s = share_of(l, family);

	if (s == NULL) {
		l->no_memory = true;
		return;
	}
	s->spans++;
	s->bytes += len;
	s->first = BH_MIN(s->first, off);
	s->end = BH_MAX(s->end, off + len);
}

/* The DEK of a family at this place; false: its bytes cannot be shown. */
static bool family_key(const log_dump *l, uint32_t family, uint8_t dek_id_out[BH_ID_LEN])
{
	bool available = false;

	memset(dek_id_out, 0, BH_ID_LEN);
	return bh_spans_family(l->spans, family, dek_id_out, &available) == BH_OK && available;
}

/* "merchant/class" of a family, by the MANIFEST or else by its DEK. */
static void family_name(const log_dump *l, uint32_t family, char out[BH_CF_NAME_SIZE])
{
	const bh_manifest_sum_family *known = bh_manifest_sum_family_of(&l->manifest, family);
	uint8_t dek_id[BH_ID_LEN];

	if (family == BH_CF_DEFAULT) {
		snprintf(out, BH_CF_NAME_SIZE, "platform");
	} else if (known != NULL) {
		bh_cf_name_format(&known->scope, out);
	} else {
		(void)family_key(l, family, dek_id);
		inspect_owner(&l->d->in, dek_id, out);
	}
}

static json_t *shares_json(const log_dump *l)
{
	json_t *shares = json_array();

	for (size_t i = 0; i < l->share_count; i++) {
		const share *s = &l->shares[i];
		char name[BH_CF_NAME_SIZE];
		uint8_t dek_id[BH_ID_LEN];
		bool available = family_key(l, s->family, dek_id);
		json_t *item;

		family_name(l, s->family, name);
		item = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "owner", name, "family", (json_int_t)s->family, "spans",
				 (json_int_t)s->spans, "bytes", (json_int_t)s->bytes, "first_offset", (json_int_t)s->first,
				 "end_offset", (json_int_t)s->end, "key_available", available);
		bh_json_set_id(item, "dek", dek_id);
		json_array_append_new(shares, item);
	}
	return shares;
}

/* What belongs to whom; the rest is the platform's. */
static void show_shares(const log_dump *l)
{
	uint64_t rest = l->logical;

	for (size_t i = 0; i < l->share_count; i++)
		rest -= BH_MIN(rest, l->shares[i].bytes);
	if (l->d->ctl->json) {
		json_object_set_new(l->d->tail, "owners", shares_json(l));
		json_object_set_new(l->d->tail, "platform_bytes", json_integer((json_int_t)rest));
		return;
	}
	printf("bytes by owner:\n  %-40s %llu bytes\n", "platform", (unsigned long long)rest);
	for (size_t i = 0; i < l->share_count; i++) {
		const share *s = &l->shares[i];
		char name[BH_CF_NAME_SIZE], dek[BH_ID_HEX_SIZE];
		uint8_t dek_id[BH_ID_LEN];
		bool available = family_key(l, s->family, dek_id);

		family_name(l, s->family, name);
		bh_hex(dek_id, BH_ID_LEN, dek);
		printf("  %-40s %llu bytes in %llu spans, offsets %llu to %llu, DEK %s%s\n", name, (unsigned long long)s->bytes,
		       (unsigned long long)s->spans, (unsigned long long)s->first, (unsigned long long)s->end, dek,
		       available ? "" : " <no key>");
	}
}

/* ---- WAL */

static json_t *entry_json(const log_dump *l, const bh_wal_entry *entry, uint64_t sequence)
{
	static const char *const names[] = { "key", "value" };
	char owner[BH_CF_NAME_SIZE];
	uint8_t dek_id[BH_ID_LEN];
	bool available = entry->cf_id == BH_CF_DEFAULT || family_key(l, entry->cf_id, dek_id);
	json_t *item = json_pack("{s:s, s:I}", "op", entry->name, "family", (json_int_t)entry->cf_id);

	family_name(l, entry->cf_id, owner);
	json_object_set_new(item, "owner", json_string(owner));
	if (entry->numbered)
		json_object_set_new(item, "sequence", json_integer((json_int_t)sequence));
	for (unsigned i = 0; i < BH_MIN(entry->string_count, 2u); i++)
		dump_set_bytes(l->d, item, names[i], entry->strings[i], available);
	return item;
}

static void print_entry(const log_dump *l, const bh_wal_entry *entry, uint64_t sequence)
{
	char owner[BH_CF_NAME_SIZE];
	uint8_t dek_id[BH_ID_LEN];
	bool available = entry->cf_id == BH_CF_DEFAULT || family_key(l, entry->cf_id, dek_id);

	family_name(l, entry->cf_id, owner);
	if (entry->numbered)
		printf("  %llu %s %s ", (unsigned long long)sequence, entry->name, owner);
	else
		printf("  - %s %s ", entry->name, owner);
	for (unsigned i = 0; i < entry->string_count; i++) {
		if (i > 0)
			printf(" = ");
		dump_bytes(l->d, entry->strings[i], available);
	}
	putchar('\n');
}

/* Calls for each entry, into `array` (JSON) or onto the page. */
static bh_status show_entries(const log_dump *l, bh_view batch, json_t *array)
{
	uint64_t sequence = bh_get_u64(batch.data);
	bh_view rest = bh_view_of(batch.data + BH_WAL_BATCH_HEADER, batch.len - BH_WAL_BATCH_HEADER);

	while (rest.len > 0) {
		bh_wal_entry entry = { 0 };

		BH_TRY(bh_wal_entry_read(&rest, &entry));
		if (array != NULL)
			json_array_append_new(array, entry_json(l, &entry, sequence));
		else
			print_entry(l, &entry, sequence);
		sequence += entry.numbered;
	}
	return BH_OK;
}

static bh_status show_batch(log_dump *l, const bh_record *rec)
{
	unsigned entries;
	bh_status status;
	json_t *array;

	if (rec->payload.len < BH_WAL_BATCH_HEADER)
		return bh_fail(BH_E_FORMAT, "record %llu: no write batch", (unsigned long long)rec->number);
	entries = bh_get_u32(rec->payload.data + 8);
	if (!l->d->ctl->json) {
		l->d->array.count++;
		printf("record %llu at %llu: %zu bytes, sequence %llu, %u entries\n", (unsigned long long)rec->number,
		       (unsigned long long)rec->off, rec->payload.len, (unsigned long long)bh_get_u64(rec->payload.data), entries);
		return show_entries(l, rec->payload, NULL);
	}
	array = json_array();
	status = show_entries(l, rec->payload, array);
	if (status != BH_OK) {
		json_decref(array);
		return status;
	}
	return out_array_item(&l->d->array, json_pack("{s:I, s:I, s:I, s:I, s:o}", "record", (json_int_t)rec->number, "offset",
						      (json_int_t)rec->off, "bytes", (json_int_t)rec->payload.len, "sequence",
						      (json_int_t)bh_get_u64(rec->payload.data), "entries", array));
}

/* ---- MANIFEST */

typedef struct edit_dump {
	log_dump *l;
	json_t *fields; /* NULL: text */
	bool available; /* the family's boundary keys */
} edit_dump;

/* A boundary: user key, sequence number, type. */
static void set_internal_key(const edit_dump *e, json_t *object, const char *name, bh_view key)
{
	uint64_t trailer;
	json_t *item = json_object();

	if (key.len < BH_INTERNAL_KEY_TRAILER) {
		json_decref(item);
		return;
	}
	dump_set_bytes(e->l->d, item, "key", bh_view_of(key.data, key.len - BH_INTERNAL_KEY_TRAILER), e->available);
	trailer = bh_get_u64(key.data + key.len - BH_INTERNAL_KEY_TRAILER);
	if (e->available) {
		json_object_set_new(item, "sequence", json_integer((json_int_t)(trailer >> 8)));
		json_object_set_new(item, "type", json_integer((json_int_t)(trailer & 0xff)));
	}
	json_object_set_new(object, name, item);
}

static void print_internal_key(const edit_dump *e, const char *name, bh_view key)
{
	uint64_t trailer;

	if (key.len < BH_INTERNAL_KEY_TRAILER)
		return;
	trailer = bh_get_u64(key.data + key.len - BH_INTERNAL_KEY_TRAILER);
	printf(", %s ", name);
	dump_bytes(e->l->d, bh_view_of(key.data, key.len - BH_INTERNAL_KEY_TRAILER), e->available);
	if (e->available)
		printf("@%llu:%u", (unsigned long long)(trailer >> 8), (unsigned)(trailer & 0xff));
}

static bool has_level(bh_version_what what)
{
	return what == BH_VERSION_FILE_ADDED || what == BH_VERSION_FILE_DELETED || what == BH_VERSION_CURSOR;
}

static bool is_blob(bh_version_what what)
{
	return what == BH_VERSION_BLOB_ADDED || what == BH_VERSION_BLOB_GARBAGE;
}

static bool has_number(const bh_version_field *f)
{
	return f->text.len == 0 && f->what != BH_VERSION_FAMILY_DROPPED && f->what != BH_VERSION_CURSOR;
}

static void add_field(const edit_dump *e, const bh_version_field *f)
{
	json_t *item = json_pack("{s:s}", "field", bh_version_what_name(f->what));

	if (has_level(f->what))
		json_object_set_new(item, "level", json_integer((json_int_t)f->level));
	if (has_number(f))
		json_object_set_new(item, "number", json_integer((json_int_t)f->number));
	if (is_blob(f->what))
		json_object_set_new(item, "blobs", json_integer((json_int_t)f->count));
	if (is_blob(f->what) || f->what == BH_VERSION_FILE_ADDED)
		json_object_set_new(item, "size", json_integer((json_int_t)f->size));
	if (f->blob != 0)
		json_object_set_new(item, "oldest_blob", json_integer((json_int_t)f->blob));
	if (f->what == BH_VERSION_HISTORY_CUT_OFF)
		dump_set_bytes(e->l->d, item, "timestamp", f->text, e->available);
	else if (f->text.len > 0)
		bh_json_set_bytes(item, "text", f->text, false);
	set_internal_key(e, item, "smallest", f->smallest);
	set_internal_key(e, item, "largest", f->largest);
	json_array_append_new(e->fields, item);
}

static void print_field(const edit_dump *e, const bh_version_field *f)
{
	printf("  %s", bh_version_what_name(f->what));
	if (has_level(f->what))
		printf(" level %u", f->level);
	if (has_number(f))
		printf(" %llu", (unsigned long long)f->number);
	if (is_blob(f->what))
		printf(", %llu blobs", (unsigned long long)f->count);
	if (is_blob(f->what) || f->what == BH_VERSION_FILE_ADDED)
		printf(", %llu bytes", (unsigned long long)f->size);
	if (f->blob != 0)
		printf(", refers to blob files from %llu on", (unsigned long long)f->blob);
	if (f->text.len > 0) {
		putchar(' ');
		dump_bytes(e->l->d, f->text, f->what != BH_VERSION_HISTORY_CUT_OFF || e->available);
	}
	print_internal_key(e, "smallest", f->smallest);
	print_internal_key(e, "largest", f->largest);
	putchar('\n');
}

static void show_field(void *arg, const bh_version_field *f)
{
	const edit_dump *e = arg;

	if (e->fields != NULL)
		add_field(e, f);
	else
		print_field(e, f);
}

static bh_status show_edit(log_dump *l, const bh_record *rec)
{
	edit_dump e = { .l = l, .fields = l->d->ctl->json ? json_array() : NULL };
	char owner[BH_CF_NAME_SIZE];
	uint8_t dek_id[BH_ID_LEN];
	uint32_t family;

	BH_TRY(bh_manifest_sum_take(&l->manifest, rec->payload));
	family = l->manifest.edit.cf_id;
	e.available = family == BH_CF_DEFAULT || family_key(l, family, dek_id);
	family_name(l, family, owner);
	if (e.fields == NULL)
		printf("edit %llu at %llu: %zu bytes, family %u (%s)\n", (unsigned long long)rec->number,
		       (unsigned long long)rec->off, rec->payload.len, family, owner);
	BH_TRY(bh_version_edit_walk(rec->payload, &l->manifest.edit, show_field, &e));
	if (e.fields != NULL)
		return out_array_item(&l->d->array, json_pack("{s:I, s:I, s:I, s:I, s:s, s:o}", "edit", (json_int_t)rec->number,
							      "offset", (json_int_t)rec->off, "bytes", (json_int_t)rec->payload.len,
							      "family", (json_int_t)family, "owner", owner, "fields", e.fields));
	l->d->array.count++;
	return BH_OK;
}

/* ---- both */

static bh_status show_record(void *arg, const bh_record *rec)
{
	log_dump *l = arg;

	if (dump_enough(l->d))
		return BH_OK;
	return l->d->header.kind == BH_KIND_WAL ? show_batch(l, rec) : show_edit(l, rec);
}

static bh_status take_ready(void *arg, bh_stream_reader *r)
{
	log_dump *l = arg;
	bh_view ready = bh_stream_reader_ready(r);

	BH_TRY(bh_records_feed(&l->records, ready, show_record, l));
	l->logical += ready.len;
	bh_stream_reader_consume(r, ready.len);
	return l->no_memory ? bh_fail(BH_E_NOMEM, "no memory for the owners of its bytes") : BH_OK;
}

static void show_end(const log_dump *l, const bh_stream_reader *r)
{
	static const char *const ends[] = {
		[BH_STREAM_OPEN] = "open",
		[BH_STREAM_CLEAN] = "clean",
		[BH_STREAM_TORN] = "torn",
		[BH_STREAM_DAMAGED] = "damaged",
	};
	const char *end = ends[bh_stream_reader_end(r)];

	if (l->d->ctl->json)
		json_object_set_new(l->d->tail, "end", json_string(end));
	else
		printf("end       %s, after frame %llu at %llu\n", end, (unsigned long long)bh_stream_reader_frame(r),
		       (unsigned long long)bh_stream_reader_offset(r));
}

static void reader_free(bh_stream_reader **r)
{
	bh_stream_reader_free(*r);
}

/* ---- the names of a WAL's families */

static bh_status drop_ready(void *arg, bh_stream_reader *r)
{
	(void)arg;
	bh_stream_reader_consume(r, bh_stream_reader_ready(r).len);
	return BH_OK;
}

static bh_status read_manifest(const dump *d, const char *path)
{
	BH_CLEANUP(sealed_close) sealed file = SEALED_CLOSED;
	BH_CLEANUP(reader_free) bh_stream_reader *r = NULL;

	BH_TRY(sealed_open(path, &file));
	BH_TRY(bh_stream_reader_new(bh_view_of(file.header, file.header_len), &d->in.scopes, false, &r));
	return sealed_pump(&file, r, drop_ready, NULL);
}

/* A DEK is only good for the class that the MANIFEST calls the family by. */
static bh_status read_names(const dump *d)
{
	BH_CLEANUP(sealed_close) sealed current = SEALED_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 }, name = { 0 };
	const char *slash = strrchr(d->path, '/');
	const int dir_len = slash != NULL ? (int)(slash - d->path) + 1 : 0;

	BH_TRY(bh_buf_printf(&path, "%.*sCURRENT", dir_len, d->path));
	BH_TRY(sealed_open((const char *)path.data, &current));
	BH_TRY(sealed_text(&current, &d->in.scopes, &name));
	path.len = 0;
	BH_TRY(bh_buf_append(&name, "", 1));
	BH_TRY(bh_buf_printf(&path, "%.*s%.*s", dir_len, d->path, (int)strcspn((const char *)name.data, "\n"),
			     (const char *)name.data));
	return read_manifest(d, (const char *)path.data);
}

/* A WAL that lies somewhere else is shown as well: whose its rows are, its DEKs say. */
static void find_names(const dump *d)
{
	bh_status status = d->header.kind == BH_KIND_WAL ? read_names(d) : BH_OK;

	if (status != BH_OK && status != BH_E_NOT_FOUND)
		fprintf(stderr, "bhctl: the MANIFEST beside it cannot be read, so families are known by their DEKs alone: %s\n",
			bh_status_message());
}

/* What nobody can open is shown as such. */
static bh_status allow_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	(void)arg;
	(void)cf_id;
	(void)file;
	return BH_OK;
}

bh_status dump_log(dump *d)
{
	BH_CLEANUP(log_dump_clear) log_dump l = { .d = d };
	BH_CLEANUP(reader_free) bh_stream_reader *r = NULL;
	bh_status status;

	find_names(d);
	d->in.scopes.cf_blank = allow_blank;
	BH_TRY(bh_stream_reader_new(bh_view_of(d->file.header, d->file.header_len), &d->in.scopes, false, &r));
	l.spans = bh_stream_reader_spans(r);
	bh_spans_observe(l.spans, observe, &l);
	BH_TRY(dump_begin(d, d->header.kind == BH_KIND_WAL ? "records" : "edits"));
	status = sealed_pump(&d->file, r, take_ready, &l);
	show_shares(&l);
	if (status == BH_OK)
		show_end(&l, r);
	return status;
}
