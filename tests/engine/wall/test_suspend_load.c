/* SPDX-License-Identifier: Apache-2.0
 *
 * test_suspend_load.c: suspension while merchants are at work: refused within a second, nobody else notices, nothing touches its
 * files, no growth over many cycles. For longer: BH_CYCLES=1000, BH_OFF_SECONDS=60.
 */
#include "suspend_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

enum {
#ifdef BH_SANITIZED
	CYCLES = 20,
#else
	CYCLES = 40, /* BH_CYCLES in the environment for more */
#endif
	WARM_UP = 16,  /* cycles, until all is there that is made once */
	LOAD_MS = 400, /* before and after the suspension under load */
	ROUNDS = 5,
	PATIENCE_MS = 30000,
	REFUSED_NS = 1000000000, /* from the call to the last operation that succeeds */
};

/* ---- under load */

typedef struct load {
	bh_cf *cf;
	_Atomic bool stop;
	_Atomic bool refused; /* ended by a refusal, as it should */
	_Atomic uint64_t done;
	_Atomic int64_t last_ns; /* when the last operation succeeded */
	bh_status want;          /* the refusal */
} load;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_ms(int ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void *load_thread(void *arg)
{
	load *l = arg;
	bh_buf value = { 0 };
	char key[16];

	for (int i = 0; !atomic_load(&l->stop); i++) {
		bh_status status = i % 2 ? bh_get(l->cf, NULL, row_key(key, i % 500 - 1), &value)
					 : bh_put(l->cf, NULL, row_key(key, i % 500), bh_view_str("under load"));

		if (status == l->want && status != BH_OK) {
			atomic_store(&l->refused, true);
			break;
		}
		test_check(status == BH_OK || status == BH_E_NO_SUCH_KEY);
		atomic_fetch_add(&l->done, 1);
		atomic_store(&l->last_ns, now_ns());
	}
	bh_buf_clear(&value);
	return NULL;
}

/* Returns how long after the call the last operation of A succeeded. A is off and on again, B at work all the time. */
static int64_t suspend_under_load(bh_db *db, load *a, load *b, way how)
{
	pthread_t threads[4];
	int64_t called, took, last;
	uint64_t before;

	for (int i = 0; i < 4; i++)
		test_check(pthread_create(&threads[i], NULL, load_thread, i < 2 ? a : b) == 0);
	sleep_ms(LOAD_MS);
	called = now_ns();
	switch_off(db, "a", how);
	took = now_ns() - called;
	before = atomic_load(&b->done);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	test_check(atomic_load(&a->refused));
	last = atomic_load(&a->last_ns) - called;
	sleep_ms(LOAD_MS);
	for (int ms = 0; atomic_load(&b->done) == before && ms < PATIENCE_MS; ms += 10)
		sleep_ms(10);
	test_check(atomic_load(&b->done) > before);
	test_ok(bh_merchant_resume(db, "a", NULL));
	atomic_store(&b->stop, true);
	for (int i = 2; i < 4; i++)
		pthread_join(threads[i], NULL);
	fprintf(stderr, "last of A %.1f ms after the call, which took %.1f ms\n", (double)last / 1e6, (double)took / 1e6);
	return last;
}

/* The promise is of Bulkhead, not of a machine that is busy with something else: one round of several has to keep it. */
static void under_load(void *arg)
{
	const kill_run *k = arg;
	int64_t best_ns = INT64_MAX;
	bh_db *db;

	make_two(k->ws);
	db = test_db_open(k->ws, NULL);
	for (int round = 0; round < ROUNDS && best_ns >= REFUSED_NS; round++) {
		load a = { .cf = test_cf(db, "a", "events"), .want = off_status(k->how) };
		load b = { .cf = test_cf(db, "b", "events"), .want = BH_OK };
		int64_t last_ns = suspend_under_load(db, &a, &b, k->how);

		best_ns = last_ns < best_ns ? last_ns : best_ns;
		test_expect(a.cf, "k2", "a2");
		bh_cf_close(a.cf);
		bh_cf_close(b.cf);
	}
	test_check(best_ns < REFUSED_NS);
	bh_db_close(db);
}

static void under_load_it_is_refused_within_a_second_and_b_goes_on(void **state)
{
	kill_run k = { .ws = *state, .how = BY_OPERATOR };

	test_child_ok(under_load, &k);
	workspace_close(*state);
	workspace_open(*state);
	k.how = REVOKED;
	test_child_ok(under_load, &k);
}

/* ---- over and over */

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	test_check(dir != NULL);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void count_file(void *arg, const char *path)
{
	(void)path;
	++*(size_t *)arg;
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0, ignored;

	test_check(f != NULL && fscanf(f, "%ld %ld", &ignored, &pages) == 2);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The longer it runs, the less a constant weighs. A sanitizer keeps what was freed, and says itself what was not. */
static void expect_no_growth(long before, long now, int cycles)
{
	fprintf(stderr, "%d cycles: %ld KiB more resident\n", cycles, now - before);
#ifndef BH_SANITIZED
	test_check(now - before < 16384 + 16L * cycles);
#endif
}

/* What a process has that takes part in it. */
typedef struct extent {
	size_t fds, files;
	long resident;
} extent;

/* With all that there is in as few SSTs as there can be: how many a compaction would find, be it in the platform's family, is no
 * growth. */
static extent measure(const workspace *ws, bh_db *db, bh_cf *a)
{
	extent now = { 0 };

	test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
	rocksdb_compact_range(bh_db_rocksdb(db), NULL, 0, NULL, 0);
	now.fds = open_files();
	tree_walk(ws->db, count_file, &now.files);
	now.resident = resident_kib();
	return now;
}

/* RocksDB removes what a compaction has replaced a moment later where something holds it yet. */
static bool settles_at(const workspace *ws, size_t fds, size_t files)
{
	for (int i = 0; i < 500; i++, usleep(10000)) {
		size_t now = 0;

		tree_walk(ws->db, count_file, &now);
		if (now <= files && open_files() <= fds)
			return true;
	}
	return false;
}

static void off_and_on(bh_db *db, bh_cf *a, int i)
{
	char key[16];

	test_ok(bh_put(a, NULL, row_key(key, i), bh_view_str("v")));
	switch_off(db, "a", i % 2 ? REVOKED : BY_OPERATOR);
	test_ok(bh_merchant_resume(db, "a", NULL));
	if (i % 8 == 7)
		test_ok(bh_compact(a, (bh_view){ 0 }, (bh_view){ 0 }));
}

static void over_and_over(void *arg)
{
	const char *asked = getenv("BH_CYCLES");
	const int cycles = WARM_UP + (asked != NULL ? atoi(asked) : CYCLES);
	const workspace *ws = arg;
	extent before = { 0 }, after;
	bh_cf *a;
	bh_db *db;

	make_two(ws);
	db = test_db_open(ws, NULL);
	a = test_cf(db, "a", "profile");
	for (int i = 0; i < cycles; i++) {
		if (i == WARM_UP)
			before = measure(ws, db, a);
		off_and_on(db, a, i);
	}
	after = measure(ws, db, a);
	for (int i = 0; i < cycles; i++) {
		char key[16] = { 0 };

		row_key(key, i);
		test_expect(a, key, "v");
	}
	expect_both(db, false);
	test_check(settles_at(ws, before.fds + 4, before.files + 6));
	expect_no_growth(before.resident, after.resident, cycles - WARM_UP);
	bh_cf_close(a);
	bh_db_close(db);
}

static void many_cycles_leave_no_growth(void **state)
{
	test_child_ok(over_and_over, *state);
}

/* ---- while it is off */

/* Descriptors of this process that are of A's files. */
static size_t open_in(const char *dir)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	size_t count = 0;

	test_check(fds != NULL);
	while ((entry = readdir(fds)) != NULL) {
		char target[PATH_SIZE] = { 0 };

		if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) > 0)
			count += strncmp(target, dir, strlen(dir)) == 0;
	}
	closedir(fds);
	return count;
}

static void count_wal(void *arg, const char *path)
{
	size_t len = strlen(path);

	*(size_t *)arg += len > 4 && strcmp(path + len - 4, ".log") == 0 && strstr(path, "/parked/") == NULL;
}

static void expect_quiet(const workspace *ws, bh_db *db)
{
	char tenants[PATH_SIZE], parked[PATH_SIZE];
	uint64_t errors = 1;
	size_t wals = 0;

	path_join(tenants, ws->db, "tenants/a");
	path_join(parked, ws->db, "parked/a");
	test_check(!file_exists(tenants) && file_exists(parked));
	test_check(open_in(tenants) == 0 && open_in(parked) == 0);
	test_check(rocksdb_property_int(bh_db_rocksdb(db), "rocksdb.background-errors", &errors) == 0 && errors == 0);
	/* RocksDB removes a WAL when a thread of its gets to it. */
	for (int i = 0; i < 100 && (i == 0 || wals > 2); i++) {
		usleep(i > 0 ? 50000 : 0);
		wals = 0;
		tree_walk(ws->db, count_wal, &wals);
	}
	test_check(wals <= 2);
}

/* Whoever opens, reads, writes or removes a file in a watched directory; looking at the directory itself does not count. */
static void watch_parent(void *arg, const char *path)
{
	char dir[PATH_SIZE];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	test_check(slash != NULL);
	*slash = '\0';
	test_check(inotify_add_watch(*(int *)arg, dir, IN_ALL_EVENTS) >= 0);
}

static void expect_no_event(int watch)
{
	_Alignas(struct inotify_event) char bytes[4096];
	ssize_t got;

	while ((got = read(watch, bytes, sizeof(bytes))) > 0) {
		const struct inotify_event *event;

		for (char *at = bytes; at < bytes + got; at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)(const void *)at;
			test_check((event->mask & IN_ISDIR) != 0);
		}
	}
	test_check(got < 0 && errno == EAGAIN);
}

/* B writes, flushes and compacts: a few rounds, or for as many seconds as BH_OFF_SECONDS in the environment says. */
static void let_b_work(const workspace *ws, bh_db *db, bh_cf *b, int watch)
{
	const char *asked = getenv("BH_OFF_SECONDS");
	const int64_t until = now_ns() + (asked != NULL ? atoi(asked) : 0) * INT64_C(1000000000);
	int rounds = 0;

	for (; rounds < 8 || now_ns() < until; rounds++) {
		for (int i = 0; i < 500; i++)
			put_row(b, i, row_len(i));
		test_ok(bh_flush(b));
		if (rounds % 8 == 7)
			test_ok(bh_compact(b, (bh_view){ 0 }, (bh_view){ 0 }));
		expect_quiet(ws, db);
		expect_no_event(watch);
	}
	fprintf(stderr, "%d flushes of B, nothing of A's was touched\n", rounds);
}

static void while_off(void *arg)
{
	const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	const kill_run *k = arg;
	char parked[PATH_SIZE];
	uint64_t before;
	bh_cf *a, *b;
	bh_db *db;

	make_two(k->ws);
	db = test_db_open(k->ws, NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	put_row(a, 1, 100);
	switch_off(db, "a", k->how);
	path_join(parked, k->ws->db, "parked/a");
	before = tree_hash(parked);
	test_check(watch >= 0);
	tree_walk(parked, watch_parent, (void *)(uintptr_t)&watch);
	let_b_work(k->ws, db, b, watch);
	close(watch);
	test_check(tree_hash(parked) == before);
	test_ok(bh_merchant_resume(db, "a", NULL));
	test_check(!file_exists(parked));
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

static void nothing_touches_its_files_while_it_is_off(void **state)
{
	kill_run k = { .ws = *state, .how = BY_OPERATOR };

	test_child_ok(while_off, &k);
	workspace_close(*state);
	workspace_open(*state);
	k.how = REVOKED;
	test_child_ok(while_off, &k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(under_load_it_is_refused_within_a_second_and_b_goes_on),
		SUSPEND_CASE(nothing_touches_its_files_while_it_is_off),
		SUSPEND_CASE(many_cycles_leave_no_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
