/* SPDX-License-Identifier: Apache-2.0
 *
 * test_audit_optional.c: `audit_optional`: whoever only looks, and may not write the audit log, goes on with nothing recorded. Not
 * whoever writes, not where the log is lost or damaged, not where anything but permission is missing; and where the log can be
 * written, it is.
 *
 * What the system says to opening AUDIT for writing is made up, so that this holds for root, too; the last test asks the system.
 */
#include "tests/keyring/ring/keyring_fixture.h"

#include <errno.h>
#include <string.h>

static int openat_error; /* for AUDIT, with O_RDWR; 0: as the system says */

static bool made_up(const char *path, int flags)
{
	if (openat_error == 0 || strcmp(path, BH_AUDIT_FILE) != 0 || (flags & O_ACCMODE) != O_RDWR)
		return false;
	errno = openat_error;
	return true;
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return made_up(path, flags) ? -1 : __real_openat(dir, path, flags, mode);
}

/* What glibc's headers make of a call without a mode, where the build is fortified. */
int __real___openat_2(int dir, const char *path, int flags);
int __wrap___openat_2(int dir, const char *path, int flags);
int __wrap___openat_2(int dir, const char *path, int flags)
{
	return made_up(path, flags) ? -1 : __real___openat_2(dir, path, flags);
}

static int setup(void **state)
{
	keyring_fixture *f = malloc(sizeof(*f));
	bh_keyring *keyring;

	assert_non_null(f);
	*f = fixture_make_keyring();
	keyring = fixture_open(f);
	fixture_add(f, keyring, "acme");
	bh_keyring_close(keyring);
	openat_error = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	openat_error = 0;
	fixture_remove(*state);
	free(*state);
	return 0;
}

static bh_status try_open(const keyring_fixture *f, bool optional, bool writable, bh_keyring **out)
{
	const bh_keyring_options options = { .audit_optional = optional };

	return bh_keyring_open(f->db, &options, writable, out);
}

static void refused(const keyring_fixture *f, bool optional, bool writable, bh_status want)
{
	bh_keyring *keyring = NULL;

	assert_status(try_open(f, optional, writable, &keyring), want);
	assert_null(keyring);
	assert_non_null(strstr(bh_status_message(), BH_AUDIT_FILE));
}

/* Opens to look, uses a key, closes. */
static void look(const keyring_fixture *f, bool silent)
{
	bh_keyring *keyring = NULL;

	assert_done(try_open(f, true, false, &keyring));
	assert_int_equal(bh_audit_is_silent(bh_keyring_audit(keyring)), silent);
	assert_done(bh_keyring_merchant_unlock(keyring, "acme"));
	bh_keyring_close(keyring);
}

static void look_leaves_nothing(const keyring_fixture *f)
{
	bh_buf log = file_load(f->audit), ring = file_load(f->file);

	look(f, true);
	assert_file_is(f->audit, bh_buf_view(&log));
	assert_file_is(f->file, bh_buf_view(&ring));
	bh_buf_clear(&log);
	bh_buf_clear(&ring);
}

static void who_may_not_write_it_looks_with_nothing_recorded(void **state)
{
	static const int errors[] = { EACCES, EPERM, EROFS };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		openat_error = errors[i];
		look_leaves_nothing(*state);
	}
}

static void without_the_option_it_is_refused(void **state)
{
	openat_error = EACCES;
	refused(*state, false, false, BH_E_IO);
}

static void who_writes_is_refused_all_the_same(void **state)
{
	openat_error = EROFS;
	refused(*state, true, true, BH_E_IO);
}

static void anything_but_permission_is_a_failure(void **state)
{
	static const struct {
		int error;
		bh_status status;
	} cases[] = { { EIO, BH_E_IO }, { EMFILE, BH_E_FULL }, { ENFILE, BH_E_FULL }, { ENOSPC, BH_E_FULL } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		openat_error = cases[i].error;
		refused(*state, true, false, cases[i].status);
	}
}

static void a_log_that_can_be_written_is_written(void **state)
{
	const keyring_fixture *f = *state;
	bh_buf before = file_load(f->audit);

	look(f, false);
	bh_buf after = file_load(f->audit);
	assert_true(after.len > before.len);
	bh_view news = bh_view_of(after.data + before.len, after.len - before.len);
	assert_true(bytes_contain(news, bh_view_str("\"" BH_AUDIT_OPENED "\"")));
	assert_true(bytes_contain(news, bh_view_str("\"" BH_AUDIT_KEYS_GRANTED "\"")));
	bh_buf_clear(&before);
	bh_buf_clear(&after);
}

static void a_log_that_is_lost_damaged_or_cut_is_refused(void **state)
{
	const keyring_fixture *f = *state;
	bh_buf good = file_load(f->audit);

	openat_error = EROFS;
	file_store(f->audit, bh_view_of(good.data, good.len / 2));
	bh_keyring *keyring = NULL;
	assert_status(try_open(f, true, false, &keyring), BH_E_ROLLBACK);
	good.data[good.len / 3] ^= 1;
	file_store(f->audit, bh_buf_view(&good));
	assert_true(try_open(f, true, false, &keyring) != BH_OK);
	assert_null(keyring);
	assert_int_equal(remove(f->audit), 0);
	refused(f, true, false, BH_E_FORMAT);
	assert_false(file_exists(f->audit));
	bh_buf_clear(&good);
}

/* Somebody else's log, as the system sees it: all is given to "nobody" but AUDIT, which everybody may read; root stays root's. */
static int give_away(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return strstr(path, "/" BH_AUDIT_FILE) != NULL ? chmod(path, 0644) : chown(path, 65534, 65534);
}

static void as_the_system_says(void **state)
{
	const keyring_fixture *f = *state;

	if (geteuid() != 0)
		skip(); /* root's log is what another user may not write */
	assert_int_equal(nftw(f->root, give_away, 16, FTW_PHYS), 0);
	assert_int_equal(seteuid(65534), 0);
	refused(f, false, false, BH_E_IO);
	refused(f, true, true, BH_E_IO);
	look_leaves_nothing(f);
	assert_int_equal(seteuid(0), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_may_not_write_it_looks_with_nothing_recorded),
		CASE(without_the_option_it_is_refused),
		CASE(who_writes_is_refused_all_the_same),
		CASE(anything_but_permission_is_a_failure),
		CASE(a_log_that_can_be_written_is_written),
		CASE(a_log_that_is_lost_damaged_or_cut_is_refused),
		CASE(as_the_system_says),
	};

	return cmocka_run_group_tests_name("audit_optional", tests, NULL, NULL);
}
