/* SPDX-License-Identifier: Apache-2.0
 *
 * support.c: see support.h.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "engine/core/home.h"
#include "env/room/room.h"
#include "keyring/ring/keyring.h"
#include "keyring/manifest/format.h"

void expect_status(bh_status got, bh_status want, const char *call, const char *file, int line)
{
	if (got == want)
		return;
	print_error("%s\n    ended with %s (%s), not with %s\n", call, bh_status_name(got), got == BH_OK ? "" : bh_status_message(),
		    bh_status_name(want));
	_fail(file, line);
}

void path_join(char out[PATH_SIZE], const char *dir, const char *name)
{
	int len = snprintf(out, PATH_SIZE, "%s/%s", dir, name);

	if (len < 0 || len >= PATH_SIZE)
		abort();
}

/* ---- scratch directories */

void workspace_open(workspace *ws)
{
	const char *tmp = getenv("TMPDIR");

	path_join(ws->root, tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", "bh_test_XXXXXX");
	assert_non_null(mkdtemp(ws->root));
	path_join(ws->db, ws->root, "db");
	path_join(ws->kms, ws->root, "kms");
}

void workspace_close(workspace *ws)
{
	tree_remove(ws->root);
}

const char *workspace_cmk(const workspace *ws, const char *key)
{
	static char uris[4][PATH_SIZE + 80];
	static unsigned next;
	char *uri = uris[next++ % 4];

	snprintf(uri, sizeof(uris[0]), "local:%s#%s", ws->kms, key);
	return uri;
}

void workspace_create(const workspace *ws, const bh_db_options *options, const char *const *merchants)
{
	OK(bh_kms_create(workspace_cmk(ws, "platform"), "eu-1", NULL));
	for (; merchants != NULL && *merchants != NULL; merchants++)
		OK(bh_kms_create(workspace_cmk(ws, *merchants), "eu-1", NULL));
	OK(bh_db_create(ws->db, "eu-1", workspace_cmk(ws, "platform"), options));
}

void workspace_add(const workspace *ws, bh_db *db, const char *merchant, const char *const *classes, size_t count)
{
	const bh_merchant_options options = { classes, count };

	OK(bh_merchant_add(db, merchant, workspace_cmk(ws, merchant), &options));
}

/* ---- trees */

/* Calls `each` for the entries of a directory in the order of their names; those that are gone by then are skipped. */
static void list(const char *dir, void (*each)(void *arg, const char *path, const struct stat *st), void *arg)
{
	struct dirent **entries = NULL;
	int count = scandir(dir, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[PATH_SIZE];
		struct stat st;

		path_join(path, dir, entries[i]->d_name);
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0 && lstat(path, &st) == 0)
			each(arg, path, &st);
		free(entries[i]);
	}
	free(entries);
}

struct walk {
	void (*each)(void *arg, const char *path);
	void *arg;
};

/* Room that is kept: zeros, and made anew where it is missing. */
static bool is_reserve(const char *path)
{
	return strcmp(strrchr(path, '/') + 1, BH_RESERVE_FILE) == 0;
}

/* Where the database is at home: not sealed, and nothing that an open goes by (engine/core/home.h). */
static bool is_home(const char *path)
{
	return strcmp(strrchr(path, '/') + 1, BH_HOME_FILE) == 0;
}

static void walk_entry(void *arg, const char *path, const struct stat *st)
{
	const struct walk *walk = arg;

	if (S_ISDIR(st->st_mode))
		list(path, walk_entry, arg);
	else if (S_ISREG(st->st_mode) && !is_reserve(path) && !is_home(path))
		walk->each(walk->arg, path);
}

void tree_walk(const char *root, void (*each)(void *arg, const char *path), void *arg)
{
	struct walk walk = { each, arg };

	list(root, walk_entry, &walk);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(from);

	file_write(to, bh_buf_view(&bytes));
	chmod(to, mode & 07777);
}

static void copy_entry(void *arg, const char *path, const struct stat *st)
{
	char to[PATH_SIZE];

	path_join(to, arg, strrchr(path, '/') + 1);
	if (S_ISDIR(st->st_mode))
		tree_copy(path, to);
	else if (S_ISREG(st->st_mode) && !is_reserve(path))
		copy_file(path, to, st->st_mode);
}

void tree_copy(const char *from, const char *to)
{
	char target[PATH_SIZE];
	struct stat st;

	snprintf(target, sizeof(target), "%s", to);
	if (lstat(from, &st) != 0 || mkdir(to, st.st_mode & 07777) != 0)
		return;
	list(from, copy_entry, target);
}

static void remove_entry(void *arg, const char *path, const struct stat *st)
{
	(void)arg;
	if (S_ISDIR(st->st_mode))
		tree_remove(path);
	else
		unlink(path);
}

void tree_remove(const char *path)
{
	list(path, remove_entry, NULL);
	rmdir(path);
}

void audit_mask(const char *path, bh_buf *bytes)
{
	const size_t position = BH_KEYRING_HEAD_LEN + 48, sequence = BH_KEYRING_HEAD_LEN + 456;
	const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;

	if (strcmp(name, BH_AUDIT_FILE) == 0)
		bytes->len = 0;
	else if (strcmp(name, BH_KEYRING_FILE) == 0 && bytes->len >= BH_KEYRING_RECORDS_OFF) {
		memset(bytes->data + position, 0, 8 + BH_SHA256_LEN); /* AUDIT's size and root */
		memset(bytes->data + sequence, 0, 8 + BH_SHA256_LEN); /* the mark's own sequence, and its MAC */
	}
}

static void hash_file(void *arg, const char *path)
{
	XXH3_state_t *state = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = file_read(path);

	audit_mask(path, &bytes);
	XXH3_64bits_update(state, path, strlen(path) + 1);
	XXH3_64bits_update(state, &bytes.len, sizeof(bytes.len));
	XXH3_64bits_update(state, bytes.data, bytes.len);
}

uint64_t tree_hash(const char *root)
{
	XXH3_state_t *state = XXH3_createState();
	uint64_t hash;

	XXH3_64bits_reset(state);
	tree_walk(root, hash_file, state);
	hash = XXH3_64bits_digest(state);
	XXH3_freeState(state);
	return hash;
}

/* ---- files */

bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

bh_buf file_read(const char *path)
{
	bh_buf out = { 0 };
	FILE *f = fopen(path, "rb");
	size_t got = 1;

	while (f != NULL && got > 0) {
		if (bh_buf_reserve(&out, 65536) != BH_OK)
			abort();
		got = fread(out.data + out.len, 1, 65536, f);
		out.len += got;
	}
	if (f != NULL)
		fclose(f);
	return out;
}

void file_write(const char *path, bh_view bytes)
{
	FILE *f = fopen(path, "wb");

	if (f == NULL || fwrite(bytes.data, 1, bytes.len, f) != bytes.len || fclose(f) != 0) {
		perror(path);
		abort();
	}
}

struct find {
	const char *suffix;
	size_t skip;
	char *out;
	bool found;
};

static void find_file(void *arg, const char *path)
{
	struct find *find = arg;
	size_t len = strlen(path), suffix = strlen(find->suffix);

	if (find->found || len < suffix || strcmp(path + len - suffix, find->suffix) != 0)
		return;
	if (find->skip > 0) {
		find->skip--;
		return;
	}
	find->found = true;
	snprintf(find->out, PATH_SIZE, "%s", path);
}

bool file_find(const char *root, const char *suffix, size_t skip, char out[PATH_SIZE])
{
	struct find find = { suffix, skip, out, false };

	tree_walk(root, find_file, &find);
	return find.found;
}

bool file_settle(const char *root, const char *suffix, size_t count)
{
	char path[PATH_SIZE];

	for (int i = 0; i < 1000; i++, usleep(10000)) {
		if (!file_find(root, suffix, count, path))
			return true;
	}
	return false;
}

/* ---- child processes */

void child_expect(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: child: %s (last failure: %s)\n", file, line, what, bh_status_message());
	_exit(CHILD_FAILED);
}

void child_say(int out_fd, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(out_fd, (const char *)bytes + at, len - at);

		if (n <= 0)
			_exit(CHILD_FAILED);
		at += (size_t)n;
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until the child closes its end, or the time is over: then false. */
static bool listen_to(int fd, int64_t deadline_ms, bh_buf *said)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline_ms - now_ms();
		uint8_t chunk[4096];
		ssize_t n;

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			return true;
		if (bh_buf_append(said, chunk, (size_t)n) != BH_OK)
			abort();
	}
}

child_end child_run(unsigned timeout_ms, void (*body)(void *arg, int out_fd), void *arg)
{
	child_end end = { 0 };
	int pipe_fd[2], status = 0;
	pid_t pid;

	fflush(NULL);
	if (pipe(pipe_fd) != 0 || (pid = fork()) < 0) {
		perror("fork");
		abort();
	}
	if (pid == 0) {
		close(pipe_fd[0]);
		body(arg, pipe_fd[1]);
		_exit(0);
	}
	close(pipe_fd[1]);
	end.timed_out = !listen_to(pipe_fd[0], now_ms() + timeout_ms, &end.said);
	close(pipe_fd[0]);
	if (end.timed_out)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	return end;
}

/* ---- bytes */

size_t bytes_count(bh_view haystack, bh_view needle)
{
	enum { WINDOW = 4096 }; /* a sanitizer looks at all that memmem() might read, hit or not: not the whole rest each time */
	size_t count = 0;

	for (size_t at = 0; at < haystack.len && haystack.len - at >= needle.len;) {
		size_t len = BH_MIN(haystack.len - at, WINDOW + needle.len - 1);
		const uint8_t *hit = memmem(haystack.data + at, len, needle.data, needle.len);

		count += hit != NULL;
		at = hit != NULL ? (size_t)(hit - haystack.data) + 1 : at + WINDOW;
	}
	return count;
}
