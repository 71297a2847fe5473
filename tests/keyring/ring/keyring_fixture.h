/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_fixture.h: a temporary directory with a local KMS (keys "platform" and "acme") and a database directory "db" in it, and
 * the few file operations with which the keyring's tests do their damage.
 */
#ifndef BH_TEST_KEYRING_FIXTURE_H
#define BH_TEST_KEYRING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring/ring/keyring.h"

typedef struct keyring_fixture {
	char root[64];
	char db[128];
	char file[160];  /* DB/KEYRING */
	char tmp[160];   /* DB/KEYRING.tmp */
	char audit[160]; /* DB/AUDIT */
	char kms[128];
	char platform_uri[192];
	char acme_uri[192];
} keyring_fixture;

#define assert_status(call, expected) assert_string_equal(bh_status_name(call), bh_status_name(expected))
#define assert_done(call)                                                                                                          \
	do {                                                                                                                       \
		bh_status done_ = (call);                                                                                          \
		if (done_ != BH_OK)                                                                                                \
			fail_msg("%s: %s: %s", #call, bh_status_name(done_), bh_status_message());                                 \
	} while (0)

static inline void text_format(char *out, size_t size, const char *fmt, ...) BH_PRINTF(3, 4);
static inline void text_format(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int len = vsnprintf(out, size, fmt, ap);
	va_end(ap);
	assert_true(len >= 0 && (size_t)len < size);
}

static inline keyring_fixture fixture_make(void)
{
	keyring_fixture f = { .root = "/tmp/bh-keyring-XXXXXX" };

	const char *tmpdir = getenv("TMPDIR");
	if (tmpdir != NULL && strlen(tmpdir) < 32)
		text_format(f.root, sizeof(f.root), "%s/bh-keyring-XXXXXX", tmpdir);
	assert_non_null(mkdtemp(f.root));
	text_format(f.db, sizeof(f.db), "%s/db", f.root);
	text_format(f.file, sizeof(f.file), "%s/KEYRING", f.db);
	text_format(f.tmp, sizeof(f.tmp), "%s/KEYRING.tmp", f.db);
	text_format(f.audit, sizeof(f.audit), "%s/AUDIT", f.db);
	text_format(f.kms, sizeof(f.kms), "%s/kms", f.root);
	text_format(f.platform_uri, sizeof(f.platform_uri), "local:%s#platform", f.kms);
	text_format(f.acme_uri, sizeof(f.acme_uri), "local:%s#acme", f.kms);
	assert_int_equal(mkdir(f.db, 0700), 0);
	return f;
}

/* ... with both keys and an empty keyring of region "eu". */
static inline keyring_fixture fixture_make_keyring(void)
{
	keyring_fixture f = fixture_make();

	assert_done(bh_kms_create(f.platform_uri, "eu", NULL));
	assert_done(bh_kms_create(f.acme_uri, "eu", NULL));
	assert_done(bh_keyring_create(f.db, "eu", f.platform_uri, NULL));
	return f;
}

static inline int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static inline void fixture_remove(keyring_fixture *f)
{
	nftw(f->root, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline bh_keyring *fixture_open(const keyring_fixture *f)
{
	bh_keyring *keyring = NULL;

	assert_done(bh_keyring_open(f->db, NULL, true, &keyring));
	return keyring;
}

static inline bh_status fixture_try_open(const keyring_fixture *f, bool writable)
{
	bh_keyring *keyring = NULL;
	bh_status status = bh_keyring_open(f->db, NULL, writable, &keyring);

	bh_keyring_close(keyring);
	return status;
}

static inline void fixture_add(const keyring_fixture *f, bh_keyring *keyring, const char *name)
{
	const char *const classes[] = { "profile", "events" };

	assert_done(bh_keyring_merchant_add(keyring, name, f->acme_uri, classes, 2));
}

static inline bh_merchant_state fixture_state_of(bh_keyring *keyring, const char *name)
{
	bh_merchant_info info;

	assert_done(bh_keyring_merchant(keyring, name, &info));
	bh_merchant_state state = info.state;
	bh_merchant_info_clear(&info);
	return state;
}

/* For cmocka: *state is a keyring_fixture, with a keyring ... */
static inline int fixture_setup(void **state)
{
	keyring_fixture *f = malloc(sizeof(*f));

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	*f = fixture_make_keyring();
	*state = f;
	return 0;
}

/* ... or with the directories alone. */
static inline int fixture_setup_bare(void **state)
{
	keyring_fixture *f = malloc(sizeof(*f));

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	*f = fixture_make();
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

/* Files */

static inline bh_buf file_load(const char *path)
{
	bh_buf out = { 0 };
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	out.len = out.cap = (size_t)st.st_size;
	out.data = malloc(out.cap + 1);
	assert_non_null(out.data);
	assert_int_equal(read(fd, out.data, out.len), (ssize_t)out.len);
	close(fd);
	return out;
}

static inline void file_store(const char *path, bh_view bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), (ssize_t)bytes.len);
	close(fd);
}

static inline bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static inline void assert_file_is(const char *path, bh_view bytes)
{
	bh_buf now = file_load(path);

	assert_int_equal(now.len, bytes.len);
	assert_memory_equal(now.data, bytes.data, bytes.len);
	bh_buf_clear(&now);
}

/* KEYRING as it was, but for what its commit mark says of AUDIT, which goes on with every open, and for its sequence and MAC. */
static inline void assert_keyring_is(const char *path, bh_view bytes)
{
	const size_t from = 3584 + 48, to = 3584 + 88, sequence = 3584 + 456, end = sequence + 8 + 32;
	bh_buf now = file_load(path);

	assert_int_equal(now.len, bytes.len);
	assert_memory_equal(now.data, bytes.data, from);
	assert_memory_equal(now.data + to, bytes.data + to, sequence - to);
	assert_memory_equal(now.data + end, bytes.data + end, bytes.len - end);
	bh_buf_clear(&now);
}

static inline bool bytes_contain(bh_view haystack, bh_view needle)
{
	return memmem(haystack.data, haystack.len, needle.data, needle.len) != NULL;
}

/* A keyring that is open, with merchant acme (CREATING), and the console of acme's CMK. */
typedef struct acme_rig {
	keyring_fixture f;
	bh_keyring *keyring;
	bh_kms *console;
} acme_rig;

static inline acme_rig acme_rig_make(void)
{
	acme_rig rig = { 0 };

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	rig.f = fixture_make_keyring();
	rig.keyring = fixture_open(&rig.f);
	fixture_add(&rig.f, rig.keyring, "acme");
	assert_done(bh_kms_open(rig.f.acme_uri, NULL, &rig.console));
	return rig;
}

static inline void acme_rig_remove(acme_rig *rig)
{
	bh_kms_close(rig->console);
	bh_keyring_close(rig->keyring);
	fixture_remove(&rig->f);
}

#endif
