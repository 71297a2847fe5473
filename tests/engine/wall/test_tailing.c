/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tailing.c: who follows the WAL by RocksDB's own iterator while a merchant is switched off or shredded gets all rows of the
 * others, with the sequence numbers that they have, and of that merchant entries that do nothing, never rows of zeros. It holds no
 * suspension up, and keys leave it.
 */
#include "env/spans/wal_spans.h"
#include "suspend_fixture.h"

enum { ROUNDS = 40, VALUE = 5000, BLOCK = 32768 };

typedef struct tail {
	bh_db *db;
	rocksdb_wal_iterator_t *at;
	uint64_t next;           /* the sequence number that is due; 0: any */
	unsigned rows_a, rows_b; /* with their bytes */
	unsigned nothing;        /* entries that do nothing */
} tail;

typedef struct stage {
	const workspace *ws;
	enum { SUSPENDED, BY_ITS_KMS, SHREDDED, NOBODY } end;
	_Atomic int held;
} stage;

static void on_log(void *arg, const char *line)
{
	stage *s = arg;

	if (strstr(line, "still holds") != NULL)
		atomic_fetch_add(&s->held, 1);
}

static void tail_begin(tail *t, bh_db *db)
{
	char *error = NULL;

	*t = (tail){ .db = db };
	t->at = rocksdb_get_updates_since(bh_db_rocksdb(db), 1, NULL, &error);
	test_rocks_ok(error);
}

static bool is_zeros(bh_view bytes)
{
	size_t zeros = 0;

	while (zeros < bytes.len && bytes.data[zeros] == 0)
		zeros++;
	return bytes.len > 0 && zeros == bytes.len;
}

static void look_at(tail *t, const bh_wal_entry *entry)
{
	for (unsigned i = 0; i < entry->string_count; i++)
		test_check(!is_zeros(entry->strings[i]));
	if (entry->string_count == 0 || entry->strings[0].len == 0)
		t->nothing += entry->cf_id != 0;
	else if (entry->strings[0].data[0] == 'a')
		t->rows_a++;
	else if (entry->strings[0].data[0] == 'b')
		t->rows_b++;
}

/* The batch that the iterator stands on. */
static void take_batch(tail *t)
{
	uint64_t sequence;
	size_t len;
	rocksdb_writebatch_t *batch = rocksdb_wal_iter_get_batch(t->at, &sequence);
	const char *data = rocksdb_writebatch_data(batch, &len);
	bh_view rest = bh_view_of(data + 12, len - 12);
	uint32_t numbered = 0;

	test_check(t->next == 0 || t->next == sequence);
	while (rest.len > 0) {
		bh_wal_entry entry;

		test_ok(bh_wal_entry_read(&rest, &entry));
		numbered += entry.numbered;
		if (entry.numbered)
			look_at(t, &entry);
	}
	test_check(numbered == (uint32_t)rocksdb_writebatch_count(batch));
	t->next = sequence + numbered;
	rocksdb_writebatch_destroy(batch);
}

/* Where a WAL has ended, RocksDB asks for another iterator. */
static bool renew(tail *t)
{
	char *error = NULL;
	bool again;

	rocksdb_wal_iter_status(t->at, &error);
	again = error != NULL && strstr(error, "new tail") != NULL;
	if (!again)
		test_rocks_ok(error);
	if (!again)
		return false;
	rocksdb_free(error);
	error = NULL;
	rocksdb_wal_iter_destroy(t->at);
	t->at = rocksdb_get_updates_since(bh_db_rocksdb(t->db), t->next, NULL, &error);
	test_rocks_ok(error);
	return rocksdb_wal_iter_valid(t->at);
}

static void follow(tail *t, unsigned batches)
{
	for (unsigned i = 0; i < batches && (rocksdb_wal_iter_valid(t->at) || renew(t)); i++) {
		take_batch(t);
		rocksdb_wal_iter_next(t->at);
	}
}

/* A row of A, one of B, and a batch of both. */
static void write_round(bh_db *db, bh_cf *a, bh_cf *b, int round)
{
	static uint8_t value[VALUE];
	char key_a[16], key_b[16];
	bh_batch *batch = NULL;

	memset(value, 'v', sizeof(value));
	snprintf(key_a, sizeof(key_a), "a%06d", round);
	snprintf(key_b, sizeof(key_b), "b%06d", round);
	test_ok(bh_put(b, NULL, bh_view_str(key_b), bh_view_of(value, sizeof(value))));
	if (a == NULL)
		return;
	test_ok(bh_put(a, NULL, bh_view_str(key_a), bh_view_of(value, sizeof(value))));
	test_ok(bh_batch_new(db, &batch));
	test_ok(bh_batch_put(batch, a, bh_view_str(key_a), bh_view_str("again")));
	test_ok(bh_batch_put(batch, b, bh_view_str(key_b), bh_view_str("again")));
	test_ok(bh_batch_delete(batch, a, bh_view_str(key_a)));
	test_ok(bh_batch_write(batch, NULL));
	bh_batch_free(batch);
}

static void end_a(stage *s, bh_db *db)
{
	switch (s->end) {
	case SUSPENDED: test_ok(bh_merchant_suspend(db, "a", NULL)); break;
	case BY_ITS_KMS: switch_off(db, "a", REVOKED); break;
	case SHREDDED: test_ok(bh_merchant_shred(db, "a", NULL)); break;
	default: break;
	}
}

static void follow_to_the_end(void *arg)
{
	stage *s = arg;
	rocksdb_options_t *options = rocksdb_options_create();
	const bh_db_options db_options = { .rocksdb = options, .log = on_log, .log_arg = s };
	tail open, fresh;
	unsigned seen_a;
	bh_cf *a, *b;
	bh_db *db;

	make_two(s->ws);
	rocksdb_options_set_WAL_ttl_seconds(options, 3600);
	test_ok(bh_db_open(s->ws->db, &db_options, &db));
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	for (int i = 0; i < ROUNDS; i++)
		write_round(db, a, b, i);
	tail_begin(&open, db);
	follow(&open, ROUNDS / 4);
	seen_a = open.rows_a;
	test_check(seen_a > 0);
	end_a(s, db);
	test_check(atomic_load(&s->held) == 0);
	for (int i = ROUNDS; i < ROUNDS + 5; i++)
		write_round(db, s->end == NOBODY ? a : NULL, b, i);

	/* RocksDB has a block in its hands. */
	follow(&open, UINT32_MAX);
	test_check(open.rows_b == 2 * ROUNDS + (s->end == NOBODY ? 10 : 5));
	tail_begin(&fresh, db);
	follow(&fresh, UINT32_MAX);
	test_check(fresh.rows_b == open.rows_b && fresh.next == open.next);
	if (s->end == NOBODY) {
		test_check(open.rows_a == 3 * (ROUNDS + 5) && open.nothing == 0);
	} else {
		test_check(open.rows_a <= seen_a + BLOCK / VALUE * 3 + 3);
		test_check(fresh.rows_a == 0 && fresh.nothing >= 3 * ROUNDS);
	}
	rocksdb_wal_iter_destroy(open.at);
	rocksdb_wal_iter_destroy(fresh.at);
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
	rocksdb_options_destroy(options);
}

static void tail_until(void **state, int end)
{
	stage s = { .ws = *state, .end = end };

	test_child_ok(follow_to_the_end, &s);
}

static void a_served_merchants_rows_are_all_there(void **state)
{
	tail_until(state, NOBODY);
}

static void a_suspended_merchants_do_nothing(void **state)
{
	tail_until(state, SUSPENDED);
}

static void a_revoked_merchants_do_nothing(void **state)
{
	tail_until(state, BY_ITS_KMS);
}

static void a_shredded_merchants_do_nothing(void **state)
{
	tail_until(state, SHREDDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SUSPEND_CASE(a_served_merchants_rows_are_all_there),
		SUSPEND_CASE(a_suspended_merchants_do_nothing),
		SUSPEND_CASE(a_revoked_merchants_do_nothing),
		SUSPEND_CASE(a_shredded_merchants_do_nothing),
	};

	return cmocka_run_group_tests_name("tailing", tests, NULL, NULL);
}
