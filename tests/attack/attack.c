/* SPDX-License-Identifier: Apache-2.0
 *
 * attack.c: see attack.h.
 */
#include "attack.h"

#include <signal.h>
#include <unistd.h>

#include <xxhash.h>

#include "tests/support/slow_build.h"

enum {
#ifdef BH_SLOW_BUILD
	OPEN_MS = 30000,
#else
	OPEN_MS = 5000,
#endif
	CLASSES = 2,
	BIG_EVERY = 8, /* such a row is big and goes into a blob file */
	SMALL_LEN = 160,
	BIG_LEN = 3000,
	EXTRA_ROW = 99999, /* of bolt's second class, flushed on its own; it may be there or not */
};

#define MANIFEST_BEFORE ".manifest" /* beside the database: the MANIFEST before that flush */

static const char *const merchants[MERCHANTS] = { "acme", "bolt" };
static const char *const classes[CLASSES] = { "rows", "more" };

/* ---- rows: a value follows from where it is written */

static bh_view row_value(const char *database, int merchant, int cls, const char *key, char out[BIG_LEN])
{
	bool big = key[0] == 'r' && atoi(key + 1) % BIG_EVERY == 0;
	size_t len = big ? BIG_LEN : SMALL_LEN;
	char unit[64];
	size_t unit_len = (size_t)snprintf(unit, sizeof(unit), "%s/%s/%s/%s,", database, merchants[merchant], classes[cls], key);

	for (size_t i = 0; i < len; i++)
		out[i] = unit[i % unit_len];
	return bh_view_of(out, len);
}

static void put_row(bh_cf *cf, const char *database, int merchant, int cls, const char *key, bool sync)
{
	const bh_write_options options = { .sync = sync };
	char value[BIG_LEN];

	test_ok(bh_put(cf, &options, bh_view_str(key), row_value(database, merchant, cls, key, value)));
}

/* ---- making it */

static rocksdb_options_t *victim_options(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_compression(options, rocksdb_no_compression);
	rocksdb_options_set_disable_auto_compactions(options, 1);
	rocksdb_options_set_enable_blob_files(options, 1);
	rocksdb_options_set_min_blob_size(options, BIG_LEN);
	rocksdb_options_set_write_buffer_size(options, 1 << 20); /* logs are preallocated by it */
	rocksdb_options_set_manifest_preallocation_size(options, 1 << 16);
	return options;
}

struct fill {
	workspace ws;
	const char *database; /* goes into the values */
	bh_db *db;
	bh_cf *cf[MERCHANTS][CLASSES];
};

static void fill_tables(struct fill *f, int flush)
{
	char key[16];

	for (int m = 0; m < MERCHANTS; m++)
		for (int c = 0; c < CLASSES; c++) {
			for (int i = 0; i < ROWS_A_FLUSH; i++) {
				snprintf(key, sizeof(key), "r%05d", flush * ROWS_A_FLUSH + i);
				put_row(f->cf[m][c], f->database, m, c, key, false);
			}
			test_ok(bh_flush(f->cf[m][c]));
		}
}

static void fill_log(struct fill *f, int from, int to, int synced)
{
	char key[16];

	for (int i = from; i < to; i++) {
		snprintf(key, sizeof(key), "w%05d", i);
		put_row(f->cf[i % MERCHANTS][0], f->database, i % MERCHANTS, 0, key, i + 1 == synced);
	}
}

static void keep_manifest(const struct fill *f)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	char path[PATH_SIZE];

	test_check(file_find(f->ws.db, "MANIFEST-000009", 0, path));
	bytes = file_read(path);
	snprintf(path, sizeof(path), "%.480s" MANIFEST_BEFORE, f->ws.db);
	file_write(path, bh_buf_view(&bytes));
}

static void fill_and_die(void *arg)
{
	struct fill *f = arg;
	rocksdb_options_t *options = victim_options();

	test_db_create(&f->ws, options);
	f->db = test_db_open(&f->ws, options);
	for (int m = 0; m < MERCHANTS; m++) {
		test_merchant_add(&f->ws, f->db, merchants[m], classes[0], classes[1]);
		for (int c = 0; c < CLASSES; c++)
			f->cf[m][c] = test_cf(f->db, merchants[m], classes[c]);
	}
	for (int i = 0; i < FLUSHES; i++)
		fill_tables(f, i);
	fill_log(f, 0, OLD_LOG_ROWS, OLD_LOG_ROWS);
	keep_manifest(f);
	/* Flushing a class that the log rows are not in begins a new log and keeps the old one. */
	put_row(f->cf[BOLT][1], f->database, BOLT, 1, "r99999", false);
	test_ok(bh_flush(f->cf[BOLT][1]));
	fill_log(f, OLD_LOG_ROWS, LOG_ROWS, LOG_SYNCED);
	raise(SIGKILL);
}

static void list_file(void *arg, const char *path)
{
	victim *v = arg;
	victim_file *file = &v->files[v->file_count++];

	test_check(v->file_count <= VICTIM_FILES_MAX);
	snprintf(file->name, sizeof(file->name), "%s", path + strlen(v->keys_dir) + 1);
	test_ok(bh_fs_classify(v->keys.fs, path, &file->info));
	if (strcmp(file->name, BH_KEYRING_FILE) == 0 || strcmp(file->name, BH_AUDIT_FILE) == 0)
		file->info.sealed = false;
}

/* Hundreds of copies are opened, and nothing here is about power cuts: memory will do. BH_TEST_MEMORY: a folder there, of
 * whoever runs all tests and removes what they leave. */
static void prefer_memory(void)
{
	const char *memory = getenv("BH_TEST_MEMORY");

	if (memory != NULL)
		setenv("TMPDIR", memory, 1);
	else if (getenv("TMPDIR") == NULL && access("/dev/shm", R_OK | W_OK | X_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
}

bool attack_is_due(void)
{
#ifdef BH_SANITIZED
	enum { ONE_IN = 4 };
#else
	enum { ONE_IN = 1 };
#endif
	static unsigned asked;

	return asked++ % ONE_IN == 0;
}

void victim_make(victim *v)
{
	struct fill fill = { .database = "victim" };

	memset(v, 0, sizeof(*v));
	prefer_memory();
	workspace_open(&v->ws);
	fill.ws = v->ws;
	test_child_killed(fill_and_die, &fill);
	path_join(v->twin, v->ws.root, "twin");
	snprintf(fill.ws.db, sizeof(fill.ws.db), "%s", v->twin);
	fill.database = "twin";
	test_child_killed(fill_and_die, &fill);
	path_join(v->keys_dir, v->ws.root, "keys");
	tree_copy(v->ws.db, v->keys_dir);
	decryptor_open(&v->keys, v->keys_dir);
	test_check(v->keys.locked_out[0] == '\0');
	tree_walk(v->keys_dir, list_file, v);
	for (size_t i = 0; i < v->file_count; i++)
		if (v->files[i].info.kind == BH_KIND_WAL) {
			v->wal[0] = v->wal[1];
			v->wal[1] = v->files[i].name;
		}
}

void victim_clear(victim *v)
{
	decryptor_close(&v->keys);
	workspace_close(&v->ws);
}

int victim_setup(void **state)
{
	*state = calloc(1, sizeof(victim));
	victim_make(*state);
	return 0;
}

int victim_teardown(void **state)
{
	victim_clear(*state);
	free(*state);
	return 0;
}

const bh_scopes *victim_scopes(const victim *v)
{
	return bh_fs_scopes(v->keys.fs);
}

bh_buf victim_read(const victim *v, const char *name)
{
	char path[PATH_SIZE];

	path_join(path, v->ws.db, name);
	test_check(file_exists(path));
	return file_read(path);
}

bh_buf victim_read_twin(const victim *v, const char *name)
{
	char path[PATH_SIZE];

	path_join(path, v->twin, name);
	test_check(file_exists(path));
	return file_read(path);
}

bh_buf victim_read_earlier_manifest(const victim *v)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%.480s" MANIFEST_BEFORE, v->ws.db);
	test_check(file_exists(path));
	return file_read(path);
}

const char *victim_find(const victim *v, const char *prefix, const char *suffix, size_t skip)
{
	for (size_t i = 0; i < v->file_count; i++) {
		const char *name = v->files[i].name;
		size_t len = strlen(name), tail = strlen(suffix);

		if (strncmp(name, prefix, strlen(prefix)) != 0 || len < tail || strcmp(name + len - tail, suffix) != 0)
			continue;
		if (skip-- == 0)
			return name;
	}
	test_fail_at(__FILE__, __LINE__, "the victim has no file %s...%s", prefix, suffix);
}

size_t frame_size_at(bh_file_kind kind, bh_view file, size_t off)
{
	bh_frame_head head;

	test_check(bh_frame_head_read(kind, bh_view_of(file.data + off, file.len - off), &head));
	return bh_frame_size(&head);
}

void frames_find(const victim *v, bh_view file, frames *out)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	bh_sync_mark mark;

	memset(out, 0, sizeof(*out));
	test_ok(bh_header_open(bh_view_of(file.data, BH_HEADER_LEN), victim_scopes(v), &key));
	test_ok(bh_sync_mark_open(key.aead, file.data + BH_SYNC_MARK_OFFSET, &mark));
	out->synced = (size_t)mark.point.frames;
	out->mark_off = (size_t)mark.point.physical;
	out->off[0] = BH_HEADER_LEN;
	while (out->off[out->count] < file.len) {
		size_t off = out->off[out->count];

		test_check(out->count < 4096);
		out->off[out->count + 1] = off + frame_size_at(key.header.kind, file, off);
		out->count++;
	}
	test_check(out->off[out->count] == file.len && out->off[out->synced] == out->mark_off);
}

/* ---- opening a copy */

struct reading {
	report report;
	bool log[LOG_ROWS];
};

static void note(struct reading *r, merchant_report *m, bh_status status)
{
	if (status == BH_OK)
		return;
	m->status = m->status == BH_OK ? status : m->status;
	if (r->report.message[0] == '\0')
		snprintf(r->report.message, sizeof(r->report.message), "%s", bh_status_message());
}

static void read_row(struct reading *r, int merchant, int cls, bh_view k, bh_view v, unsigned *tables)
{
	char key[16] = { 0 }, value[BIG_LEN];
	merchant_report *m = &r->report.merchant[merchant];
	bh_view want;
	int number;

	memcpy(key, k.data, BH_MIN(k.len, sizeof(key) - 1));
	want = row_value("victim", merchant, cls, key, value);
	number = atoi(key + 1);
	if (k.len != 6 || v.len != want.len || memcmp(v.data, want.data, want.len) != 0)
		m->wrong++;
	else if (key[0] == 'w' && cls == 0 && number < LOG_ROWS && number % MERCHANTS == merchant)
		r->log[number] = true;
	else if (key[0] == 'r' && number < FLUSHES * ROWS_A_FLUSH)
		(*tables)++;
	else if (key[0] != 'r' || number != EXTRA_ROW)
		m->wrong++;
}

static void read_class(struct reading *r, bh_db *db, int merchant, int cls)
{
	merchant_report *m = &r->report.merchant[merchant];
	unsigned tables = 0, want = FLUSHES * ROWS_A_FLUSH;
	bh_iter *iter = NULL;
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, merchants[merchant], classes[cls], &cf);

	if (status == BH_OK)
		status = bh_iter_new(cf, NULL, &iter);
	if (status == BH_OK)
		status = bh_iter_first(iter);
	while (status == BH_OK && bh_iter_valid(iter)) {
		bh_view k, v;

		status = bh_iter_entry(iter, &k, &v);
		if (status == BH_OK)
			read_row(r, merchant, cls, k, v, &tables);
		if (status == BH_OK)
			status = bh_iter_next(iter);
	}
	note(r, m, status);
	m->missing += tables < want ? want - tables : 0;
	bh_iter_free(iter);
	bh_cf_close(cf);
}

static void count_log(struct reading *r)
{
	bool ended = false;

	for (int i = 0; i < LOG_ROWS; i++) {
		if (r->report.merchant[i % MERCHANTS].status != BH_OK)
			continue;
		r->report.log_rows += r->log[i];
		ended = ended || !r->log[i];
		r->report.hole |= ended && r->log[i];
	}
}

static void open_and_read(void *arg, int out_fd)
{
	attack *a = arg;
	rocksdb_options_t *rocksdb = victim_options();
	const bh_db_options options = { .rocksdb = rocksdb };
	struct reading r = { 0 };
	bh_db *db = NULL;

	r.report.open = bh_db_open(a->dir, &options, &db);
	if (r.report.open != BH_OK)
		snprintf(r.report.message, sizeof(r.report.message), "%s", bh_status_message());
	for (int m = 0; db != NULL && m < MERCHANTS; m++)
		for (int c = 0; c < CLASSES; c++)
			read_class(&r, db, m, c);
	count_log(&r);
	bh_db_close(db);
	rocksdb_options_destroy(rocksdb);
	child_say(out_fd, &r.report, sizeof(r.report));
}

attack attack_begin(const victim *v, const char *what)
{
	attack a = { .v = v, .what = what };

	path_join(a.dir, v->ws.root, "attacked");
	tree_remove(a.dir);
	tree_copy(v->ws.db, a.dir);
	return a;
}

void attack_put(const attack *a, const char *name, bh_view bytes)
{
	char path[PATH_SIZE];

	path_join(path, a->dir, name);
	file_write(path, bytes);
}

void attack_relist(const attack *a, const char *name, uint64_t end)
{
	bh_keyring *keyring = NULL;
	uint64_t number = strtoull(name + strcspn(name, "0123456789"), NULL, 10);
	bh_ledger ledger;

	test_ok(bh_keyring_open(a->dir, NULL, true, &keyring));
	bh_keyring_ledger(keyring, &ledger);
	for (size_t i = 0; i < ledger.manifest_count; i++)
		if (ledger.manifests[i].number == number)
			ledger.manifests[i].end = end;
	for (size_t i = 0; i < ledger.wal_count; i++)
		if (ledger.wals[i].number == number)
			ledger.wals[i].end = end;
	test_ok(bh_keyring_ledger_put(keyring, &ledger));
	bh_keyring_close(keyring);
}

static void describe_and_fail(const attack *a, const char *expected)
{
	const report *r = &a->report;

	test_fail_at(
		__FILE__, __LINE__,
		"%s: expected: %s; open: %s; acme: %s, %u wrong, %u missing; bolt: %s, %u wrong, %u missing; %u log rows%s; %s",
		a->what, expected, bh_status_name(r->open), bh_status_name(r->merchant[ACME].status), r->merchant[ACME].wrong,
		r->merchant[ACME].missing, bh_status_name(r->merchant[BOLT].status), r->merchant[BOLT].wrong,
		r->merchant[BOLT].missing, r->log_rows, r->hole ? " with a hole" : "", r->message);
}

static uint64_t hash_file(const attack *a, size_t idx)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	char path[PATH_SIZE];

	path_join(path, a->dir, a->v->files[idx].name);
	bytes = file_read(path);
	audit_mask(path, &bytes);
	return file_exists(path) ? XXH3_64bits(bytes.data, bytes.len) : 0;
}

/* RocksDB renames its LOG before anything else. */
static bool is_info_log(const victim_file *file)
{
	return strncmp(file->name, "LOG", 3) == 0;
}

/* What it has in the live database goes to where it is parked. */
static bool changes_by_detach(const victim_file *file)
{
	return strcmp(file->name, BH_KEYRING_FILE) == 0 || strncmp(file->name, BH_TENANTS_DIR "/", sizeof(BH_TENANTS_DIR)) == 0;
}

static void check_unchanged(const attack *a, const uint64_t *hashes)
{
	for (size_t i = 0; i < a->v->file_count; i++)
		if (hash_file(a, i) != hashes[i] && !is_info_log(&a->v->files[i]) &&
		    !(a->may_detach && changes_by_detach(&a->v->files[i])))
			test_fail_at(__FILE__, __LINE__, "%s: the open was refused (%s), but %s is not what it was", a->what,
				     a->report.message, a->v->files[i].name);
}

void attack_open(attack *a)
{
	uint64_t hashes[VICTIM_FILES_MAX] = { 0 };
	child_end end;

	for (size_t i = 0; i < a->v->file_count; i++)
		hashes[i] = hash_file(a, i);
	end = child_run(OPEN_MS, open_and_read, a);
	if (end.timed_out || end.signal != 0 || end.code != 0 || end.said.len != sizeof(a->report))
		test_fail_at(__FILE__, __LINE__, "%s: the process that opened it %s (signal %d, exit code %d)", a->what,
			     end.timed_out ? "took too long" : "died", end.signal, end.code);
	memcpy(&a->report, end.said.data, sizeof(a->report));
	bh_buf_clear(&end.said);
	if (a->report.open != BH_OK)
		check_unchanged(a, hashes);
}

void attack_end(attack *a)
{
	tree_remove(a->dir);
}

/* ---- what is expected */

bool is_integrity(bh_status status)
{
	int code = bh_status_exit_code(status);

	return code == 6 || code == 10;
}

void attack_expect_refused(attack *a)
{
	if (!is_integrity(a->report.open))
		describe_and_fail(a, "a refused open");
	attack_end(a);
}

void attack_expect_foreign(attack *a)
{
	if (!is_integrity(a->report.open) && a->report.open != BH_E_NO_KEY)
		describe_and_fail(a, "a refused open, perhaps for want of a key");
	attack_end(a);
}

static bool is_whole(const merchant_report *m)
{
	return m->status == BH_OK && m->wrong == 0 && m->missing == 0;
}

void attack_expect_fails(attack *a, int merchant, bool open_must_succeed)
{
	const report *r = &a->report;
	const merchant_report *hit = &r->merchant[merchant], *other = &r->merchant[1 - merchant];
	bool refused = is_integrity(r->open) || r->open == BH_E_NO_KEY;
	bool fails =
		r->open == BH_OK && (is_integrity(hit->status) || hit->status == BH_E_NO_KEY) && hit->wrong == 0 && is_whole(other);

	if (!fails && (open_must_succeed || !refused))
		describe_and_fail(a,
				  merchant == ACME ? "acme cannot be read, bolt is whole" : "bolt cannot be read, acme is whole");
	attack_end(a);
}

void attack_expect_acme_fails(attack *a)
{
	attack_expect_fails(a, ACME, false);
}

void attack_expect_bolt_fails(attack *a)
{
	attack_expect_fails(a, BOLT, false);
}

void attack_expect_prefix(attack *a, unsigned least, unsigned most)
{
	const report *r = &a->report;

	if (r->open != BH_OK || !is_whole(&r->merchant[ACME]) || !is_whole(&r->merchant[BOLT]) || r->hole || r->log_rows < least ||
	    r->log_rows > most)
		describe_and_fail(a, "an exact prefix");
	attack_end(a);
}

void attack_file(const victim *v, const char *what, const char *name, bh_view bytes, attack_expect expect)
{
	attack a = attack_begin(v, what);

	attack_put(&a, name, bytes);
	attack_open(&a);
	expect(&a);
}
