/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keys_leave_memory.c: after a suspension, a revocation, a shred and a close, no key of the merchant is anywhere in the memory
 * of the process, neither as such nor expanded; and a cold start that leaves a merchant out brings neither its keys nor its rows
 * there.
 *
 * Keys are those that everything of the merchant lies under: the DEK of each class, the key of each file, the key of its spans in
 * each log. They and the canaries, which are keys and values of rows, are kept inverted (traces.h), in memory that the children of
 * a test share, so that a process that never had them can look for them. Memory that held rows and was freed is not promised to be
 * clean (README, Suspend and resume), so canaries are looked for where no row was ever decrypted.
 */
#include "suspend_fixture.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring/crypto/aead.h"
#include "keyring/crypto/kdf.h"
#include "tests/support/traces.h"
#include "keyring/base/random.h"

enum { LOCKED_BYTES = 4 << 20 };
enum { TRACED_MAX = 1024, FAMILIES = 4, CANARIES = 8, ROWS = 2000 };

typedef struct tracer {
	const workspace *ws;
	way how;
	bool openssl; /* the engine */
	traced_key keys[TRACED_MAX];
	size_t count;
	traced_key canaries[CANARIES];
	const bh_dek *dek; /* while its files are gone through */
} tracer;

static tracer *tracer_map(const workspace *ws)
{
	tracer *t = mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	test_check(t != MAP_FAILED);
	t->ws = ws;
	return t;
}

/* ---- what is looked for */

static void trace_derived(tracer *t, const char *label, bh_view fields, const uint8_t *salt)
{
	BH_CLEANUP(bh_buf_clear) bh_buf info = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	bh_view context = bh_dek_context(t->dek);

	test_check(t->count < TRACED_MAX);
	test_ok(bh_buf_append(&info, label, strlen(label) + 1));
	test_ok(bh_buf_append(&info, fields.data, fields.len));
	test_ok(bh_buf_append(&info, context.data, context.len));
	test_ok(bh_hkdf_secret(bh_dek_key(t->dek), bh_view_of(salt, BH_SALT_LEN), bh_buf_view(&info), BH_DEK_LEN, &key));
	t->keys[t->count++] = trace_of(key.data);
}

/* One of them is the class's. */
static void trace_families(tracer *t, const uint8_t bound[16], const uint8_t *salt)
{
	uint8_t fields[20];

	memcpy(fields, bound, 16);
	for (uint32_t id = 1; id <= FAMILIES; id++) {
		bh_put_u32(fields + 16, id);
		trace_derived(t, "bulkhead/1/family", bh_view_of(fields, sizeof(fields)), salt);
	}
}

/* The key of each file of the class, and the one of its sections in each log. */
static void trace_file(void *arg, const char *path)
{
	bh_buf bytes = file_read(path);
	tracer *t = arg;
	bh_header header;

	if (bh_header_parse(bh_buf_view(&bytes), &header) == BH_OK) {
		if (memcmp(header.dek_id, bh_dek_id(t->dek), BH_ID_LEN) == 0)
			trace_derived(t, "bulkhead/1/file", bh_view_of(bytes.data + 8, 16), header.salt);
		else
			trace_families(t, bytes.data + 8, header.salt);
	}
	bh_buf_clear(&bytes);
}

static void trace_class(bh_db *db, const char *cls, tracer *t)
{
	bh_scope scope = { .merchant = "a" };
	bh_dek *dek = NULL;

	snprintf(scope.cls, sizeof(scope.cls), "%s", cls);
	test_ok(bh_keyring_dek_current(db->keyring, &scope, &dek));
	t->dek = dek;
	t->keys[t->count++] = trace_of(bh_dek_key(dek).data);
	tree_walk(t->ws->db, trace_file, t);
	bh_dek_unref(dek);
}

static void expect_keys(const tracer *t, bool some)
{
	test_check((traces_count(t->keys, t->count) > 0) == some);
}

/* ---- a database whose keys have been used for all that they are for: SSTs written and read, WAL, MANIFEST, compaction, iterator
 */

typedef struct stage {
	bh_db *db;
	bh_cf *a, *b;
	bh_iter *iter;                /* on A */
	rocksdb_wal_iterator_t *tail; /* stands in the WAL's middle */
} stage;

static void stage_open(tracer *t, stage *s)
{
	char *error = NULL;

	make_two(t->ws);
	s->db = test_db_open(t->ws, NULL);
	s->a = test_cf(s->db, "a", "events");
	s->b = test_cf(s->db, "b", "events");
	for (int i = 0; i < ROWS; i++)
		put_row(s->a, i, row_len(i));
	test_ok(bh_flush(s->a));
	for (int i = 0; i < ROWS; i += 3)
		put_row(s->a, i, 20);
	test_ok(bh_compact(s->a, (bh_view){ 0 }, (bh_view){ 0 }));
	put_row(s->a, 1, 10);
	test_put(s->b, "k", "v");
	test_ok(bh_iter_new(s->a, NULL, &s->iter));
	test_ok(bh_iter_first(s->iter));
	s->tail = rocksdb_get_updates_since(bh_db_rocksdb(s->db), 1, NULL, &error);
	test_rocks_ok(error);
	trace_class(s->db, "events", t);
	trace_class(s->db, "profile", t);
	expect_keys(t, true); /* the search finds what is there */
}

static void stage_close(stage *s)
{
	if (s->tail != NULL)
		rocksdb_wal_iter_destroy(s->tail);
	bh_iter_free(s->iter);
	bh_cf_close(s->a);
	bh_cf_close(s->b);
	bh_db_close(s->db);
}

/* Gone, and nothing that B does brings them back. */
static void gone_from(const tracer *t, stage *s)
{
	expect_keys(t, false);
	test_put(s->b, "k", "v2");
	test_ok(bh_flush(s->b));
	test_expect(s->b, "k", "v2");
	expect_keys(t, false);
}

static void switched_off(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };

	stage_open(t, &s);
	switch_off(s.db, "a", t->how);
	gone_from(t, &s);
	stage_close(&s);
}

static void after_a_suspension(void **state)
{
	tracer *t = tracer_map(*state);

	t->how = BY_OPERATOR;
	test_child_ok(switched_off, t);
}

static void after_a_revocation(void **state)
{
	tracer *t = tracer_map(*state);

	t->how = REVOKED;
	test_child_ok(switched_off, t);
}

static void shredded(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };

	stage_open(t, &s);
	test_ok(bh_merchant_shred(s.db, "a", NULL));
	gone_from(t, &s);
	stage_close(&s);
}

static void after_a_shred(void **state)
{
	test_child_ok(shredded, tracer_map(*state));
}

/* Its KMS gives no answer: the CMK lives on, the DEKs do not. */
static void shredded_without_its_kms(void *arg)
{
	tracer *t = arg;
	char key[PATH_SIZE], away[PATH_SIZE];
	stage s = { 0 };

	stage_open(t, &s);
	path_join(key, t->ws->kms, "a.key.json");
	path_join(away, t->ws->root, "away");
	test_check(rename(key, away) == 0);
	test_check(bh_merchant_shred(s.db, "a", NULL) != BH_OK);
	gone_from(t, &s);
	stage_close(&s);
}

static void after_a_shred_without_its_kms(void **state)
{
	test_child_ok(shredded_without_its_kms, tracer_map(*state));
}

static void closed(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };

	stage_open(t, &s);
	stage_close(&s);
	expect_keys(t, false);
}

static void after_a_close(void **state)
{
	test_child_ok(closed, tracer_map(*state));
}

/* ---- while everybody is served */

/* The platform's DEK, and the key of each file under it. */
static void trace_platform(bh_db *db, tracer *t)
{
	static const bh_scope platform;
	bh_dek *dek = NULL;

	test_ok(bh_keyring_dek_current(db->keyring, &platform, &dek));
	t->dek = dek;
	t->keys[t->count++] = trace_of(bh_dek_key(dek).data);
	tree_walk(t->ws->db, trace_file, t);
	bh_dek_unref(dek);
}

/* As much as anybody may have; more for root. */
static void allow_locking(void)
{
	struct rlimit limit;

	test_check(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	if (limit.rlim_max < LOCKED_BYTES)
		limit.rlim_max = LOCKED_BYTES;
	limit.rlim_cur = BH_MIN(limit.rlim_max, (rlim_t)LOCKED_BYTES);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		test_fail_at(__FILE__, __LINE__, "RLIMIT_MEMLOCK has to be %d KiB for this test (ulimit -l)", LOCKED_BYTES / 1024);
}

/* OpenSSL keeps what it expands on its own heap, wiped when it is freed (docs/security.md). */
static void served(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };
	size_t needed;
	bool elsewhere;

	allow_locking();
	if (t->openssl)
		test_ok(bh_aead_select("openssl"));
	elsewhere = strcmp(bh_aead_engine_name(bh_aead_default()), "openssl") == 0;
	stage_open(t, &s);
	trace_platform(s.db, t);
	for (int i = 0; i < ROWS; i++) { /* read, overwrite, beside an iterator */
		put_row(s.a, i, 30);
		expect_put_row(s.a, i, 30);
	}
	test_ok(bh_flush(s.a));
	trace_class(s.db, "events", t);
	test_check(bh_secret_unlocked(&needed) == 0 && needed > 0);
	test_check((traces_unlocked(t->keys, t->count) > 0) == elsewhere);
	expect_keys(t, true);
	stage_close(&s);
	test_check(traces_count(t->keys, t->count) == 0);
}

static void served_from_locked_memory(void **state)
{
	test_child_ok(served, tracer_map(*state));
}

static void what_openssl_keeps_goes_with_its_files(void **state)
{
	tracer *t = tracer_map(*state);

	t->openssl = true;
	test_child_ok(served, t);
}

/* A passphrase is the caller's, and the keyring's while it is open: nobody else keeps one. */
static void under_a_passphrase(void *arg)
{
	tracer *t = arg;
	BH_CLEANUP(bh_secret_clear) bh_secret phrase = { 0 };
	uint8_t bytes[BH_DEK_LEN / 2];
	bh_db_options options = { 0 };
	char uri[PATH_SIZE + 32];
	bh_db *db = NULL;

	allow_locking();
	test_ok(bh_random(bytes, sizeof(bytes)));
	test_ok(bh_secret_init(&phrase, 2 * sizeof(bytes) + 1));
	bh_hex(bytes, sizeof(bytes), (char *)phrase.data);
	bh_wipe(bytes, sizeof(bytes));
	t->keys[t->count++] = trace_of(phrase.data);
	options.kms.passphrase = (const char *)phrase.data;
	snprintf(uri, sizeof(uri), "local:%s#platform", t->ws->kms);
	test_ok(bh_kms_create(uri, NULL, &options.kms));
	test_ok(bh_db_create(t->ws->db, "eu", uri, &options));
	test_ok(bh_db_open(t->ws->db, &options, &db));
	expect_keys(t, true);
	test_check(traces_unlocked(t->keys, t->count) == 0);
	bh_secret_clear(&phrase);
	test_check(traces_unlocked(t->keys, t->count) == 0);
	bh_db_close(db);
	expect_keys(t, false);
}

static void a_passphrase_is_in_locked_memory_alone(void **state)
{
	test_child_ok(under_a_passphrase, tracer_map(*state));
}

/* ---- a limit that is too small is said, with the one that is needed */

static void note_line(void *arg, const char *line)
{
	unsigned long needed;
	const char *at = strstr(line, " are needed");

	if (at == NULL || strstr(line, "RLIMIT_MEMLOCK is 64 KiB") == NULL)
		return;
	while (at > line && at[-1] != ';')
		at--;
	needed = strtoul(at, NULL, 10);
	*(unsigned long *)arg = needed;
}

/* Returns the KiB that were asked for; 0: none. */
static unsigned long open_with_limit(const workspace *ws, size_t bytes)
{
	const struct rlimit limit = { bytes, bytes };
	unsigned long needed = 0;
	const bh_db_options options = { .log = note_line, .log_arg = &needed };
	bh_db *db = NULL;

	test_check(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	test_ok(bh_db_open(ws->db, &options, &db));
	bh_db_close(db);
	return needed;
}

static void opened_under_limits(void *arg)
{
	const tracer *t = arg;
	pid_t child;
	int status;

	child = fork();
	if (child == 0) {
		unsigned long needed = open_with_limit(t->ws, 64 * 1024);

		_exit(needed >= 128 && needed < 64 * 1024 ? 0 : 1);
	}
	test_check(waitpid(child, &status, 0) == child && status == 0);
	child = fork();
	if (child == 0)
		_exit(open_with_limit(t->ws, 1024 * 1024) == 0 ? 0 : 1); /* what it asked for is enough */
	test_check(waitpid(child, &status, 0) == child && status == 0);
}

static void make_only(void *arg)
{
	make_two(((tracer *)arg)->ws);
}

static void a_limit_that_is_too_small_is_said(void **state)
{
	tracer *t = tracer_map(*state);

	test_child_ok(make_only, t);
	test_child_ok(opened_under_limits, t);
}

/* ---- cold start */

static void put_canary(bh_cf *cf, tracer *t, size_t i)
{
	uint8_t bytes[BH_DEK_LEN];

	test_ok(bh_random(bytes, sizeof(bytes)));
	t->canaries[i] = trace_of(bytes);
	if (i % 2 == 0)
		test_ok(bh_put(cf, NULL, bh_view_of(bytes, sizeof(bytes)), bh_view_str("value")));
	else
		test_ok(bh_put(cf, NULL, bh_view_of(&i, sizeof(i)), bh_view_of(bytes, sizeof(bytes))));
	bh_wipe(bytes, sizeof(bytes));
}

static void leave_behind(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };

	stage_open(t, &s);
	for (size_t i = 0; i < CANARIES; i++) {
		put_canary(s.a, t, i);
		if (i == CANARIES / 2)
			test_ok(bh_flush(s.a)); /* the others are in the WAL alone */
	}
	test_check(traces_count(t->canaries, CANARIES) > 0);
	test_ok(bh_sync_wal(s.db));
	trace_class(s.db, "events", t); /* with the files made since */
	stage_close(&s);
}

static void set_cmk(const tracer *t, bh_status (*change)(bh_kms *kms))
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(t->ws, "a"), NULL, &kms));
	test_ok(change(kms));
	bh_kms_close(kms);
}

/* In a process that has never had them: RocksDB recovers WAL and MANIFEST with A's bytes in them, and B is at work. */
static void open_without_a(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };

	s.db = test_db_open(t->ws, NULL);
	test_status(bh_cf_open(s.db, "a", "events", &s.a), BH_E_KMS_REFUSED);
	s.b = test_cf(s.db, "b", "events");
	gone_from(t, &s);
	test_ok(bh_compact(s.b, (bh_view){ 0 }, (bh_view){ 0 }));
	expect_keys(t, false);
	test_check(traces_count(t->canaries, CANARIES) == 0);
	stage_close(&s);
}

static void open_with_a(void *arg)
{
	tracer *t = arg;
	stage s = { 0 };
	size_t i = CANARIES - 1; /* the last is a value, and in the WAL */
	bh_buf value = { 0 };

	s.db = test_db_open(t->ws, NULL);
	s.a = test_cf(s.db, "a", "events");
	test_ok(bh_get(s.a, NULL, bh_view_of(&i, sizeof(i)), &value));
	expect_keys(t, true);
	test_check(traces_count(t->canaries, CANARIES) > 0);
	bh_buf_clear(&value);
	stage_close(&s);
}

static void nor_does_a_cold_start_without_it_bring_them(void **state)
{
	tracer *t = tracer_map(*state);

	test_child_ok(leave_behind, t);
	set_cmk(t, bh_kms_disable);
	test_child_ok(open_without_a, t); /* detached by this open */
	test_child_ok(open_without_a, t); /* and found detached */
	set_cmk(t, bh_kms_enable);
	test_child_ok(open_with_a, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(after_a_suspension),
		SUSPEND_CASE(after_a_revocation),
		SUSPEND_CASE(after_a_shred),
		SUSPEND_CASE(after_a_shred_without_its_kms),
		SUSPEND_CASE(after_a_close),
		SUSPEND_CASE(nor_does_a_cold_start_without_it_bring_them),
		SUSPEND_CASE(served_from_locked_memory),
		SUSPEND_CASE(what_openssl_keeps_goes_with_its_files),
		SUSPEND_CASE(a_passphrase_is_in_locked_memory_alone),
		SUSPEND_CASE(a_limit_that_is_too_small_is_said),
	};

	return cmocka_run_group_tests_name("keys_leave_memory", tests, NULL, NULL);
}
