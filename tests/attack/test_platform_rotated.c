/* SPDX-License-Identifier: Apache-2.0
 *
 * test_platform_rotated.c: somebody has got hold of the platform's DEK. After a rotation it opens nothing on the disk, nothing that
 * lay under it counts when it is put back, and nothing that he makes with it. And while it is the newest one: with that key he
 * makes no entry of KEYRING's or AUDIT's, no commit mark and no signature. Beside all of it merchants "a" and "b" are served.
 */
#include <bulkhead/rotation.h>

#include <unistd.h>

#include "env/format/header.h"
#include "env/fs/path.h"
#include "keyring/audit/format.h"
#include "keyring/audit/verify.h"
#include "keyring/manifest/scan.h"
#include "keyring/manifest/state.h"
#include "keyring/ring/keyring.h"
#include "tests/support/harness.h"

enum { KEYS = 2 }; /* the older DEK, and the newest */

typedef struct stage {
	workspace *ws;
	char earlier[PATH_SIZE], later[PATH_SIZE]; /* copies of the database: before the rotation, and after it */
	bh_dek *keys[KEYS];
} stage;

static void put_both(bh_db *db, const char *key)
{
	static const char *const names[] = { "a", "b" };

	for (int i = 0; i < 2; i++) {
		bh_cf *cf = test_cf(db, names[i], "events");

		test_put(cf, key, names[i]);
		bh_cf_close(cf);
	}
}

static void make(void *arg)
{
	const stage *s = arg;
	bh_db *db;

	test_db_create(s->ws, NULL);
	db = test_db_open(s->ws, NULL);
	test_merchant_add(s->ws, db, "a", "events", NULL);
	test_merchant_add(s->ws, db, "b", "events", NULL);
	put_both(db, "k1");
	bh_db_close(db);
}

static void rotate(void *arg)
{
	const stage *s = arg;
	bh_db *db = test_db_open(s->ws, NULL);

	test_ok(bh_merchant_rotate(db, "", &(bh_rotate_options){ .exposed = true }));
	test_ok(bh_merchant_sweep(db, "", NULL));
	put_both(db, "k2");
	bh_db_close(db);
}

static int setup(void **state)
{
	stage *s = calloc(1, sizeof(*s));
	void *ws = NULL;

	test_workspace_make(&ws);
	s->ws = ws;
	path_join(s->earlier, s->ws->root, "earlier");
	path_join(s->later, s->ws->root, "later");
	test_child_ok(make, s);
	s->keys[0] = test_platform_dek(s->ws->db);
	tree_copy(s->ws->db, s->earlier);
	test_child_ok(rotate, s);
	s->keys[1] = test_platform_dek(s->ws->db);
	assert_memory_not_equal(bh_dek_id(s->keys[0]), bh_dek_id(s->keys[1]), BH_ID_LEN);
	tree_copy(s->ws->db, s->later);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	stage *s = *state;
	void *ws = s->ws;

	for (int i = 0; i < KEYS; i++)
		bh_dek_unref(s->keys[i]);
	free(s);
	return test_workspace_drop(&ws);
}

static void put_back(const stage *s)
{
	tree_remove(s->ws->db);
	tree_copy(s->later, s->ws->db);
}

static void expect_served(void *arg)
{
	const stage *s = arg;
	static const char *const names[] = { "a", "b" };
	bh_db *db = test_db_open(s->ws, NULL);

	for (int i = 0; i < 2; i++) {
		bh_cf *cf = test_cf(db, names[i], "events");

		test_expect(cf, "k1", names[i]);
		test_expect(cf, "k2", names[i]);
		bh_cf_close(cf);
	}
	bh_db_close(db);
}

static void expect_refused(void *arg)
{
	const stage *s = arg;
	bh_db *db = NULL;

	for (int read_only = 0; read_only <= 1; read_only++) {
		bh_status status = bh_db_open(s->ws->db, &(bh_db_options){ .read_only = read_only != 0 }, &db);

		if (status == BH_OK)
			test_fail_at(__FILE__, __LINE__, "the forged database opens%s", read_only ? " read-only" : "");
	}
}

/* ---- what the older key opens: whatever DEK a header names, he tries his own */

typedef struct attempt {
	bh_dek *key;
	size_t sealed, opened;
} attempt;

static bh_status give_key(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	const attempt *a = arg;

	(void)id;
	*out = bh_dek_ref(a->key);
	return BH_OK;
}

static void try_file(void *arg, const char *path)
{
	attempt *a = arg;
	const bh_scopes scopes = { .arg = a, .dek_by_id = give_key };
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	bh_buf bytes = file_read(path);
	bh_header header;

	if (bytes.len >= BH_HEADER_LEN && bh_header_parse(bh_view_of(bytes.data, BH_HEADER_LEN), &header) == BH_OK) {
		a->sealed++;
		a->opened += bh_header_open(bh_view_of(bytes.data, BH_HEADER_LEN), &scopes, &key) == BH_OK;
	}
	bh_buf_clear(&bytes);
}

static void test_an_older_key_opens_nothing(void **state)
{
	stage *s = *state;
	attempt before = { .key = s->keys[0] }, after = { .key = s->keys[0] }, newest = { .key = s->keys[1] };

	tree_walk(s->earlier, try_file, &before);
	assert_true(before.opened > 3 && before.opened <= before.sealed); /* it is the right key, of then */
	tree_walk(s->later, try_file, &after);
	assert_true(after.sealed > 3);
	assert_int_equal(after.opened, 0);
	tree_walk(s->later, try_file, &newest);
	assert_true(newest.opened > 3);
}

/* ---- what lay under the older key is put back */

typedef struct swap {
	stage *s;
	size_t tried;
} swap;

static void swap_file(void *arg, const char *path)
{
	swap *w = arg;
	char target[PATH_SIZE];
	bh_path_info info;
	bh_buf bytes;

	if (bh_path_classify(w->s->earlier, path, &info) != BH_OK || !info.sealed || !bh_scope_is_platform(&info.scope))
		return;
	path_join(target, w->s->ws->db, strrchr(path, '/') + 1);
	/* RocksDB does not read what it has no use for. */
	if (!file_exists(target) || strstr(path, "KEYRING") != NULL || strstr(path, "AUDIT") != NULL ||
	    strstr(path, "WALS") != NULL || strstr(path, "RESERVE") != NULL || strstr(path, "OPTIONS-") != NULL)
		return;
	bytes = file_read(path);
	file_write(target, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
	w->tried++;
	test_child_ok(expect_refused, w->s);
	put_back(w->s);
}

static void test_older_files_are_refused(void **state)
{
	swap w = { .s = *state };

	tree_walk(w.s->earlier, swap_file, &w);
	assert_true(w.tried >= 2); /* CURRENT and IDENTITY, at least */
	test_child_ok(expect_served, w.s);
}

/* CURRENT as it should be, but for the key: made now, by who has the older one. */
static void test_what_the_older_key_seals_is_refused(void **state)
{
	stage *s = *state;
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	uint8_t header[BH_HEADER_LEN];
	char path[PATH_SIZE];
	bh_path_info info;
	bh_buf bytes;

	path_join(path, s->ws->db, "CURRENT");
	bytes = file_read(path);
	OK(bh_path_classify(s->ws->db, path, &info));
	OK(bh_header_create(info.kind, 0, info.number, s->keys[0], &key, header));
	memcpy(bytes.data, header, 512);
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
	test_child_ok(expect_refused, s);
	put_back(s);
	test_child_ok(expect_served, s);
}

/* ---- what a log's key authenticates: nothing, be it the older one or the newest */

static bh_status ignore_record(void *arg, const bh_keyring_record *record)
{
	(void)arg;
	(void)record;
	return BH_OK;
}

/* The chain MAC of the last record, which anybody can read: he needs no key to know where he has to go on. */
static void last_chain(bh_view file, uint8_t chain[BH_SHA256_LEN])
{
	size_t at = BH_KEYRING_RECORDS_OFF;

	while (at < file.len) {
		at += BH_KEYRING_RECORD_OVERHEAD + bh_get_u32(file.data + at);
		memcpy(chain, file.data + at - 8 - BH_SHA256_LEN, BH_SHA256_LEN);
	}
	assert_int_equal(at, file.len);
}

static bh_secret mac_key_of(const bh_dek *key, const bh_keyring_head *head)
{
	bh_secret out = { 0 };

	OK(bh_keyring_mac_key(bh_dek_key(key), head->database_id, &out));
	return out;
}

typedef void (*forge_keyring_fn)(bh_buf *file, const bh_secret *mac_key);

/* The mark, as if a row more of the log of files were known. */
static void forge_mark(bh_buf *file, const bh_secret *mac_key)
{
	bh_keyring_mark mark = { .generation = bh_get_u64(file->data + BH_KEYRING_HEAD_LEN),
				 .committed_len = file->len,
				 .sequence = bh_get_u64(file->data + BH_KEYRING_HEAD_LEN + 456) + 1 };

	last_chain(bh_buf_view(file), mark.chain);
	mark.audit.size = bh_get_u64(file->data + BH_KEYRING_HEAD_LEN + 48);
	memcpy(mark.audit.root, file->data + BH_KEYRING_HEAD_LEN + 56, BH_SHA256_LEN);
	OK(bh_keyring_mark_encode(&mark, mac_key, file->data + BH_KEYRING_HEAD_LEN));
}

/* One more record behind the mark, as a kill may leave it. */
static void forge_record(bh_buf *file, const bh_secret *mac_key)
{
	uint8_t chain[BH_SHA256_LEN];
	static const uint8_t nobody[BH_ID_LEN] = { 1 };
	bh_buf payload = { 0 };

	last_chain(bh_buf_view(file), chain);
	OK(bh_deks_marked_encode(nobody, BH_DEK_EXPOSED, 1, &payload));
	OK(bh_keyring_record_encode(BH_KEYRING_DEKS_MARKED, bh_get_u64(file->data + BH_KEYRING_HEAD_LEN) + 1, bh_buf_view(&payload),
				    mac_key, chain, file));
	bh_buf_clear(&payload);
}

static void forge_head(bh_buf *file, const bh_secret *mac_key)
{
	uint8_t mac[BH_SHA256_LEN];
	bh_keyring_head head;

	OK(bh_keyring_head_decode(file->data, &head));
	head.created_at_s++;
	OK(bh_keyring_head_encode(&head, mac_key, file->data, mac));
}

static void test_no_keyring_entry_is_forged(void **state)
{
	static const forge_keyring_fn forgeries[] = { forge_mark, forge_record, forge_head };
	stage *s = *state;
	char path[PATH_SIZE];

	path_join(path, s->ws->db, BH_KEYRING_FILE);
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		for (int k = 0; k < KEYS; k++) {
			BH_CLEANUP(bh_buf_clear) bh_buf file = file_read(path);
			bh_keyring_scan_result result;
			bh_keyring_head head;
			bh_keyring *keyring = NULL;

			OK(bh_keyring_head_decode(file.data, &head));
			BH_CLEANUP(bh_secret_clear) bh_secret mac_key = mac_key_of(s->keys[k], &head);
			assert_int_not_equal(bh_keyring_scan(bh_buf_view(&file), &mac_key, ignore_record, NULL, &result), BH_OK);
			forgeries[i](&file, &mac_key);
			file_write(path, bh_buf_view(&file));
			ENDS_WITH(BH_E_TAG, bh_keyring_open(s->ws->db, NULL, false, &keyring));
			test_child_ok(expect_refused, s);
			put_back(s);
		}
	}
	test_child_ok(expect_served, s);
}

static bh_status ignore_line(void *arg, uint64_t seq, bh_view line)
{
	(void)arg;
	(void)seq;
	(void)line;
	return BH_OK;
}

/* An entry and its checkpoint behind a log of `known`, right in all but who signs. */
static void append_forged(bh_buf *file, const bh_audit_scan_result *known, const bh_signer *signer)
{
	static const bh_audit_process process = { .id = "00", .host = "here", .pid = 1, .actor = "nobody" };
	const bh_audit_event event = { .action = BH_AUDIT_CLOSED };
	bh_audit_checkpoint checkpoint = { .at_ms = 1 };
	uint8_t leaf[BH_SHA256_LEN], message[BH_AUDIT_ANCHOR_SIGNED_LEN];
	bh_merkle tree = known->tree;
	bh_buf body = { 0 }, line = { 0 };

	OK(bh_audit_body_encode(&process, 1, &event, &body));
	OK(bh_audit_entry_encode(tree.size + 1, known->prev, bh_buf_view(&body), &line));
	OK(bh_merkle_leaf(bh_buf_view(&line), leaf));
	OK(bh_merkle_add(&tree, leaf));
	checkpoint.position.size = tree.size;
	OK(bh_merkle_root(&tree, checkpoint.position.root));
	OK(bh_sha256(bh_buf_view(&line), checkpoint.prev));
	OK(bh_sign(signer, bh_view_of(message, bh_audit_checkpoint_message(&checkpoint, message)), checkpoint.signature));
	OK(bh_buf_append(file, line.data, line.len));
	OK(bh_audit_checkpoint_encode(&checkpoint, NULL, file));
	bh_buf_clear(&body);
	bh_buf_clear(&line);
}

static void test_no_audit_entry_is_forged(void **state)
{
	stage *s = *state;
	char path[PATH_SIZE], keyring_path[PATH_SIZE];
	bh_keyring_head head;

	path_join(path, s->ws->db, BH_AUDIT_FILE);
	path_join(keyring_path, s->ws->db, BH_KEYRING_FILE);
	for (int k = 0; k < KEYS; k++) {
		BH_CLEANUP(bh_buf_clear) bh_buf audit = file_read(path);
		BH_CLEANUP(bh_buf_clear) bh_buf file = file_read(keyring_path);
		uint8_t public_key[BH_SIGN_PUBLIC_LEN];
		bh_audit_scan_result known = { 0 };
		bh_signer *signer = NULL;

		OK(bh_keyring_head_decode(file.data, &head));
		OK(bh_keyring_signer_make(bh_dek_key(s->keys[k]), head.database_id, &signer));
		bh_signer_public(signer, public_key);
		assert_memory_not_equal(public_key, head.public_key, BH_SIGN_PUBLIC_LEN);
		OK(bh_audit_read((const char *const[]){ path }, 1, ignore_line, NULL, &known));
		append_forged(&audit, &known, signer);
		file_write(path, bh_buf_view(&audit));
		/* All but the signature is as it should be. */
		OK(bh_audit_read((const char *const[]){ path }, 1, ignore_line, NULL, &known));
		const bh_audit_scan_options options = { .public_key = head.public_key };
		ENDS_WITH(BH_E_TAG, bh_audit_verify((const char *const[]){ path }, 1, &options, &known));
		test_child_ok(expect_refused, s);
		put_back(s);
		bh_signer_free(signer);
	}
	test_child_ok(expect_served, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_older_key_opens_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_the_older_key_seals_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_keyring_entry_is_forged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_audit_entry_is_forged, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
