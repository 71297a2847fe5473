/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secrets.c: what a database's life leaves in files and messages: no passphrase, no key of a KMS, no DEK, as bytes, in hex or
 * in base64, in whatever file there is below the database and its KMS, in the info log at its most talkative, in what the library
 * says, in arguments and environment of the process. That memory, and core files, have none is test_keys_leave_memory.c's and
 * test_hidden.sh's.
 */
#include "tests/support/harness.h"

#include <ctype.h>
#include <sys/mman.h>

#include "keyring/kms/local/parts.h"
#include "keyring/ring/keyring.h"

enum { SECRETS_MAX = 256, SECRET_SIZE = 64 };
static const char passphrase[] = "a passphrase that nobody writes down anywhere";

typedef struct secrets {
	uint8_t of[SECRETS_MAX][SECRET_SIZE];
	size_t len[SECRETS_MAX];
	size_t count;
	workspace ws;
	unsigned files;
} secrets;

static secrets *all; /* shared with the children, who know them */

/* ---- what is looked for */

static void add(bh_view secret)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->len[i] == secret.len && memcmp(all->of[i], secret.data, secret.len) == 0)
			return;
	test_check(all->count < SECRETS_MAX && secret.len <= SECRET_SIZE);
	memcpy(all->of[all->count], secret.data, secret.len);
	all->len[all->count++] = secret.len;
}

static void add_cmk(const bh_io_dir *dir, const bh_local_root *root, const char *name)
{
	bh_local_key key = { 0 };

	test_ok(bh_local_key_load(dir, root, name, &key));
	for (uint32_t version = 1; version <= key.info.version; version++) {
		bh_secret material = { 0 };

		test_ok(bh_local_key_material(root, &key, version, &material));
		add(bh_secret_view(&material));
		bh_secret_clear(&material);
	}
	bh_local_key_clear(&key);
}

static void add_cmks(void)
{
	const bh_kms_options options = { 0 };
	bh_local_root root = { 0 };
	bh_io_dir dir = BH_IO_DIR_CLOSED;

	test_ok(bh_io_dir_open(all->ws.kms, &dir));
	test_ok(bh_local_root_open(&dir, &options, NULL, &root));
	add(bh_secret_view(&root.seal_key));
	add(bh_secret_view(&root.mac_key));
	add_cmk(&dir, &root, "platform");
	add_cmk(&dir, &root, "ann");
	add_cmk(&dir, &root, "bob");
	bh_local_root_clear(&root);
	bh_io_dir_close(&dir);
}

/* Of all generations that there are. */
static void add_deks(void *arg)
{
	bh_keyring *keyring = NULL;
	bh_dek_info *deks = NULL;
	size_t count = 0;

	(void)arg;
	test_ok(bh_keyring_open(all->ws.db, NULL, false, &keyring));
	test_ok(bh_keyring_merchant_unlock(keyring, "ann"));
	test_ok(bh_keyring_merchant_unlock(keyring, "bob"));
	test_ok(bh_keyring_deks(keyring, &deks, &count));
	for (size_t i = 0; i < count; i++) {
		bh_dek *dek = NULL;

		if (deks[i].tombstone)
			continue;
		test_ok(bh_keyring_dek_find(keyring, deks[i].id, &dek));
		add(bh_dek_key(dek));
		bh_dek_unref(dek);
	}
	free(deks);
	bh_keyring_close(keyring);
	add_cmks();
}

/* ---- where */

static void expect_none(const char *where, bh_view bytes, bh_view form, size_t which, const char *what)
{
	if (memmem(bytes.data, bytes.len, form.data, form.len) != NULL)
		test_fail_at(__FILE__, __LINE__, "%s holds secret %zu as %s", where, which, what);
}

/* Base64 of what follows `skip` bytes: text in which it stands at another place of three has the same letters from there on. */
static size_t base64(bh_view secret, size_t skip, bool url, char *out)
{
	const char *letters = url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
				  : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = 0;

	for (size_t i = skip; i + 3 <= secret.len; i += 3) {
		const uint32_t three = (uint32_t)secret.data[i] << 16 | (uint32_t)secret.data[i + 1] << 8 | secret.data[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			out[len++] = letters[three >> shift & 63];
	}
	return len;
}

static void look_for(const char *where, bh_view bytes, size_t which)
{
	const bh_view secret = bh_view_of(all->of[which], all->len[which]);
	char text[2 * SECRET_SIZE + 1];
	size_t len;

	expect_none(where, bytes, bh_view_of(secret.data, secret.len / 2), which, "bytes");
	expect_none(where, bytes, bh_view_of(secret.data + secret.len / 2, secret.len - secret.len / 2), which, "bytes");
	bh_hex(secret.data, secret.len, text);
	expect_none(where, bytes, bh_view_of(text, secret.len), which, "hex");
	for (char *c = text; *c != '\0'; c++)
		*c = (char)toupper(*c);
	expect_none(where, bytes, bh_view_of(text, secret.len), which, "hex");
	for (size_t skip = 0; skip < 6; skip++) {
		len = base64(secret, skip % 3, skip >= 3, text);
		expect_none(where, bytes, bh_view_of(text, len / 2), which, "base64");
	}
}

static void look_into(void *arg, const char *path)
{
	bh_buf bytes = file_read(path);

	(void)arg;
	for (size_t i = 0; i < all->count; i++)
		look_for(path, bh_buf_view(&bytes), i);
	bh_buf_clear(&bytes);
	all->files++;
}

static void look_everywhere(void)
{
	tree_walk(all->ws.root, look_into, NULL);
	look_into(NULL, "/proc/self/cmdline");
	look_into(NULL, "/proc/self/environ");
}

/* ---- a life */

static void say(void *arg, const char *message)
{
	char path[PATH_SIZE];
	FILE *said;

	(void)arg;
	path_join(path, all->ws.root, "said");
	said = fopen(path, "a");
	test_check(said != NULL);
	fprintf(said, "%s\n", message);
	fclose(said);
}

static bh_db *open_talkative(void)
{
	rocksdb_options_t *rocksdb = rocksdb_options_create();
	bh_db *db = NULL;

	rocksdb_options_set_info_log_level(rocksdb, 0); /* debug */
	test_ok(bh_db_open(all->ws.db, &(bh_db_options){ .rocksdb = rocksdb, .log = say }, &db));
	rocksdb_options_destroy(rocksdb);
	return db;
}

static void rows(bh_db *db, const char *merchant)
{
	bh_cf *cf = test_cf(db, merchant, "data");

	for (int i = 0; i < 300; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%06d", i);
		test_put(cf, key, merchant);
	}
	test_ok(bh_flush(cf));
	test_put(cf, "tail", merchant);
	test_expect(cf, "000299", merchant);
	bh_cf_close(cf);
}

static void live(void *arg)
{
	bh_db *db;

	(void)arg;
	test_db_create(&all->ws, NULL);
	db = open_talkative();
	test_merchant_add(&all->ws, db, "ann", "data", NULL);
	test_merchant_add(&all->ws, db, "bob", "data", NULL);
	rows(db, "ann");
	rows(db, "bob");
	test_ok(bh_merchant_rotate(db, "ann", NULL));
	test_ok(bh_merchant_rotate(db, "", NULL));
	rows(db, "ann");
	test_ok(bh_merchant_suspend(db, "bob", NULL));
	bh_db_close(db);
}

/* Keys that are refused, and a passphrase that is wrong, have messages. */
static void be_refused(void *arg)
{
	const bh_db_options wrong = { .kms = { .passphrase = "another passphrase than that one" }, .log = say };
	bh_kms *kms = NULL;
	bh_db *db = NULL;
	uint32_t version;

	(void)arg;
	test_check(bh_db_open(all->ws.db, &wrong, &db) != BH_OK);
	say(NULL, bh_status_message());
	test_ok(bh_kms_open(workspace_cmk(&all->ws, "ann"), NULL, &kms));
	test_ok(bh_kms_rotate(kms, &version));
	test_ok(bh_kms_disable(kms));
	db = open_talkative();
	test_check(bh_merchant_resume(db, "ann", NULL) != BH_OK);
	say(NULL, bh_status_message());
	test_ok(bh_merchant_resume(db, "bob", NULL));
	rows(db, "bob");
	test_ok(bh_kms_enable(kms));
	bh_kms_close(kms);
	bh_db_close(db);
}

static void end(void *arg)
{
	bh_db *db = open_talkative();

	(void)arg;
	test_ok(bh_merchant_rewrap(db, "ann", NULL, NULL));
	rows(db, "ann");
	test_ok(bh_merchant_shred(db, "ann", NULL));
	rows(db, "bob");
	bh_db_close(db);
}

static void test_no_secret_is_written(void **state)
{
	(void)state;
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(all != MAP_FAILED);
	assert_int_equal(setenv("BULKHEAD_KMS_PASSPHRASE", passphrase, 1), 0);
	workspace_open(&all->ws);
	add(bh_view_str(passphrase));
	test_child_ok(live, NULL);
	test_child_ok(add_deks, NULL);
	look_everywhere();
	test_child_ok(be_refused, NULL);
	test_child_ok(add_deks, NULL);
	look_everywhere();
	test_child_ok(end, NULL);
	look_everywhere();
	assert_true(all->count >= 9 && all->files > 60);
	workspace_close(&all->ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_secret_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
