/* SPDX-License-Identifier: Apache-2.0
 *
 * test_platform_rotation.c: the platform gets new generations of DEKs while merchants serve. Logs, small files and the default
 * family's SSTs go onto the newest one, the older ones are destroyed; what is parked keeps the ones that it is under; the public
 * key, pins and signatures stay; a kill at every step.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <bulkhead/pin.h>

#include "rotation_fixture.h"

#include "engine/rotation/survey.h"
#include "env/files/raw_file.h"
#include "env/files/references.h"
#include "keyring/manifest/file.h"

#ifdef BH_SANITIZED
enum { STRIDE = 11, LOAD_GENERATIONS = 3 }; /* one in as many of the kill points */
#else
enum { STRIDE = 1, LOAD_GENERATIONS = 12 };
#endif

static const bh_scope platform;

static void platform_dek_id(bh_db *db, uint8_t out[BH_ID_LEN])
{
	bh_dek *dek = NULL;

	test_ok(bh_keyring_dek_current(db->keyring, &platform, &dek));
	memcpy(out, bh_dek_id(dek), BH_ID_LEN);
	bh_dek_unref(dek);
}

/* Nothing is swept that nobody asks for. */
static bh_db *open_unkept(const workspace *ws, const char *pin)
{
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &(bh_db_options){ .maintenance_ms = UINT_MAX, .pin = pin }, &db));
	return db;
}

/* ---- what lies under a DEK of the platform's */

typedef struct census {
	uint8_t dek_id[BH_ID_LEN];
	size_t under;  /* files whose header names it */
	size_t sealed; /* all sealed ones */
	char first[PATH_SIZE];
} census;

static void count_file(void *arg, const char *path)
{
	census *c = arg;
	bh_buf bytes = file_read(path);
	bh_header header;

	if (bytes.len >= BH_HEADER_LEN && bh_header_parse(bh_view_of(bytes.data, BH_HEADER_LEN), &header) == BH_OK) {
		c->sealed++;
		if (memcmp(header.dek_id, c->dek_id, BH_ID_LEN) == 0 && c->under++ == 0)
			snprintf(c->first, sizeof(c->first), "%s", path);
	}
	bh_buf_clear(&bytes);
}

static size_t files_under(const workspace *ws, const uint8_t dek_id[BH_ID_LEN])
{
	census c = { 0 };

	memcpy(c.dek_id, dek_id, BH_ID_LEN);
	tree_walk(ws->db, count_file, &c);
	test_check(c.sealed > 4);
	return c.under;
}

static void expect_none_under(const workspace *ws, const uint8_t dek_id[BH_ID_LEN])
{
	census c = { 0 };

	memcpy(c.dek_id, dek_id, BH_ID_LEN);
	tree_walk(ws->db, count_file, &c);
	if (c.under > 0)
		test_fail_at(__FILE__, __LINE__, "%zu files under an older generation of the platform's, %s first", c.under,
			     c.first);
}

/* ---- rotated */

static void look_read_only(const workspace *ws)
{
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &(bh_db_options){ .read_only = true }, &db));
	expect_both(db, false);
	bh_db_close(db);
}

static void rotated(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_unkept(ws, NULL));
	uint8_t first[BH_ID_LEN], public_key[BH_SIGN_PUBLIC_LEN], now[BH_SIGN_PUBLIC_LEN];
	char pin[BH_PIN_SIZE];
	bh_cf *a = test_cf(db, "a", "events");

	platform_dek_id(db, first);
	bh_signer_public(bh_keyring_signer(db->keyring), public_key);
	test_ok(bh_db_pin(db, pin));
	test_put(a, "before", "it");
	expect_generations(db, "", 1, 0, 1);
	test_ok(bh_merchant_rotate(db, "", NULL));
	/* From here on no log goes on under the older one, whatever becomes of the sweep. */
	expect_pins(db, "", true, false, false);
	test_put(a, "after", "it");
	test_ok(bh_merchant_sweep(db, "", NULL));
	expect_generations(db, "", 1, 1, 2);
	expect_none_under(ws, first);
	expect_both(db, false);
	test_put(a, "last", "row");
	bh_cf_close(a);
	bh_db_close(db);
	expect_none_under(ws, first);

	look_read_only(ws);
	db = open_unkept(ws, pin);
	bh_signer_public(bh_keyring_signer(db->keyring), now);
	test_check(memcmp(public_key, now, sizeof(now)) == 0);
	a = test_cf(db, "a", "events");
	test_expect(a, "before", "it");
	test_expect(a, "after", "it");
	test_expect(a, "last", "row");
	bh_cf_close(a);
	expect_both(db, false);
	test_ok(bh_merchant_sweep(db, "", NULL)); /* nothing to do */
	bh_db_close(db);
}

/* ---- a log that is sealed anew just when somebody looks at it, and what it was under destroyed */

typedef struct destroyed {
	const bh_scopes *real;
	const char *path, *fresh; /* what takes its place */
	size_t asked, visited;
} destroyed;

static bh_status dek_once_destroyed(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	destroyed *d = arg;

	if (d->asked++ > 0)
		return d->real->dek_by_id(d->real->arg, id, out);
	test_check(d->fresh == NULL || rename(d->fresh, d->path) == 0);
	return bh_fail(BH_E_SHREDDED, "is retired");
}

static void count_visit(void *arg, const uint8_t dek_id[BH_ID_LEN])
{
	destroyed *d = arg;

	(void)dek_id;
	d->visited++;
}

static void replaced_while_read(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_unkept(ws, NULL));
	char log[PATH_SIZE], path[PATH_SIZE], fresh[PATH_SIZE];
	destroyed d = { .real = bh_fs_scopes(db->fs), .path = path, .fresh = fresh };
	bh_scopes scopes = *d.real;

	path_join(path, ws->root, "000001.log");
	path_join(fresh, ws->root, "fresh");
	test_check(file_find(ws->db, ".log", 0, log));
	bh_buf bytes = file_read(log);
	file_write(path, bh_buf_view(&bytes));
	file_write(fresh, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
	scopes.arg = &d;
	scopes.dek_by_id = dek_once_destroyed;
	test_ok(bh_file_references(path, &scopes, count_visit, &d));
	test_check(d.asked > 1 && d.visited > 0);
	/* What nobody has replaced is under a key that is gone. */
	d = (destroyed){ .real = d.real, .path = path };
	test_status(bh_file_references(path, &scopes, count_visit, &d), BH_E_SHREDDED);
	bh_db_close(db);
}

/* ---- what is parked keeps the generation that it is under */

static void parked(const workspace *ws, way how, bool shred)
{
	bh_db *db = open_unkept(ws, NULL);
	const uint32_t newest = generations_of(db, "").newest;
	const size_t retired = generations_of(db, "").retired;
	uint8_t before[BH_ID_LEN];

	platform_dek_id(db, before);
	switch_off(db, "a", how);
	test_ok(bh_merchant_rotate(db, "", NULL));
	test_status(bh_merchant_sweep(db, "", NULL), BH_E_BUSY);
	test_message_names("parked/a");
	expect_generations(db, "", 2, retired, newest + 1);
	test_check(files_under(ws, before) > 0);
	if (how == BY_OPERATOR) { /* an open tries to bring back who was revoked */
		bh_db_close(db);
		db = open_unkept(ws, NULL);
		expect_generations(db, "", 2, retired, newest + 1);
	}
	if (shred)
		test_ok(bh_merchant_shred(db, "a", NULL));
	else
		test_ok(bh_merchant_resume(db, "a", NULL));
	test_ok(bh_merchant_sweep(db, "", NULL));
	expect_generations(db, "", 1, retired + 1, newest + 1);
	expect_none_under(ws, before);
	if (!shred)
		expect_both(db, false);
	bh_db_close(db);
}

static void beside_parked(void *arg)
{
	const workspace *ws = arg;
	bh_cf *b;
	bh_db *db;

	make_two(ws);
	parked(ws, BY_OPERATOR, false);
	parked(ws, REVOKED, false);
	parked(ws, REVOKED, true);
	db = test_db_open(ws, NULL);
	b = test_cf(db, "b", "events");
	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	bh_cf_close(b);
	bh_db_close(db);
}

static bool is_alone(bh_db *db)
{
	const struct timespec moment = { .tv_nsec = 20000000 };

	for (int i = 0; i < 3000 && generations_of(db, "").kept > 1; i++)
		nanosleep(&moment, NULL);
	return generations_of(db, "").kept == 1;
}

/* The database's own thread sweeps, leaves alone what is parked, and ends it when that is back. */
static void gone_on_with(void *arg)
{
	const struct timespec looks = { .tv_nsec = 300000000 };
	const workspace *ws = arg;
	uint8_t before[BH_ID_LEN];
	bh_db *db = NULL;

	make_two(ws);
	test_ok(bh_db_open(ws->db, &(bh_db_options){ .maintenance_ms = 20 }, &db));
	test_ok(bh_merchant_rotate(db, "", NULL));
	test_check(is_alone(db));
	platform_dek_id(db, before);
	switch_off(db, "a", BY_OPERATOR);
	test_ok(bh_merchant_rotate(db, "", NULL));
	nanosleep(&looks, NULL);
	test_check(generations_of(db, "").kept == 2);
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_check(is_alone(db));
	expect_none_under(ws, before);
	expect_both(db, false);
	bh_db_close(db);
}

/* Files are not parked while it is looked what still needs a generation, nor the other way round: the one would miss the other's.
 */
typedef struct turn {
	bh_db *db;
	_Atomic bool ended;
} turn;

static void *sweep_it(void *arg)
{
	turn *t = arg;

	test_ok(bh_merchant_sweep(t->db, "", NULL));
	atomic_store(&t->ended, true);
	return NULL;
}

static void *suspend_it(void *arg)
{
	turn *t = arg;

	switch_off(t->db, "a", BY_OPERATOR);
	atomic_store(&t->ended, true);
	return NULL;
}

static void waits_its_turn(bh_db *db, void *(*body)(void *))
{
	const struct timespec moment = { .tv_nsec = 300000000 };
	turn t = { .db = db };
	pthread_t thread;

	pthread_mutex_lock(&db->parking);
	test_check(pthread_create(&thread, NULL, body, &t) == 0);
	nanosleep(&moment, NULL);
	test_check(!atomic_load(&t.ended));
	pthread_mutex_unlock(&db->parking);
	pthread_join(thread, NULL);
}

static void in_turn(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), open_unkept(ws, NULL));

	test_ok(bh_merchant_rotate(db, "", NULL));
	waits_its_turn(db, sweep_it);
	expect_generations(db, "", 1, 1, 2);
	waits_its_turn(db, suspend_it);
	test_ok(bh_merchant_resume(db, "a", NULL));
	expect_both(db, false);
	bh_db_close(db);
}

/* ---- the CMK changes beside it */

static void rewrapped(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_rewrap_result result = { 0 };
	bh_kms *console = NULL;
	uint32_t version;

	switch_off(db, "a", BY_OPERATOR); /* so that two generations have a wrap */
	test_ok(bh_merchant_rotate(db, "", NULL));
	test_ok(bh_kms_open(test_cmk(ws, "platform"), NULL, &console));
	test_ok(bh_kms_rotate(console, &version));
	test_ok(bh_merchant_rewrap(db, "", NULL, &result));
	test_check(result.rewrapped == 3 && result.version == version && result.behind == 0);
	test_ok(bh_merchant_rewrap(db, "", &(bh_rewrap_options){ .cmk_uri = test_cmk(ws, "operator") }, &result));
	test_check(result.rewrapped == 3 && result.moved && result.rotated);
	test_ok(bh_kms_destroy(console, NULL));
	bh_kms_close(console);
	test_ok(bh_merchant_rotate(db, "", &(bh_rotate_options){ .exposed = true }));
	bh_db_close(db);

	db = test_db_open(ws, NULL);
	test_check(generations_of(db, "").newest == 4);
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_ok(bh_merchant_sweep(db, "", NULL));
	expect_generations(db, "", 1, 3, 4);
	expect_both(db, false);
	bh_db_close(db);
}

/* A KMS that says no leaves everything as it is. */
static void refused(void *arg)
{
	const workspace *ws = arg;
	bh_db *db = (make_two(ws), test_db_open(ws, NULL));
	bh_kms *console = NULL;

	test_ok(bh_kms_open(test_cmk(ws, "platform"), NULL, &console));
	test_ok(bh_kms_disable(console));
	test_status(bh_merchant_rotate(db, "", NULL), BH_E_KMS_REFUSED);
	expect_generations(db, "", 1, 0, 1);
	expect_both(db, false);
	test_ok(bh_kms_enable(console));
	test_ok(bh_merchant_rotate(db, "", NULL));
	bh_kms_close(console);
	bh_db_close(db);
	test_ok(bh_db_open(ws->db, &(bh_db_options){ .read_only = true }, &db));
	test_status(bh_merchant_rotate(db, "", NULL), BH_E_UNSUPPORTED);
	bh_db_close(db);
}

/* ---- under load, while RocksDB begins MANIFESTs, and so CURRENT, of its own */

typedef struct writer {
	bh_db *db;
	_Atomic bool stop;
	int rows;
} writer;

static void *write_rows(void *arg)
{
	writer *w = arg;
	bh_cf *a = test_cf(w->db, "a", "events"), *b = test_cf(w->db, "b", "events");

	for (; !atomic_load(&w->stop); w->rows++) {
		put_row(a, w->rows, row_len(w->rows));
		put_row(b, w->rows, row_len(w->rows));
		if (w->rows % 16 == 0)
			test_ok(bh_flush(w->rows % 32 == 0 ? a : b));
	}
	bh_cf_close(a);
	bh_cf_close(b);
	return NULL;
}

static void expect_rows(bh_db *db, int rows)
{
	bh_cf *a = test_cf(db, "a", "events"), *b = test_cf(db, "b", "events");

	for (int i = 0; i < rows; i++) {
		expect_put_row(a, i, row_len(i));
		expect_put_row(b, i, row_len(i));
	}
	bh_cf_close(a);
	bh_cf_close(b);
}

static void under_load(void *arg)
{
	const workspace *ws = arg;
	rocksdb_options_t *options = test_options_with(rocksdb_options_create(), "max_manifest_file_size=2000");
	writer w = { .db = (make_two(ws), test_db_open(ws, options)) };
	uint8_t seen[LOAD_GENERATIONS][BH_ID_LEN];
	pthread_t thread;

	test_check(pthread_create(&thread, NULL, write_rows, &w) == 0);
	for (int i = 0; i < LOAD_GENERATIONS; i++) {
		platform_dek_id(w.db, seen[i]);
		test_ok(bh_merchant_rotate(w.db, "", NULL));
		test_ok(bh_merchant_sweep(w.db, "", NULL));
	}
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	expect_generations(w.db, "", 1, LOAD_GENERATIONS, LOAD_GENERATIONS + 1);
	bh_db_close(w.db);
	for (int i = 0; i < LOAD_GENERATIONS; i++)
		expect_none_under(ws, seen[i]);
	w.db = test_db_open(ws, options);
	expect_both(w.db, false);
	expect_rows(w.db, w.rows);
	bh_db_close(w.db);
	rocksdb_options_destroy(options);
}

/* ---- kills */

static void rotate_and_sweep(void *arg)
{
	const kill_run *run = arg;
	bh_db *db;
	bh_cf *b;

	arm(run->at);
	db = test_db_open(run->ws, NULL);
	test_ok(bh_merchant_rotate(db, "", NULL));
	b = test_cf(db, "b", "events");
	test_put(b, "last", "word");
	bh_cf_close(b);
	test_ok(bh_merchant_sweep(db, "", NULL));
	bh_db_close(db);
}

/* Nothing is lost, and what was begun is gone on with. */
static void expect_whole(void *arg)
{
	const kill_run *run = arg;
	uint8_t newest[BH_ID_LEN];
	bh_db *db = test_db_open(run->ws, NULL);
	const generations found = generations_of(db, "");

	test_check(found.kept + found.retired == found.newest);
	expect_both(db, false);
	test_ok(bh_merchant_sweep(db, "", NULL));
	test_check(generations_of(db, "").kept == 1);
	expect_both(db, false);
	platform_dek_id(db, newest);
	bh_db_close(db);
	test_check(files_under(run->ws, newest) > 3);
	look_read_only(run->ws);
}

static void test_killed(void **state)
{
	kill_run run = { .ws = *state };
	bool survived = false;

	test_child_ok(make_two_child, *state);
	for (run.at = 1; !survived; run.at += STRIDE) {
		survived = test_child_survives(rotate_and_sweep, &run);
		test_child_ok(expect_whole, &run);
	}
	test_check(run.at > 10);
}

/* ---- */

#define IN_A_CHILD(body)                                                                                                           \
	static void test_##body(void **state)                                                                                      \
	{                                                                                                                          \
		test_child_ok(body, *state);                                                                                       \
	}

IN_A_CHILD(rotated)
IN_A_CHILD(beside_parked)
IN_A_CHILD(replaced_while_read)
IN_A_CHILD(gone_on_with)
IN_A_CHILD(in_turn)
IN_A_CHILD(rewrapped)
IN_A_CHILD(refused)
IN_A_CHILD(under_load)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(test_rotated),      SUSPEND_CASE(test_beside_parked),
		SUSPEND_CASE(test_in_turn),      SUSPEND_CASE(test_replaced_while_read),
		SUSPEND_CASE(test_gone_on_with), SUSPEND_CASE(test_rewrapped),
		SUSPEND_CASE(test_refused),      SUSPEND_CASE(test_under_load),
		SUSPEND_CASE(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
