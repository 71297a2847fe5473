/* SPDX-License-Identifier: Apache-2.0
 *
 * lease_stage.c: see lease_stage.h.
 */
#include "lease_stage.h"

#include <time.h>

enum { ROWS = 200 }; /* of A, at a time */

_Atomic int64_t boot_ms, wall_ms;

static int64_t boot(void *arg)
{
	(void)arg;
	return atomic_load(&boot_ms);
}

static int64_t wall(void *arg)
{
	(void)arg;
	return atomic_load(&wall_ms);
}

static void log_line(void *arg, const char *line)
{
	stage *s = arg;

	if (strstr(line, "integrity alarm") != NULL)
		atomic_fetch_add(&s->alarms, 1);
}

void open_stage(stage *s)
{
	static const bh_clock clock = { boot, wall, NULL };
	const bh_db_options options = {
		.clock = &clock,
		.log = log_line,
		.log_arg = s,
		.kms.timeout_ms = s->kms_timeout_ms,
	};

	test_ok(bh_db_open(s->ws->db, &options, &s->db));
}

static int64_t real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *work_on_b(void *arg)
{
	stage *s = arg;

	while (!atomic_load(&s->over)) {
		char key[32];
		int64_t began_ns = real_ns(), took_ns;

		snprintf(key, sizeof(key), "b%u", atomic_load(&s->b_ops));
		test_put(s->b, key, key);
		test_expect(s->b, key, key);
		took_ns = real_ns() - began_ns;
		if (took_ns > atomic_load(&s->slowest_ns))
			atomic_store(&s->slowest_ns, took_ns);
		atomic_fetch_add(&s->b_ops, 1);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return NULL;
}

static void cmk_of_a(const stage *s, char out[PATH_SIZE + 16])
{
	snprintf(out, PATH_SIZE + 16, "local:%s#a", s->kms);
}

void add_a(stage *s)
{
	static const char *const classes[] = { "events" };
	char uri[PATH_SIZE + 16];

	path_join(s->kms, s->ws->root, "kms-a");
	path_join(s->key, s->kms, "a.key.json");
	cmk_of_a(s, uri);
	test_ok(bh_kms_create(uri, NULL, NULL));
	test_ok(bh_merchant_add(s->db, "a", uri, &(bh_merchant_options){ classes, 1 }));
}

static void open_at_first(stage *s)
{
	atomic_store(&boot_ms, 5000);
	atomic_store(&wall_ms, 1700000000000);
	open_stage(s);
}

static void b_works(stage *s)
{
	s->b = test_cf(s->db, "b", "events");
	atomic_store(&s->over, false);
	test_check(pthread_create(&s->worker, NULL, work_on_b, s) == 0);
}

void begin_with_b(stage *s)
{
	test_db_create(s->ws, NULL);
	open_at_first(s);
	test_merchant_add(s->ws, s->db, "b", "events", NULL);
	b_works(s);
}

void begin_again(stage *s)
{
	open_at_first(s);
	s->a = NULL;
	b_works(s);
}

void begin(stage *s)
{
	test_db_create(s->ws, NULL);
	open_at_first(s);
	add_a(s);
	test_merchant_add(s->ws, s->db, "b", "events", NULL);
	s->a = test_cf(s->db, "a", "events");
	b_works(s);
}

void end(stage *s)
{
	unsigned ops;
	uint64_t errors = 1;

	atomic_store(&s->over, true);
	pthread_join(s->worker, NULL);
	ops = atomic_load(&s->b_ops);
	for (unsigned i = 0; i < ops; i++) {
		char key[32];

		snprintf(key, sizeof(key), "b%u", i);
		test_expect(s->b, key, key);
	}
	test_check(rocksdb_property_int(bh_db_rocksdb(s->db), "rocksdb.background-errors", &errors) == 0);
	test_check(errors == 0);
	bh_cf_close(s->a);
	bh_cf_close(s->b);
	bh_db_close(s->db);
}

/* ---- what happens */

void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

static bh_leaser_info look_at(stage *s, const char *name)
{
	bh_leaser_info info;

	test_ok(bh_leaser_look(s->db->leaser, name, &info));
	return info;
}

bh_leaser_info look(stage *s)
{
	return look_at(s, "a");
}

void pass(stage *s, int64_t ms)
{
	while (ms > 0) {
		int64_t step = BH_MIN(ms, LIMIT / 20);

		atomic_fetch_add(&boot_ms, step);
		atomic_fetch_add(&wall_ms, step);
		bh_leaser_wake(s->db->leaser);
		WAIT_UNTIL(look_at(s, "b").age_ms < LIMIT * 7 / 10);
		ms -= step;
	}
}

void pass_if_pausing(stage *s)
{
	bh_lease_state state = look(s).state;

	if (state == BH_LEASE_LATE || state == BH_LEASE_LOST || state == BH_LEASE_REFUSED)
		pass(s, 1000);
}

bool is_in(stage *s, bh_merchant_state state, bh_suspend_cause cause)
{
	bh_merchant_info info;
	bool is;

	test_ok(bh_keyring_merchant(s->db->keyring, "a", &info));
	is = info.state == state && info.cause == cause;
	bh_merchant_info_clear(&info);
	return is;
}

void write_rows(stage *s)
{
	for (unsigned i = 0; i < ROWS; i++, s->rows++) {
		char key[32];

		snprintf(key, sizeof(key), "a%u", s->rows);
		test_put(s->a, key, key);
	}
}

void all_rows_are_there(stage *s)
{
	for (unsigned i = 0; i < s->rows; i++) {
		char key[32];

		snprintf(key, sizeof(key), "a%u", i);
		test_expect(s->a, key, key);
	}
}

void is_refused(stage *s, bh_status want)
{
	bh_buf value = { 0 };

	test_status(bh_put(s->a, NULL, bh_view_str("k"), bh_view_str("v")), want);
	test_status(bh_get(s->a, NULL, bh_view_str("a0"), &value), want);
	bh_buf_clear(&value);
}

void b_goes_on(stage *s, unsigned more)
{
	unsigned before = atomic_load(&s->b_ops);

	WAIT_UNTIL(atomic_load(&s->b_ops) >= before + more);
}

void set_enabled(stage *s, bool enabled)
{
	char uri[PATH_SIZE + 16];
	bh_kms *console = NULL;

	cmk_of_a(s, uri);
	test_ok(bh_kms_open(uri, NULL, &console));
	test_ok(enabled ? bh_kms_enable(console) : bh_kms_disable(console));
	bh_kms_close(console);
}

void flip(stage *s)
{
	bh_buf bytes = file_read(s->key);
	uint8_t *mac = memmem(bytes.data, bytes.len, "\"mac\"", 5);

	test_check(mac != NULL);
	mac[10] ^= 1;
	file_write(s->key, bh_view_of(bytes.data, bytes.len));
	bh_buf_clear(&bytes);
}

void is_detached(stage *s, bh_suspend_cause cause, bh_lease_state state)
{
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_SUSPENDED, cause) && look(s).state == state, pass_if_pausing(s));
}

void is_back(stage *s)
{
	WAIT_WHILE_DOING(is_in(s, BH_MERCHANT_ACTIVE, BH_SUSPEND_NONE) && look(s).state == BH_LEASE_HELD, pass_if_pausing(s));
	all_rows_are_there(s);
	write_rows(s);
}
