/* SPDX-License-Identifier: Apache-2.0
 *
 * test_per_tenant_everywhere.c: every byte of a merchant, wherever RocksDB puts it, lies under that merchant's keys; once these are
 * destroyed nobody reads it, not even who has the platform key, every other merchant's key, and all older copies of the disk.
 *
 * Merchant acme's keys and values carry a random mark, as do bolt's and the platform's, which have marks of their own. They are
 * written in every way that RocksDB has, and the whole directory is copied at many moments: log only, flushed, overwritten,
 * deleted, during a compaction, after a reopen, before and after the shred. After the shred every file of every copy is decrypted
 * with all keys that the KMS still gives out, by the formats alone. Three controls say that a search without hits means something:
 *   - in the same pass, the marks of bolt and of the platform are found where they have to be;
 *   - with acme's CMK as it was before the shred, acme's marks are found where they have to be, by copy, place and kind of file;
 *   - a plain RocksDB prints the keys of a manual compaction into its LOG.
 * What is searched for are three parts of the mark, so that a shortened key counts, too; each as it is, and in hex as LOG prints
 * keys.
 */
#include "decryptor.h"
#include "everywhere.h"

#include <ctype.h>

#include "env/spans/manifest_spans.h"

/* ---- what is found */

/* Hits by kind of file; 0 is for files that are not sealed. */
typedef struct findings {
	const everywhere *e;
	const decryptor *d;
	const char *needle; /* NULL: three parts of `who`'s mark */
	int who;
	size_t hits[BH_KIND_OTHER + 1];
	size_t stored_hits;
	size_t refused;     /* acme's own files, for want of the key */
	size_t opened;      /* files with some content */
	size_t unsealed[2]; /* LOG, LOCK, KEYRING and AUDIT: files, bytes */
} findings;

static void to_upper(char *text)
{
	for (; *text != '\0'; text++)
		*text = (char)toupper((unsigned char)*text);
}

/* As it is, and in hex of either case. */
static size_t count_forms(bh_view bytes, const char *needle, size_t len)
{
	char hex[2 * MARK_LEN + 1];
	size_t hits = bytes_count(bytes, bh_view_of(needle, len));

	bh_hex((const uint8_t *)needle, len, hex);
	hits += bytes_count(bytes, bh_view_str(hex));
	to_upper(hex);
	return hits + bytes_count(bytes, bh_view_str(hex));
}

static size_t count(const findings *f, const bh_buf *bytes)
{
	const char *mark = f->e->mark[f->who];
	size_t hits = 0;

	if (f->needle != NULL)
		return bytes_count(bh_buf_view(bytes), bh_view_str(f->needle));
	for (size_t at = 0; at + PART_LEN <= MARK_LEN; at += PART_LEN)
		hits += count_forms(bh_buf_view(bytes), mark + at, PART_LEN);
	return hits;
}

static bool is_acmes(const decrypted *file)
{
	return strcmp(file->info.scope.merchant, "acme") == 0;
}

/* Every file opens whole, but for acme's own where its keys are not at hand. */
static void check_status(findings *f, const decrypted *file)
{
	bool locked = is_acmes(file) && decryptor_is_locked_out(f->d, "acme");

	if (locked && file->raw_status != BH_E_NO_KEY && file->raw_status != BH_E_SHREDDED)
		test_fail_at(__FILE__, __LINE__, "%s: opens without acme's key: %s", file->path, bh_status_name(file->raw_status));
	if (!locked && (file->raw_status != BH_OK || file->open_status != BH_OK))
		test_fail_at(__FILE__, __LINE__, "%s: %s, %s: %s", file->path, bh_status_name(file->raw_status),
			     bh_status_name(file->open_status), bh_status_message());
	f->refused += locked;
	f->opened += file->raw.len > 0;
}

static void search(findings *f, const decrypted *file)
{
	size_t stored = count(f, &file->stored), raw = count(f, &file->raw), opened = count(f, &file->opened);

	/* A stream or paged file that is being written while it is copied may be cut; that its parts open is seen in the other
	 * copies. */
	if (strcmp(f->d->dir, f->e->copies[COMPACTING]) != 0)
		check_status(f, file);
	if (f->who == ACME && f->needle == NULL && decryptor_is_locked_out(f->d, "acme") && stored + raw + opened > 0)
		test_fail_at(__FILE__, __LINE__, "%s: acme's bytes: %zu as stored, %zu under the file's key, %zu with spans opened",
			     file->path, stored, raw, opened);
	f->stored_hits += stored;
	/* Under the file's own key alone, the spans of a log stay sealed. */
	if (!bh_file_kind_is_paged(file->info.kind) && f->who != PLATFORM && raw > 0)
		test_fail_at(__FILE__, __LINE__, "%s: %zu times a merchant's bytes under the platform's key", file->path, raw);
	f->hits[file->info.sealed ? file->info.kind : 0] += file->info.sealed ? BH_MAX(raw, opened) : stored;
	f->unsealed[0] += !file->info.sealed;
	f->unsealed[1] += file->info.sealed ? 0 : file->stored.len;
}

typedef struct searches {
	findings *all;
	size_t count;
} searches;

static void search_each(void *arg, const decrypted *file)
{
	const searches *s = arg;

	for (size_t i = 0; i < s->count; i++)
		search(&s->all[i], file);
}

/* Decrypts a copy once for all that is searched in it. */
static void search_copy(const decryptor *d, findings *all, size_t count)
{
	searches s = { all, count };

	decryptor_walk(d, search_each, &s);
}

/* The attack: all keys but acme's. */
static void attack_copy(const everywhere *e, enum moment moment)
{
	findings all[3];
	const findings *a = &all[ACME], *b = &all[BOLT], *p = &all[PLATFORM];
	decryptor d;

	decryptor_open(&d, e->copies[moment]);
	test_check(decryptor_is_locked_out(&d, "acme") && !decryptor_is_locked_out(&d, "bolt"));
	for (int who = ACME; who <= PLATFORM; who++)
		all[who] = (findings){ .e = e, .d = &d, .who = who };
	search_copy(&d, all, 3);
	test_check(moment >= AFTER ? a->refused == 0 : moment == LOGGED || moment == COMPACTING || a->refused > 0);
	test_check(a->stored_hits == 0 && b->stored_hits == 0 && p->stored_hits == 0);
	test_check(a->unsealed[0] >= 3 && a->unsealed[1] > 1000);
	test_check(b->hits[BH_KIND_WAL] + b->hits[BH_KIND_SST] > 0);
	test_check(moment == LOGGED || b->hits[BH_KIND_MANIFEST] > 0);
	test_check(p->hits[BH_KIND_WAL] + p->hits[BH_KIND_SST] > 0);
	decryptor_close(&d);
}

/* Where acme's bytes have to be found when its key is there. */
static const struct expected {
	enum moment moment;
	bh_file_kind kind;
	const char *place;
} expected[] = {
	{ LOGGED, BH_KIND_WAL, "first" },       { LOGGED, BH_KIND_WAL, "batch" },       { FLUSHED, BH_KIND_SST, "first" },
	{ FLUSHED, BH_KIND_SST, "batch" },      { FLUSHED, BH_KIND_MANIFEST, "batch" }, { FLUSHED, BH_KIND_MANIFEST, "" },
	{ FLUSHED, BH_KIND_WAL, "second" },     { CHANGED, BH_KIND_WAL, "operand" },    { CHANGED, BH_KIND_WAL, "rangebegin" },
	{ CHANGED, BH_KIND_WAL, "rangeend" },   { SETTLED, BH_KIND_SST, "first" },      { SETTLED, BH_KIND_SST, "second" },
	{ SETTLED, BH_KIND_SST, "rangebegin" }, { SETTLED, BH_KIND_SST, "rangeend" },   { SETTLED, BH_KIND_SST, "operand" },
	{ SETTLED, BH_KIND_WAL, "huge" },       { MANY, BH_KIND_BLOB, "huge" },         { MANY, BH_KIND_SST, "small" },
	{ MANY, BH_KIND_MANIFEST, "huge" },     { COMPACTED, BH_KIND_SST, "third" },    { COMPACTED, BH_KIND_MANIFEST, "" },
	{ REOPENED, BH_KIND_SST, "operand" },   { REOPENED, BH_KIND_MANIFEST, "" },     { BEFORE, BH_KIND_WAL, "late" },
	{ BEFORE, BH_KIND_WAL, "batch" },       { BEFORE, BH_KIND_BLOB, "huge" },
};

enum { EXPECTED = sizeof(expected) / sizeof(expected[0]) };

static void check_found(const struct expected *x, const findings *f)
{
	if (f->hits[x->kind] == 0 || f->hits[0] != 0 || f->hits[BH_KIND_OTHER] != 0 || f->stored_hits != 0)
		test_fail_at(__FILE__, __LINE__, "control: copy %d, %s, '%s': %zu hits; %zu in plain files, %zu in other streams",
			     (int)x->moment, bh_file_kind_name(x->kind), x->place, f->hits[x->kind], f->hits[0],
			     f->hits[BH_KIND_OTHER]);
}

static void control_copy(const everywhere *e, enum moment moment, bool sst_readable)
{
	char needles[EXPECTED][MARK_LEN + 32];
	const struct expected *rows[EXPECTED];
	findings all[EXPECTED];
	size_t count = 0;
	decryptor d;

	decryptor_open(&d, e->copies[moment]);
	test_check(!decryptor_is_locked_out(&d, "acme"));
	for (size_t i = 0; i < EXPECTED; i++) {
		if (expected[i].moment != moment || (expected[i].kind == BH_KIND_SST && !sst_readable))
			continue;
		snprintf(needles[count], sizeof(needles[count]), "%s%s", e->mark[ACME], expected[i].place);
		all[count] = (findings){ .e = e, .d = &d, .who = ACME, .needle = needles[count] };
		rows[count++] = &expected[i];
	}
	search_copy(&d, all, count);
	for (size_t i = 0; i < count; i++)
		check_found(rows[i], &all[i]);
	decryptor_close(&d);
}

/* The control: with acme's key as well. */
static void control(const everywhere *e, bool sst_readable)
{
	for (int moment = LOGGED; moment <= BEFORE; moment++)
		control_copy(e, moment, sst_readable);
}

/* ---- the places that are easily missed are there at all */

struct cursors {
	const char *mark;
	size_t of_acme;
};

static void see_field(void *arg, const bh_version_field *field)
{
	struct cursors *c = arg;

	if (field->what == BH_VERSION_CURSOR)
		c->of_acme += bytes_count(field->smallest, bh_view_str(c->mark));
}

static void see_edit(void *arg, bh_view record)
{
	bh_version_edit edit = { 0 };

	test_ok(bh_version_edit_walk(record, &edit, see_field, arg));
	bh_version_edit_clear(&edit);
}

static void see_manifest(void *arg, const decrypted *file)
{
	if (file->info.sealed && file->info.kind == BH_KIND_MANIFEST)
		log_records(bh_buf_view(&file->opened), see_edit, arg);
}

static void check_compaction_left_traces(const everywhere *e)
{
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	struct cursors cursors = { .mark = e->mark[ACME] };
	char path[PATH_SIZE];
	decryptor d;

	path_join(path, e->copies[COMPACTED], "LOG");
	log = file_read(path);
	test_check(bytes_count(bh_buf_view(&log), bh_view_str("Manual compaction from level-")) > 0);
	decryptor_open(&d, e->copies[REOPENED]);
	decryptor_walk(&d, see_manifest, &cursors);
	decryptor_close(&d);
	test_check(cursors.of_acme > 0);
}

/* Every row that was ever written to bolt, and no other. */
static void check_bolt(const everywhere *e)
{
	bh_iter *iter = NULL;
	unsigned found = 0;

	test_ok(bh_iter_new(e->b, NULL, &iter));
	for (test_ok(bh_iter_first(iter)); bh_iter_valid(iter); test_ok(bh_iter_next(iter)), found++) {
		char key[128], value[128];
		bh_view k = everywhere_key(e, BOLT, found, "", key), v = everywhere_value(e, BOLT, found, "", value), got_k, got_v;

		test_ok(bh_iter_entry(iter, &got_k, &got_v));
		test_check(got_k.len == k.len && memcmp(got_k.data, k.data, k.len) == 0);
		test_check(got_v.len == v.len && memcmp(got_v.data, v.data, v.len) == 0);
	}
	test_check(found == e->rows_b);
	bh_iter_free(iter);
}

static void replace_tree(const char *from, const char *to)
{
	tree_remove(to);
	tree_copy(from, to);
}

/* ---- tests */

static void run(void *arg)
{
	const bool compressed = *(const bool *)arg;
	everywhere e = { 0 };
	char kms_before[PATH_SIZE], kms_after[PATH_SIZE];

	everywhere_init(&e, compressed);
	path_join(kms_before, e.ws.root, "kms-before");
	path_join(kms_after, e.ws.root, "kms-after");
	everywhere_before(&e);

	tree_copy(e.ws.kms, kms_before);
	test_ok(bh_merchant_shred(e.db, "acme", NULL));
	everywhere_after(&e);
	check_bolt(&e);
	everywhere_close(&e);
	everywhere_open(&e);
	check_bolt(&e);
	everywhere_close(&e);
	everywhere_copy(&e, LAST);

	for (int moment = 0; moment < MOMENTS; moment++)
		attack_copy(&e, moment);
	tree_copy(e.ws.kms, kms_after);
	replace_tree(kms_before, e.ws.kms);
	control(&e, !compressed);
	check_compaction_left_traces(&e);
	replace_tree(kms_after, e.ws.kms);

	everywhere_clear(&e);
}

static void test_nothing_of_a_shredded_merchant_is_found(void **state)
{
	bool compressed = false;

	(void)state;
	test_child_ok(run, &compressed);
}

static void test_nothing_is_found_with_compression(void **state)
{
	bool compressed = true;

	(void)state;
	test_child_ok(run, &compressed);
}

static void log_keys(void *arg)
{
	rocksdb_options_t *options = rocksdb_options_create();
	BH_CLEANUP(bh_buf_clear) bh_buf log = { 0 };
	char path[PATH_SIZE], *error = NULL;
	rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
	rocksdb_t *db;
	workspace ws;

	(void)arg;
	workspace_open(&ws);
	rocksdb_options_set_create_if_missing(options, 1);
	db = rocksdb_open(options, ws.db, &error);
	test_rocks_ok(error);
	for (int i = 0; i < 2; i++) {
		rocksdb_put(db, write, "a-canary", 8, "x", 1, &error);
		test_rocks_ok(error);
		rocksdb_compact_range(db, "a-canary", 8, "b-canary", 8);
	}
	rocksdb_close(db);
	path_join(path, ws.db, "LOG");
	log = file_read(path);
	test_check(count_forms(bh_buf_view(&log), "-canary", 7) > 0);
	rocksdb_writeoptions_destroy(write);
	rocksdb_options_destroy(options);
	workspace_close(&ws);
}

static void test_plain_rocksdb_logs_keys(void **state)
{
	(void)state;
	test_child_ok(log_keys, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_rocksdb_logs_keys),
		cmocka_unit_test(test_nothing_of_a_shredded_merchant_is_found),
		cmocka_unit_test(test_nothing_is_found_with_compression),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
