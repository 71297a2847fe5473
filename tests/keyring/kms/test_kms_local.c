/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_local.c: the KMS interface and the local KMS behind it: wrap and unwrap, the customer's console, damage, passphrases,
 * and two processes at one directory.
 */
#include "tests/keyring/ring/keyring_fixture.h"

#include <signal.h>

#include "keyring/base/base.h"
#include "keyring/base/crashpoint.h"
#include "keyring/kms/kms.h"

#define CONTEXT "class=events\nmerchant=acme\n"

static const uint8_t dek[BH_DEK_LEN] = { 7, 1, 2, 3 };

static bh_kms *kms_make(const keyring_fixture *f)
{
	bh_kms *kms = NULL;

	assert_done(bh_kms_create(f->acme_uri, "eu", NULL));
	assert_done(bh_kms_open(f->acme_uri, NULL, &kms));
	return kms;
}

static bh_buf wrap(bh_kms *kms, uint32_t expected_version)
{
	bh_buf wrapped = { 0 };
	uint32_t version = 0;

	assert_done(bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), &wrapped, &version));
	assert_int_equal(version, expected_version);
	return wrapped;
}

static bh_status unwrap_with(bh_kms *kms, bh_view wrapped, const char *context)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(kms, wrapped, bh_view_str(context), &out);
	if (status == BH_OK)
		assert_memory_equal(out.data, dek, sizeof(dek));
	else
		assert_null(out.data);
	bh_secret_clear(&out);
	return status;
}

static bh_status unwrap(bh_kms *kms, const bh_buf *wrapped)
{
	return unwrap_with(kms, bh_buf_view(wrapped), CONTEXT);
}

static void key_path(const keyring_fixture *f, const char *key, char out[256])
{
	text_format(out, 256, "%s/%s.key.json", f->kms, key);
}

/* URIs and places */

static void test_refuses_bad_uris(void **state)
{
	static const char *const uris[] = {
		"",          "local",      "local:", "local:#key",   "local:/tmp/x",       "local:/tmp/x#",
		"nope:/x#y", "local:/x#.", "/x#y",   "local:/x#a/b", "local:/tmp/x\n#key", "Local:/x#y"
	};
	bh_kms *kms = NULL;
	(void)state;

	assert_status(bh_kms_open(NULL, NULL, &kms), BH_E_INVALID);
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		assert_status(bh_kms_open(uris[i], NULL, &kms), BH_E_INVALID);
		assert_status(bh_kms_create(uris[i], "eu", NULL), BH_E_INVALID);
	}
	char longest[BH_KMS_URI_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "local:", 6);
	longest[sizeof(longest) - 1] = '\0';
	assert_status(bh_kms_open(longest, NULL, &kms), BH_E_INVALID);
	assert_null(kms);
}

static void test_says_not_found(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = NULL;
	char uri[256];

	assert_status(bh_kms_open(f->acme_uri, NULL, &kms), BH_E_KMS_UNREACHABLE); /* no directory: perhaps not mounted */
	assert_done(bh_kms_create(f->platform_uri, "", NULL));
	assert_status(bh_kms_open(f->acme_uri, NULL, &kms), BH_E_NOT_FOUND); /* no key */
	text_format(uri, sizeof(uri), "local:%s/no/such#key", f->root);
	assert_status(bh_kms_create(uri, "", NULL), BH_E_NOT_FOUND); /* no parent to make it in */
	text_format(uri, sizeof(uri), "local:%s#key", f->db);
	assert_status(bh_kms_open(uri, NULL, &kms), BH_E_KMS_UNREACHABLE); /* a directory, but no KMS */
}

static void test_creates_private_files(void **state)
{
	const keyring_fixture *f = *state;
	struct stat st;
	char path[256];

	umask(0);
	assert_done(bh_kms_create(f->acme_uri, NULL, NULL));
	umask(022);
	assert_int_equal(stat(f->kms, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	text_format(path, sizeof(path), "%s/root.key", f->kms);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, BH_DEK_LEN);
	key_path(f, "acme", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_status(bh_kms_create(f->acme_uri, NULL, NULL), BH_E_EXISTS);
}

static void test_describes(void **state)
{
	bh_kms *kms = kms_make(*state);
	bh_kms_key_info info;
	uint32_t version = 0;

	assert_done(bh_kms_describe(kms, &info));
	assert_string_equal(info.name, "acme");
	assert_string_equal(info.region, "eu");
	assert_int_equal(info.state, BH_KMS_ENABLED);
	assert_int_equal(info.version, 1);
	assert_true(info.created_at_s > 1600000000 && info.changed_at_s == info.created_at_s);
	assert_done(bh_kms_rotate(kms, &version));
	assert_int_equal(version, 2);
	assert_done(bh_kms_describe(kms, &info));
	assert_int_equal(info.version, 2);
	bh_kms_close(kms);
}

/* Wrap and unwrap */

static void test_wraps_and_unwraps(void **state)
{
	bh_kms *kms = kms_make(*state);
	bh_buf wrapped = wrap(kms, 1);
	bh_buf again = wrap(kms, 1), none = { 0 };
	uint32_t version = 0;

	assert_int_equal(wrapped.len, 65);
	assert_false(bytes_contain(bh_buf_view(&wrapped), bh_view_of(dek, 4)));
	assert_memory_not_equal(wrapped.data, again.data, wrapped.len);
	assert_done(unwrap(kms, &wrapped));
	assert_status(unwrap_with(kms, bh_buf_view(&wrapped), "class=events\nmerchant=acmf\n"), BH_E_TAG);
	assert_status(unwrap_with(kms, bh_buf_view(&wrapped), ""), BH_E_TAG);
	/* Nothing but a whole key is wrapped. */
	assert_status(bh_kms_wrap(kms, bh_view_of(dek, 31), bh_view_str(CONTEXT), &none, &version), BH_E_INVALID);
	assert_int_equal(none.len, 0);
	bh_buf_clear(&wrapped);
	bh_buf_clear(&again);
	bh_kms_close(kms);
}

static void test_refuses_every_flip_and_length_of_a_wrap(void **state)
{
	bh_kms *kms = kms_make(*state);
	bh_buf wrapped = wrap(kms, 1);

	for (size_t bit = 0; bit < wrapped.len * 8; bit++) {
		wrapped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bh_status status = unwrap(kms, &wrapped);
		assert_true(status == BH_E_TAG || (status == BH_E_VERSION && bit < 8));
		wrapped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t len = 0; len < wrapped.len; len++)
		assert_status(unwrap_with(kms, bh_view_of(wrapped.data, len), CONTEXT), BH_E_FORMAT);
	assert_done(bh_buf_append_u8(&wrapped, 0));
	assert_status(unwrap(kms, &wrapped), BH_E_FORMAT);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

static void test_rotation_keeps_old_versions(void **state)
{
	bh_kms *kms = kms_make(*state);
	bh_buf first = wrap(kms, 1);
	uint32_t version = 0;

	assert_done(bh_kms_rotate(kms, &version));
	bh_buf second = wrap(kms, 2);
	assert_done(unwrap(kms, &first));
	assert_done(unwrap(kms, &second));
	bh_put_u32(first.data + 1, 2);
	assert_status(unwrap(kms, &first), BH_E_TAG);
	bh_buf_clear(&first);
	bh_buf_clear(&second);
	bh_kms_close(kms);
}

static void test_another_key_does_not_unwrap(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f), *other = NULL;
	bh_buf wrapped = wrap(kms, 1);

	assert_done(bh_kms_create(f->platform_uri, "eu", NULL));
	assert_done(bh_kms_open(f->platform_uri, NULL, &other));
	assert_status(unwrap(other, &wrapped), BH_E_TAG);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	bh_kms_close(other);
}

/* The customer's console */

static void test_disabled_is_seen_at_once_by_other_handles(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f), *console = NULL;
	bh_buf wrapped = wrap(kms, 1), more = { 0 };
	uint32_t version = 0;

	assert_done(bh_kms_open(f->acme_uri, NULL, &console));
	assert_done(bh_kms_disable(console));
	assert_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	assert_status(bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), &more, &version), BH_E_KMS_REFUSED);
	assert_done(bh_kms_disable(console));
	assert_done(bh_kms_enable(console));
	assert_done(unwrap(kms, &wrapped));
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
	bh_kms_close(console);
}

static void test_destroy_is_final(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f);
	bh_buf wrapped = wrap(kms, 1);
	uint32_t version = 0;
	char path[256];

	key_path(f, "acme", path);
	assert_done(bh_kms_destroy(kms, NULL));
	assert_done(bh_kms_destroy(kms, NULL));
	assert_status(unwrap(kms, &wrapped), BH_E_KMS_REFUSED);
	assert_status(bh_kms_enable(kms), BH_E_KMS_REFUSED);
	assert_status(bh_kms_disable(kms), BH_E_KMS_REFUSED);
	assert_status(bh_kms_rotate(kms, &version), BH_E_KMS_REFUSED);
	assert_status(bh_kms_create(f->acme_uri, "eu", NULL), BH_E_EXISTS);
	assert_non_null(strstr(bh_status_message(), "destroyed"));

	bh_buf after = file_load(path);
	after.data[after.len] = '\0';
	assert_null(strstr((char *)after.data, "material"));
	assert_null(strstr((char *)after.data, "nonce"));
	bh_buf_clear(&after);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

struct listing {
	char names[8][65];
	size_t count;
	size_t stop_after;
};

static bh_status list_each(void *arg, const bh_kms_key_info *info)
{
	struct listing *listing = arg;

	memcpy(listing->names[listing->count++], info->name, sizeof(info->name));
	return listing->count == listing->stop_after ? BH_E_BUSY : BH_OK;
}

static void test_lists_by_name(void **state)
{
	static const char *const keys[] = { "b", "a-b", "a", "a.b" };
	static const char *const sorted[] = { "a", "a-b", "a.b", "b" };
	const keyring_fixture *f = *state;
	struct listing listing = { 0 };
	char uri[256];

	for (size_t i = 0; i < 4; i++) {
		text_format(uri, sizeof(uri), "local:%s#%s", f->kms, keys[i]);
		assert_done(bh_kms_create(uri, "", NULL));
	}
	assert_done(bh_kms_list(uri, NULL, list_each, &listing));
	assert_int_equal(listing.count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(listing.names[i], sorted[i]);

	listing = (struct listing){ .stop_after = 2 };
	text_format(uri, sizeof(uri), "local:%s", f->kms);
	assert_status(bh_kms_list(uri, NULL, list_each, &listing), BH_E_BUSY);
	assert_int_equal(listing.count, 2);
}

/* Damage */

static void test_refuses_edited_key_files(void **state)
{
	static const struct {
		const char *from, *to;
	} edits[] = { { "disabled", "enabled\" " },
		      { "\"eu\"", "\"us\"" },
		      { "created_at\": 1", "created_at\": 2" },
		      { "\"versions\"", "\"versionz\"" },
		      { "material\": \"", "material\": \"0" },
		      { "\"name\": \"acme\"", "\"name\": \"acmf\"" } };
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f), *opened = NULL;
	bh_kms_key_info info;
	char path[256];

	assert_done(bh_kms_disable(kms));
	key_path(f, "acme", path);
	bh_buf original = file_load(path);
	original.data[original.len] = '\0';
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		const char *at = strstr((char *)original.data, edits[i].from);
		assert_non_null(at);
		bh_buf edited = { 0 };
		assert_done(bh_buf_append(&edited, original.data, (size_t)(at - (char *)original.data)));
		assert_done(bh_buf_append(&edited, edits[i].to, strlen(edits[i].to)));
		assert_done(bh_buf_append(&edited, at + strlen(edits[i].from), strlen(at + strlen(edits[i].from))));
		file_store(path, bh_buf_view(&edited));
		bh_status status = bh_kms_open(f->acme_uri, NULL, &opened);
		assert_true(status == BH_E_TAG || status == BH_E_FORMAT);
		assert_int_equal(bh_kms_describe(kms, &info), status);
		bh_buf_clear(&edited);
	}
	bh_buf_clear(&original);
	bh_kms_close(kms);
}

/* Every flip of a digit, letter or quote is refused, except where it leaves the value as it is (the case of a hex digit, white
 * space). */
static void test_refuses_flips_in_a_key_file(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f), *opened = NULL;
	char path[256];

	key_path(f, "acme", path);
	bh_buf bytes = file_load(path);
	bh_buf wrapped = wrap(kms, 1);
	for (size_t bit = 0; bit < bytes.len * 8; bit++) {
		uint8_t was = bytes.data[bit / 8];
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		file_store(path, bh_buf_view(&bytes));
		/* Accepted only if it means the same, and then it works the same. */
		if (bh_kms_open(f->acme_uri, NULL, &opened) == BH_OK) {
			assert_true(bit % 8 == 5 || was == '\n' || was == ' ');
			assert_done(unwrap(opened, &wrapped));
			bh_kms_close(opened);
		}
		bytes.data[bit / 8] = was;
	}
	bh_buf_clear(&bytes);
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

static void test_refuses_swapped_and_cut_key_files(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f), *opened = NULL;
	char acme[256], platform[256];

	assert_done(bh_kms_create(f->platform_uri, "eu", NULL));
	key_path(f, "acme", acme);
	key_path(f, "platform", platform);
	bh_buf bytes = file_load(acme);
	file_store(platform, bh_buf_view(&bytes));
	assert_status(bh_kms_open(f->platform_uri, NULL, &opened), BH_E_TAG);
	for (size_t len = 0; len < bytes.len - 1; len += 7) {
		file_store(acme, bh_view_of(bytes.data, len));
		assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_FORMAT);
	}
	file_store(acme, bh_view_str("{\"format\": 2, \"root\": \"x\"}"));
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_VERSION);
	bh_buf_clear(&bytes);
	bh_kms_close(kms);
}

static void test_refuses_a_bad_root_key(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f), *opened = NULL;
	char root[256], aside[256];

	bh_kms_close(kms);
	text_format(root, sizeof(root), "%s/root.key", f->kms);
	text_format(aside, sizeof(aside), "%s/aside", f->kms);
	assert_int_equal(chmod(root, 0640), 0);
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_KMS_REFUSED);
	assert_int_equal(chmod(root, 0400), 0);
	assert_done(bh_kms_open(f->acme_uri, NULL, &opened));
	bh_kms_close(opened);
	assert_int_equal(chmod(f->kms, 0770), 0);
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_KMS_REFUSED);
	assert_int_equal(chmod(f->kms, 0700), 0);

	assert_int_equal(rename(root, aside), 0);
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_KMS_UNREACHABLE);
	assert_status(bh_kms_create(f->platform_uri, "eu", NULL), BH_E_NOT_FOUND); /* never a new root beside old keys */
	assert_false(file_exists(root));
	assert_int_equal(symlink(aside, root), 0);
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_FORMAT);
	assert_int_equal(unlink(root), 0);
	file_store(root, bh_view_of(dek, 31));
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_FORMAT);
	file_store(root, bh_view_of(dek, 32));
	assert_status(bh_kms_open(f->acme_uri, NULL, &opened), BH_E_KMS_REFUSED); /* another root key */
	assert_int_equal(rename(aside, root), 0);
	assert_done(bh_kms_open(f->acme_uri, NULL, &opened));
	bh_kms_close(opened);
}

static void test_tells_gone_from_unreachable(void **state)
{
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f);
	bh_buf wrapped = wrap(kms, 1);
	char path[256], aside[256];

	text_format(aside, sizeof(aside), "%s/aside", f->root);
	assert_int_equal(rename(f->kms, aside), 0);
	assert_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	assert_status(bh_kms_disable(kms), BH_E_KMS_UNREACHABLE);
	assert_int_equal(mkdir(f->kms, 0700), 0); /* where a disk is mounted */
	assert_status(unwrap(kms, &wrapped), BH_E_KMS_UNREACHABLE);
	assert_status(bh_kms_disable(kms), BH_E_KMS_UNREACHABLE);
	assert_int_equal(rmdir(f->kms), 0);
	assert_int_equal(rename(aside, f->kms), 0);
	assert_done(unwrap(kms, &wrapped));
	key_path(f, "acme", path);
	assert_int_equal(unlink(path), 0);
	assert_status(unwrap(kms, &wrapped), BH_E_NOT_FOUND); /* this one was removed */
	bh_buf_clear(&wrapped);
	bh_kms_close(kms);
}

/* Passphrases */

static void test_passphrase(void **state)
{
	const keyring_fixture *f = *state;
	const bh_kms_options right = { .passphrase = "correct horse" }, wrong = { .passphrase = "battery staple" };
	bh_kms *kms = NULL;
	char root[256];

	assert_done(bh_kms_create(f->acme_uri, "eu", &right));
	text_format(root, sizeof(root), "%s/root.key", f->kms);
	assert_false(file_exists(root));
	assert_status(bh_kms_open(f->acme_uri, &wrong, &kms), BH_E_KMS_REFUSED);
	assert_non_null(strstr(bh_status_message(), "wrong passphrase"));
	assert_status(bh_kms_open(f->acme_uri, NULL, &kms), BH_E_KMS_REFUSED);
	assert_status(bh_kms_create(f->platform_uri, "eu", NULL), BH_E_KMS_REFUSED);
	assert_done(bh_kms_open(f->acme_uri, &right, &kms));
	bh_buf wrapped = wrap(kms, 1);
	bh_kms_close(kms);

	setenv("BULKHEAD_KMS_PASSPHRASE", "correct horse", 1);
	assert_done(bh_kms_open(f->acme_uri, NULL, &kms));
	assert_done(unwrap(kms, &wrapped));
	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	bh_kms_close(kms);
	bh_buf_clear(&wrapped);
}

static void test_refuses_a_changed_root_file(void **state)
{
	static const struct {
		const char *from, *to;
		bh_status status;
	} edits[] = { { "\"n\": 32768", "\"n\": 2    ", BH_E_VERSION },
		      { "\"format\": 1", "\"format\": 2", BH_E_VERSION },
		      { "\"salt\": \"", "\"salt\": \"zz", BH_E_FORMAT },
		      { "{", "[", BH_E_FORMAT },
		      { "\"r\"", "\"q\"", BH_E_FORMAT } };
	const keyring_fixture *f = *state;
	const bh_kms_options options = { .passphrase = "correct horse" };
	bh_kms *kms = NULL;
	char root[256], key[256];

	assert_done(bh_kms_create(f->acme_uri, "eu", &options));
	text_format(root, sizeof(root), "%s/root.json", f->kms);
	bh_buf original = file_load(root);
	original.data[original.len] = '\0';
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		bh_buf edited = file_load(root);
		char *at = strstr((char *)original.data, edits[i].from);
		assert_non_null(at);
		memcpy(edited.data + (at - (char *)original.data), edits[i].to, strlen(edits[i].to));
		file_store(root, bh_buf_view(&edited));
		assert_status(bh_kms_open(f->acme_uri, &options, &kms), edits[i].status);
		file_store(root, bh_buf_view(&original));
		bh_buf_clear(&edited);
	}
	text_format(key, sizeof(key), "%s/root.key", f->kms);
	file_store(key, bh_view_of(dek, sizeof(dek)));
	assert_status(bh_kms_open(f->acme_uri, &options, &kms), BH_E_FORMAT); /* both kinds at once */
	bh_buf_clear(&original);
}

/* Processes */

static void test_creates_from_many_processes(void **state)
{
	const keyring_fixture *f = *state;
	struct listing listing = { 0 };
	char uri[256];

	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			text_format(uri, sizeof(uri), "local:%s#k%d", f->kms, i);
			_exit(bh_kms_create(uri, "eu", NULL) == BH_OK ? 0 : 1);
		}
	}
	for (int i = 0; i < 8; i++) {
		int status = -1;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	text_format(uri, sizeof(uri), "local:%s", f->kms);
	assert_done(bh_kms_list(uri, NULL, list_each, &listing)); /* one root for all of them, or the HMACs would differ */
	assert_int_equal(listing.count, 8);
}

static void test_kill_while_storing(void **state)
{
	static const char *const points[] = { "kms-local.store.tmp-synced", "kms-local.store.renamed" };
	const keyring_fixture *f = *state;
	bh_kms *kms = kms_make(f);
	bh_kms_key_info info;
	uint32_t version = 0;

	for (int i = 0; i < 2; i++) {
		pid_t child = fork();
		if (child == 0) {
			bh_kms *own = NULL; /* keys do not survive a fork */
			bh_crash_arm(points[i]);
			_exit(bh_kms_open(f->acme_uri, NULL, &own) == BH_OK && bh_kms_rotate(own, &version) == BH_OK ? 0 : 1);
		}
		int status = 0;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_done(bh_kms_describe(kms, &info));
		assert_int_equal(info.version, i == 0 ? 1 : 2);
	}
	assert_done(bh_kms_rotate(kms, &version));
	assert_int_equal(version, 3);
	bh_kms_close(kms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refuses_bad_uris, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_says_not_found, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_creates_private_files, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_describes, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_wraps_and_unwraps, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_every_flip_and_length_of_a_wrap, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_rotation_keeps_old_versions, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_another_key_does_not_unwrap, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_disabled_is_seen_at_once_by_other_handles, fixture_setup_bare,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(test_destroy_is_final, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_lists_by_name, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_edited_key_files, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_flips_in_a_key_file, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_swapped_and_cut_key_files, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_a_bad_root_key, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_tells_gone_from_unreachable, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_passphrase, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_refuses_a_changed_root_file, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_creates_from_many_processes, fixture_setup_bare, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_kill_while_storing, fixture_setup_bare, fixture_teardown),
	};

	return cmocka_run_group_tests_name("kms_local", tests, NULL, NULL);
}
