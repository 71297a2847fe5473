/* SPDX-License-Identifier: Apache-2.0
 *
 * test_leftovers.c: what somebody puts in the place of a file that is about to be made. Each such place is taken by a second name
 * of another merchant's file, and by a symbolic link to it: that file stays as it is, the new one is the owner's alone, and
 * everybody is served. And a kill while a small file gets another name, which seals it anew.
 */
#include "tests/support/harness.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bulkhead/report.h>

#include "keyring/base/crashpoint.h"

#define ROWS 40
#define NAMES_AHEAD 60 /* file numbers that one step below may use */

typedef struct attack {
	workspace ws;
	char victim[PATH_SIZE];
	const char *at; /* the crash point */
} attack;

static void fill(bh_db *db, const char *merchant, int from)
{
	bh_cf *cf = test_cf(db, merchant, "data");

	for (int i = from; i < from + ROWS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%06d", i);
		test_put(cf, key, merchant);
	}
	test_ok(bh_flush(cf));
	bh_cf_close(cf);
}

static void expect(bh_db *db, const char *merchant, int count)
{
	bh_cf *cf = test_cf(db, merchant, "data");

	for (int i = 0; i < count; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%06d", i);
		test_expect(cf, key, merchant);
	}
	bh_cf_close(cf);
}

static void make(void *arg)
{
	attack *a = arg;
	bh_db *db;

	test_db_create(&a->ws, NULL);
	db = test_db_open(&a->ws, NULL);
	test_merchant_add(&a->ws, db, "ann", "data", NULL);
	test_merchant_add(&a->ws, db, "bob", "data", NULL);
	fill(db, "ann", 0);
	fill(db, "bob", 0);
	bh_db_close(db);
}

/* ---- places that are taken */

static void take(const attack *a, const char *dir, const char *name, bool by_symlink)
{
	char path[PATH_SIZE];

	path_join(path, dir, name);
	if (file_exists(path))
		return;
	test_check((by_symlink ? symlink(a->victim, path) : link(a->victim, path)) == 0);
}

static uint64_t newest_number(const char *dir)
{
	DIR *d = opendir(dir);
	uint64_t newest = 0;

	for (struct dirent *e = d != NULL ? readdir(d) : NULL; e != NULL; e = readdir(d)) {
		const char *digits = e->d_name + strcspn(e->d_name, "0123456789");

		if (strncmp(e->d_name, "LOG", 3) != 0) /* which has a time in its name */
			newest = BH_MAX(newest, strtoull(digits, NULL, 10));
	}
	if (d != NULL)
		closedir(d);
	return newest;
}

/* Every name that the next step makes a file under. A link as the file itself is refused, which is another test's: here alone the
 * temporary names are links. */
static void take_places(const attack *a, bool by_symlink)
{
	static const char *const fixed[] = { "KEYRING.tmp", "CURRENT.bhtmp", "IDENTITY.bhtmp", "reserve.probe" };
	static const struct {
		const char *before, *after;
		bool whole; /* no temporary name of ours */
	} numbered[] = { { "", ".log.bhtmp", false },
			 { "MANIFEST-", ".bhtmp", false },
			 { "OPTIONS-", ".bhtmp", false },
			 { "", ".dbtmp", true },
			 { "OPTIONS-", ".dbtmp", true } };
	const int newest = (int)newest_number(a->ws.db);
	char name[64], dir[PATH_SIZE];

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		take(a, a->ws.db, fixed[i], by_symlink);
	path_join(dir, a->ws.db, "tenants/ann/data");
	for (int n = 0; n < newest + NAMES_AHEAD; n++) {
		for (size_t i = 0; i < sizeof(numbered) / sizeof(numbered[0]); i++) {
			snprintf(name, sizeof(name), "%s%06d%s", numbered[i].before, n, numbered[i].after);
			if (!(by_symlink && numbered[i].whole))
				take(a, a->ws.db, name, by_symlink);
		}
		snprintf(name, sizeof(name), "%06d.sst", n);
		if (n > newest && !by_symlink)
			take(a, dir, name, false);
	}
	take(a, a->ws.kms, "key.tmp", by_symlink);
	take(a, a->ws.root, "metrics.prom.tmp", by_symlink);
}

static bool is_private(const char *path, mode_t mode)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && (st.st_mode & 07777) == mode;
}

static void expect_modes(const attack *a)
{
	static const struct {
		const char *name;
		mode_t mode;
	} files[] = { { "db/KEYRING", 0600 },
		      { "db/CURRENT", 0640 },
		      { "db/AUDIT", 0640 },
		      { "kms/ann.key.json", 0600 },
		      { "metrics.prom", 0644 } };
	char path[PATH_SIZE];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_join(path, a->ws.root, files[i].name);
		if (!is_private(path, files[i].mode))
			test_fail_at(__FILE__, __LINE__, "%s: is not its owner's alone", path);
	}
	for (size_t skip = 0; file_find(a->ws.db, ".sst", skip, path); skip++)
		test_check(is_private(path, 0640) || strcmp(path, a->victim) == 0);
}

/* Opens, writes, flushes, rotates, rewrites KEYRING and the key files, and looks again. */
static void use(void *arg)
{
	attack *a = arg;
	char metrics[PATH_SIZE];
	uint32_t version;
	bh_kms *kms;
	bh_db *db;

	umask(0);
	path_join(metrics, a->ws.root, "metrics.prom");
	db = test_db_open(&a->ws, NULL);
	fill(db, "ann", ROWS);
	test_ok(bh_kms_open(workspace_cmk(&a->ws, "ann"), NULL, &kms));
	test_ok(bh_kms_rotate(kms, &version));
	bh_kms_close(kms);
	test_ok(bh_merchant_suspend(db, "ann", NULL));
	test_ok(bh_merchant_resume(db, "ann", NULL));
	test_ok(bh_db_metrics_write(db, metrics));
	expect(db, "ann", 2 * ROWS);
	expect(db, "bob", ROWS);
	bh_db_close(db);
}

static void taken(bool by_symlink)
{
	BH_CLEANUP(bh_buf_clear) bh_buf before = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf after = { 0 };
	attack a = { 0 };
	char dir[PATH_SIZE];

	workspace_open(&a.ws);
	test_child_ok(make, &a);
	path_join(dir, a.ws.db, "tenants/bob/data");
	test_check(file_find(dir, ".sst", 0, a.victim));
	before = file_read(a.victim);
	take_places(&a, by_symlink);
	test_child_ok(use, &a);
	after = file_read(a.victim);
	test_check(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
	expect_modes(&a);
	workspace_close(&a.ws);
}

static void test_second_names_are_not_written(void **state)
{
	(void)state;
	taken(false);
}

static void test_links_are_not_followed(void **state)
{
	(void)state;
	taken(true);
}

/* ---- kills */

static void open_once(void *arg)
{
	const attack *a = arg;

	bh_crash_arm(a->at);
	bh_db_close(test_db_open(&a->ws, NULL));
}

static void look(void *arg)
{
	const attack *a = arg;
	bh_db *db = test_db_open(&a->ws, NULL);

	expect(db, "ann", ROWS);
	expect(db, "bob", ROWS);
	bh_db_close(db);
}

static void count_temps(void *arg, const char *path)
{
	*(unsigned *)arg += strstr(path, ".bhtmp") != NULL || strstr(path, ".dbtmp") != NULL;
}

static void test_kills_while_renaming(void **state)
{
	static const char *const points[] = { "rename.sealed", "rename.renamed" };
	attack a = { 0 };

	(void)state;
	workspace_open(&a.ws);
	test_child_ok(make, &a);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		bool survived = false;
		unsigned kills = 0;

		for (unsigned pass = 1; !survived; pass++) {
			char spec[32];
			unsigned left = 0;

			snprintf(spec, sizeof(spec), "%s:%u", points[i], pass);
			a.at = spec;
			survived = test_child_survives(open_once, &a);
			kills += !survived;
			test_child_ok(look, &a);
			tree_walk(a.ws.db, count_temps, &left);
			test_check(left == 0);
		}
		test_check(kills >= 2); /* CURRENT, and OPTIONS */
	}
	workspace_close(&a.ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_second_names_are_not_written),
		cmocka_unit_test(test_links_are_not_followed),
		cmocka_unit_test(test_kills_while_renaming),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
