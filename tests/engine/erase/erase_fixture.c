/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_fixture.c: see erase_fixture.h.
 */
#include "erase_fixture.h"

#include "engine/erase/erase_record.h"

/* ---- the search */

static void search(void *arg, const decrypted *file)
{
	static const char *const needles[] = { "k7mark", "v7mark", "user7/" };
	findings *f = arg;

	for (size_t i = 0; i < sizeof(needles) / sizeof(needles[0]); i++) {
		const bh_view needle = bh_view_str(needles[i]);

		f->hits[file->info.sealed ? file->info.kind : 0] += bytes_count(bh_buf_view(&file->stored), needle) +
								    bytes_count(bh_buf_view(&file->raw), needle) +
								    bytes_count(bh_buf_view(&file->opened), needle);
	}
}

findings search_dir(const char *dir)
{
	findings f = { 0 };
	decryptor d;

	decryptor_open(&d, dir);
	test_check(d.locked_out[0] == '\0');
	decryptor_walk(&d, search, &f);
	decryptor_close(&d);
	return f;
}

findings search_now(const workspace *ws)
{
	char copy[PATH_SIZE];
	findings f;

	path_join(copy, ws->root, "searched");
	tree_copy(ws->db, copy);
	f = search_dir(copy);
	tree_remove(copy);
	return f;
}

size_t hits_of_all(const findings *f)
{
	size_t sum = 0;

	for (size_t i = 0; i <= BH_KIND_OTHER; i++)
		sum += f->hits[i];
	return sum;
}

/* ---- rows */

bh_view user_key(char out[64], int user, int row)
{
	return bh_view_of(out, (size_t)snprintf(out, 64, "user%x/%03d-k%xmark", (unsigned)user, row, (unsigned)user));
}

bh_view user_value(char out[4096], int user, int row, int version)
{
	size_t len = row % 5 == 0 ? 3000 : 100, at = 0;

	while (at < len)
		at += (size_t)snprintf(out + at, 4096 - at, "v%xmark-%d-%d;", (unsigned)user, row, version);
	return bh_view_of(out, len);
}

void put_user(bh_cf *cf, int user, int version)
{
	char key[64], value[4096];

	for (int row = 0; row < ROWS; row++)
		test_ok(bh_put(cf, NULL, user_key(key, user, row), user_value(value, user, row, version)));
}

void put_all(bh_cf *cf, int version)
{
	for (int user = 0; user < USERS; user++)
		put_user(cf, user, version);
}

size_t count_user(bh_cf *cf, int user)
{
	char prefix[64];
	bh_view begin = bh_view_of(prefix, (size_t)snprintf(prefix, sizeof(prefix), "user%x/", (unsigned)user)), key;
	bh_iter *iter = NULL;
	size_t count = 0;

	test_ok(bh_iter_new(cf, NULL, &iter));
	for (test_ok(bh_iter_seek(iter, begin)); bh_iter_valid(iter); test_ok(bh_iter_next(iter))) {
		test_ok(bh_iter_entry(iter, &key, NULL));
		if (key.len < begin.len || memcmp(key.data, begin.data, begin.len) != 0)
			break;
		count++;
	}
	bh_iter_free(iter);
	return count;
}

void expect_others(bh_cf *cf, int version)
{
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
	char key[64], value[4096];

	for (int user = 0; user < USERS; user++)
		for (int row = 0; user != ERASED && row < ROWS; row++) {
			const bh_view wanted = user_value(value, user, row, version);

			test_ok(bh_get(cf, NULL, user_key(key, user, row), &got));
			test_check(got.len == wanted.len && memcmp(got.data, wanted.data, got.len) == 0);
		}
}

rocksdb_options_t *plain_options(void)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_compression(options, rocksdb_no_compression);
	rocksdb_options_set_enable_blob_files(options, 1);
	rocksdb_options_set_min_blob_size(options, 2048);
	rocksdb_options_set_merge_operator(options, test_append_operator());
	return test_options_with(options, "max_bytes_for_level_base=40000;target_file_size_base=16384");
}

bh_erase_result erase_user(bh_cf *cf, const bh_erase_options *options)
{
	const bh_erase_options long_enough = { .wait_ms = 60000 }; /* on a busy machine */
	bh_erase_result result = { 0 };

	test_ok(bh_erase_range(cf, bh_view_str("user7/"), options != NULL ? options : &long_enough, &result));
	return result;
}

void expect_pending(const bh_erase_result *result, const char *what)
{
	if (result->complete || memmem(result->pending.data, result->pending.len, what, strlen(what)) == NULL)
		test_fail_at(__FILE__, __LINE__, "'%s' is not pending, but: %.*s", what, (int)result->pending.len,
			     result->pending.len > 0 ? (const char *)result->pending.data : "");
}

void expect_done(const bh_erase_result *result)
{
	if (!result->complete || result->pending.len > 0)
		test_fail_at(__FILE__, __LINE__, "pending: %.*s", (int)result->pending.len, (const char *)result->pending.data);
}

bh_erase_result erase_whole(bh_cf *cf, const bh_erase_options *options)
{
	bh_erase_result result = erase_user(cf, options);

	expect_done(&result);
	bh_erase_result_clear(&result);
	return result;
}

/* ---- the stage */

static void open_again(stage *s)
{
	s->db = test_db_open(s->ws, s->options);
	s->a = test_cf(s->db, "a", "events");
}

stage stage_open(const workspace *ws, rocksdb_options_t *options)
{
	stage s = { .ws = ws, .options = options };

	open_again(&s);
	return s;
}

stage stage_make(const workspace *ws, rocksdb_options_t *options)
{
	make_two(ws);
	return stage_open(ws, options);
}

void stage_close(stage *s)
{
	bh_cf_close(s->a);
	bh_db_close(s->db);
	s->a = NULL;
	s->db = NULL;
}

void stage_reopen(stage *s)
{
	stage_close(s);
	open_again(s);
}

void stage_end(stage *s)
{
	if (s->db != NULL)
		stage_close(s);
	if (s->options != NULL)
		rocksdb_options_destroy(s->options);
}

void stage_expect_hits(const stage *s, size_t count)
{
	findings f = search_now(s->ws);

	test_check(hits_of_all(&f) == count);
}

size_t stage_count_log(const stage *s, const char *text)
{
	char path[PATH_SIZE];
	size_t count;
	bh_buf log;

	path_join(path, s->ws->db, "AUDIT");
	log = file_read(path);
	count = bytes_count(bh_buf_view(&log), bh_view_str(text));
	bh_buf_clear(&log);
	return count;
}

static bh_status count_note(void *arg, const uint8_t digest[BH_SHA256_LEN], const bh_erase_note *note)
{
	(void)digest;
	(void)note;
	++*(size_t *)arg;
	return BH_OK;
}

size_t stage_count_notes(const stage *s)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_erase_scope scope;
	size_t count = 0;

	test_ok(bh_keyring_merchant(s->db->keyring, "a", &info));
	scope = bh_erase_scope_of(&info, "events");
	test_ok(bh_erase_notes(s->db, &scope, count_note, &count));
	return count;
}
