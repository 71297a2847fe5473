/* SPDX-License-Identifier: Apache-2.0
 *
 * harness.c: harness.h's other half.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyring/ring/keyring.h"

static bool in_child;

/* ---- checks */

void test_fail_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (in_child)
		_exit(CHILD_FAILED);
	_fail(file, line);
	abort(); /* _fail() jumps */
}

void test_status_at(bh_status got, bh_status want, const char *what, const char *file, int line)
{
	if (got != want)
		test_fail_at(file, line, "%s: %s instead of %s; %s", what, bh_status_name(got), bh_status_name(want),
			     got != BH_OK ? bh_status_message() : "");
}

void test_rocks_at(const char *error, const char *what, const char *file, int line)
{
	if (error != NULL)
		test_fail_at(file, line, "%s: %s", what, error);
}

void test_message_at(const char *what, const char *file, int line)
{
	if (strstr(bh_status_message(), what) == NULL)
		test_fail_at(file, line, "the message does not name '%s': %s", what, bh_status_message());
}

/* ---- children */

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* cmocka's handlers would go on with the next test, inside the child. */
static void drop_signal_handlers(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
}

pid_t test_child_start(void (*body)(void *arg), void *arg)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	test_check(child >= 0);
	if (child != 0)
		return child;
	in_child = true;
	drop_signal_handlers();
	body(arg);
	fflush(NULL);
	if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
		_exit(CHILD_FAILED);
	_exit(0);
}

int test_child_wait(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0)
		test_check(errno == EINTR);
	return status;
}

bool test_child_survives(void (*body)(void *arg), void *arg)
{
	int status = test_child_wait(test_child_start(body, arg));

	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		test_fail_at(__FILE__, __LINE__, "the child was ended by signal %d (%s)", WTERMSIG(status),
			     strsignal(WTERMSIG(status)));
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		test_fail_at(__FILE__, __LINE__, "the child ended with %d", WEXITSTATUS(status));
	return WIFEXITED(status);
}

void test_child_ok(void (*body)(void *arg), void *arg)
{
	if (!test_child_survives(body, arg))
		test_fail_at(__FILE__, __LINE__, "the child was killed");
}

void test_child_killed(void (*body)(void *arg), void *arg)
{
	if (test_child_survives(body, arg))
		test_fail_at(__FILE__, __LINE__, "the child was to be killed, and was not");
}

/* ---- databases */

const char *test_cmk(const workspace *ws, const char *name)
{
	const char *uri = workspace_cmk(ws, name);
	bh_status status = bh_kms_create(uri, "eu-1", NULL);

	if (status != BH_E_EXISTS)
		test_ok(status);
	return uri;
}

void test_db_create(const workspace *ws, const rocksdb_options_t *rocksdb)
{
	const bh_db_options options = { .rocksdb = rocksdb };

	test_ok(bh_db_create(ws->db, "eu-1", test_cmk(ws, "platform"), &options));
}

bh_db *test_db_open(const workspace *ws, const rocksdb_options_t *rocksdb)
{
	const bh_db_options options = { .rocksdb = rocksdb };
	bh_db *db = NULL;

	test_ok(bh_db_open(ws->db, &options, &db));
	return db;
}

void test_merchant_add(const workspace *ws, bh_db *db, const char *name, const char *cls1, const char *cls2)
{
	const char *const classes[] = { cls1, cls2 };
	const bh_merchant_options options = { classes, cls2 != NULL ? 2 : 1 };

	test_ok(bh_merchant_add(db, name, test_cmk(ws, name), &options));
}

bh_cf *test_cf(bh_db *db, const char *merchant, const char *cls)
{
	bh_cf *cf = NULL;

	test_ok(bh_cf_open(db, merchant, cls, &cf));
	return cf;
}

void test_put(bh_cf *cf, const char *key, const char *value)
{
	test_ok(bh_put(cf, NULL, bh_view_str(key), bh_view_str(value)));
}

void test_expect(bh_cf *cf, const char *key, const char *value)
{
	bh_buf got = { 0 };
	bh_status status = bh_get(cf, NULL, bh_view_str(key), &got);

	test_status(status, value != NULL ? BH_OK : BH_E_NO_SUCH_KEY);
	if (value != NULL && (got.len != strlen(value) || memcmp(got.data, value, got.len) != 0))
		test_fail_at(__FILE__, __LINE__, "'%s' has another value than '%s', of %zu bytes", key, value, got.len);
	bh_buf_clear(&got);
}

rocksdb_options_t *test_options_with(rocksdb_options_t *options, const char *changes)
{
	rocksdb_options_t *changed = rocksdb_options_create();
	char *error = NULL;

	rocksdb_get_options_from_string(options, changes, changed, &error);
	test_rocks_ok(error);
	rocksdb_options_destroy(options);
	return changed;
}

test_sst test_sst_begin(rocksdb_env_t *env, const char *path)
{
	test_sst sst = { rocksdb_options_create(), rocksdb_envoptions_create(), NULL };
	char *error = NULL;

	if (env != NULL)
		rocksdb_options_set_env(sst.options, env);
	sst.writer = rocksdb_sstfilewriter_create(sst.env_options, sst.options);
	rocksdb_sstfilewriter_open(sst.writer, path, &error);
	test_rocks_ok(error);
	return sst;
}

void test_sst_put(test_sst *sst, const char *key, const char *value)
{
	char *error = NULL;

	rocksdb_sstfilewriter_put(sst->writer, key, strlen(key), value, strlen(value), &error);
	test_rocks_ok(error);
}

void test_sst_end(test_sst *sst)
{
	char *error = NULL;

	rocksdb_sstfilewriter_finish(sst->writer, &error);
	test_rocks_ok(error);
	rocksdb_sstfilewriter_destroy(sst->writer);
	rocksdb_envoptions_destroy(sst->env_options);
	rocksdb_options_destroy(sst->options);
}

bool test_direct_io_works(const workspace *ws)
{
	char path[PATH_SIZE];
	int fd;

	path_join(path, ws->root, "direct");
	fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	close(fd);
	return unlink(path) == 0;
}

/* ---- the merge operator */

static char *append_all(const char *existing, size_t existing_len, const char *const *operands, const size_t *lens, int count,
			size_t *len_out)
{
	size_t total = existing != NULL ? existing_len : 0, at = total;
	char *joined;

	for (int i = 0; i < count; i++)
		total += lens[i];
	joined = malloc(total + 1);
	test_check(joined != NULL);
	if (at > 0)
		memcpy(joined, existing, at);
	for (int i = 0; i < count; i++) {
		memcpy(joined + at, operands[i], lens[i]);
		at += lens[i];
	}
	*len_out = total;
	return joined;
}

static char *append_full(void *state, const char *key, size_t key_len, const char *existing, size_t existing_len,
			 const char *const *operands, const size_t *lens, int count, unsigned char *success, size_t *len_out)
{
	(void)state, (void)key, (void)key_len;
	*success = 1;
	return append_all(existing, existing_len, operands, lens, count, len_out);
}

static char *append_partial(void *state, const char *key, size_t key_len, const char *const *operands, const size_t *lens,
			    int count, unsigned char *success, size_t *len_out)
{
	(void)state, (void)key, (void)key_len;
	*success = 1;
	return append_all(NULL, 0, operands, lens, count, len_out);
}

static const char *append_name(void *state)
{
	(void)state;
	return "bulkhead.test.append";
}

static void append_destroy(void *state)
{
	(void)state;
}

bh_dek *test_platform_dek(const char *dir)
{
	static const bh_scope platform;
	bh_keyring *keyring = NULL;
	bh_dek *dek = NULL;

	test_ok(bh_keyring_open(dir, NULL, false, &keyring));
	test_ok(bh_keyring_dek_current(keyring, &platform, &dek));
	bh_keyring_close(keyring);
	return dek;
}

rocksdb_mergeoperator_t *test_append_operator(void)
{
	return rocksdb_mergeoperator_create(NULL, append_destroy, append_full, append_partial, NULL, append_name);
}

int test_workspace_make(void **state)
{
	workspace *ws = calloc(1, sizeof(*ws));

	workspace_open(ws);
	*state = ws;
	return 0;
}

int test_workspace_drop(void **state)
{
	workspace_close(*state);
	free(*state);
	return 0;
}
