/* SPDX-License-Identifier: Apache-2.0
 *
 * test_model.c: correct. Random operations on three merchants with two classes each, checked one by one against a plain model in
 * memory, over rounds with other options each; and after kill -9 the database holds every acknowledged synced write and is an exact
 * prefix of what was issued, in order.
 *
 * A round is a child, because a killed process cannot check itself. It acknowledges each operation over a pipe. The parent never
 * opens RocksDB; it keeps the state of the model before the round, and the seed decides the operations, so any later state can be
 * had by replaying. After a kill the "judge", another child, opens the database, and looks for the state it finds among those from
 * the last acknowledged synced write to the one write that may have been under way. Before that, perhaps: the end of the newest log
 * is cut off above its last synced point (as a power cut would), and a judge is killed in the middle of the recovery.
 */
#include "model_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "env/stream/stream.h"
#include "tests/support/slow_build.h"

enum {
#ifdef BH_SLOW_BUILD
	OPS_IN_ALL = 10000,
	OPS_IN_ROUND = 1500,
#else
	OPS_IN_ALL = 200000,
	OPS_IN_ROUND = 16000,
#endif
};

typedef struct acked {
	uint32_t done;   /* operations done in this round */
	uint32_t synced; /* of these, from the front, are durable */
} acked;

typedef struct round_ctx {
	workspace ws;
	run_config config;
	model_state state;  /* before the round, in the parent */
	test_random random; /* likewise */
	int pipe[2];
	acked last; /* of the round before, for the judge */
} round_ctx;

/* ---- children */

static void write_all(int fd, const void *data, size_t len)
{
	test_check(write(fd, data, len) == (ssize_t)len);
}

static void create(void *arg)
{
	round_ctx *ctx = arg;

	run_create(&ctx->ws, &ctx->config);
}

static void play(void *arg)
{
	round_ctx *ctx = arg;
	model_run run = { .ws = &ctx->ws, .config = ctx->config, .state = &ctx->state };
	acked ack = { 0 };
	model_op op;

	close(ctx->pipe[0]);
	run_open(&run);
	test_check(run_digest(&run) == ctx->state.digest);
	while (ack.done < OPS_IN_ROUND) {
		model_op_make(&ctx->random, run.state, &op);
		run_op(&run, &op);
		ack.done++;
		/* A clean close does not sync, but what was flushed by it is durable: only these two promise it for sure. */
		if (op.kind == OP_SYNC || (op.kind == OP_WRITE && op.sync))
			ack.synced = ack.done;
		write_all(ctx->pipe[1], &ack, sizeof(ack));
	}
	test_check(run_digest(&run) == run.state->digest);
	run_close(&run);
	model_clear(run.state);
}

/* Reports how many operations of the last round are in the database. */
static void judge(void *arg)
{
	round_ctx *ctx = arg;
	model_run run = { .ws = &ctx->ws, .config = ctx->config, .state = &ctx->state };
	uint32_t done = 0;
	uint64_t digest;
	model_op op;

	close(ctx->pipe[0]);
	run_open(&run);
	digest = run_digest(&run);
	while (done < ctx->last.synced || ctx->state.digest != digest) {
		bool under_way = done >= ctx->last.done;

		model_op_make(&ctx->random, &ctx->state, &op);
		model_op_apply(&ctx->state, &op);
		done++;
		if (under_way && op.kind == OP_WRITE && ctx->state.digest != digest)
			test_fail_at(__FILE__, __LINE__,
				     "after the kill the database is no prefix: %u operations acknowledged, %u of them synced",
				     ctx->last.done, ctx->last.synced);
	}
	write_all(ctx->pipe[1], &done, sizeof(done));
	run_close(&run);
	model_clear(&ctx->state);
}

/* ---- the parent's side */

static void open_pipe(round_ctx *ctx)
{
	test_check(pipe2(ctx->pipe, O_CLOEXEC) == 0);
}

static bool read_all(int fd, void *data, size_t len)
{
	ssize_t got = read(fd, data, len);

	test_check(got == 0 || got == (ssize_t)len); /* small writes to a pipe are whole */
	return got != 0;
}

/* Follows the acknowledgements to their end; kills the child at the `kill_at`-th. */
static acked follow(round_ctx *ctx, pid_t child, uint32_t kill_at)
{
	acked now = { 0 };

	close(ctx->pipe[1]);
	for (acked next; read_all(ctx->pipe[0], &next, sizeof(next)); now = next)
		if (next.done == kill_at)
			kill(child, SIGKILL);
	close(ctx->pipe[0]);
	return now;
}

/* The newest log: "NNNNNN.log", with the highest number. */
static bool newest_log(const workspace *ws, char path[PATH_SIZE])
{
	DIR *dir = opendir(ws->db);
	unsigned long newest = 0;
	struct dirent *entry;

	test_check(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		char *end;
		unsigned long number = strtoul(entry->d_name, &end, 10);

		if (strcmp(end, ".log") == 0 && number > newest) {
			newest = number;
			path_join(path, ws->db, entry->d_name);
		}
	}
	closedir(dir);
	return newest > 0;
}

/* A power cut loses any part of what no sync has covered. The sync mark says where that begins: its third word is the physical
 * size. */
static void cut_log(const workspace *ws, test_random *random)
{
	char path[PATH_SIZE];
	uint8_t mark[BH_SYNC_MARK_LEN];
	uint64_t synced;
	off_t size;
	int fd;

	if (!newest_log(ws, path))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	test_check(fd >= 0 && pread(fd, mark, sizeof(mark), BH_SYNC_MARK_OFFSET) == sizeof(mark));
	memcpy(&synced, mark + 16, sizeof(synced));
	size = lseek(fd, 0, SEEK_END);
	test_check((uint64_t)size >= synced);
	size = (off_t)(synced + test_random_below(random, (uint64_t)size - synced + 1));
	test_check(ftruncate(fd, size) == 0);
	close(fd);
}

static void kill_during_recovery(round_ctx *ctx, test_random *random)
{
	const struct timespec pause = { .tv_nsec = (long)test_random_below(random, 40) * 1000000 };
	pid_t child;

	open_pipe(ctx);
	child = test_child_start(judge, ctx);
	nanosleep(&pause, NULL);
	kill(child, SIGKILL);
	test_child_wait(child);
	close(ctx->pipe[0]);
	close(ctx->pipe[1]);
}

/* How many operations of the round are there. */
static uint32_t ask_judge(round_ctx *ctx)
{
	uint32_t done = 0;
	bool told;
	pid_t child;

	open_pipe(ctx);
	child = test_child_start(judge, ctx);
	close(ctx->pipe[1]);
	told = read_all(ctx->pipe[0], &done, sizeof(done));
	close(ctx->pipe[0]);
	test_check(test_child_wait(child) == 0 && told);
	return done;
}

static void replay(round_ctx *ctx, uint32_t count)
{
	model_op op;

	for (uint32_t i = 0; i < count; i++) {
		model_op_make(&ctx->random, &ctx->state, &op);
		model_op_apply(&ctx->state, &op);
	}
}

/* Returns the operations done. */
static uint32_t one_round(round_ctx *ctx, test_random *choices, bool killed)
{
	uint32_t kill_at = killed ? 1 + (uint32_t)test_random_below(choices, OPS_IN_ROUND - 1) : 0, kept;
	pid_t child;
	int status;

	run_config_print(&ctx->config);
	open_pipe(ctx);
	child = test_child_start(play, ctx);
	ctx->last = follow(ctx, child, kill_at);
	status = test_child_wait(child);
	if (!killed) {
		test_check(status == 0);
		replay(ctx, OPS_IN_ROUND);
		return OPS_IN_ROUND;
	}
	test_check(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	if (test_random_below(choices, 2))
		cut_log(&ctx->ws, choices);
	if (test_random_below(choices, 3) == 0)
		kill_during_recovery(ctx, choices);
	kept = ask_judge(ctx);
	fprintf(stderr, "  killed at %u, %u synced, %u there\n", ctx->last.done, ctx->last.synced, kept);
	replay(ctx, kept);
	return ctx->last.done;
}

/* ---- the test */

static void database_equals_model(void **state)
{
	test_random choices = test_random_new();
	round_ctx ctx = { 0 };
	uint32_t ops = 0;
	bool direct;

	(void)state;
	workspace_open(&ctx.ws);
	direct = test_direct_io_works(&ctx.ws);
	model_keys_make(choices.state);
	run_config_make(&choices, direct, &ctx.config);
	test_child_ok(create, &ctx);
	for (int i = 0; ops < OPS_IN_ALL; i++) {
		fprintf(stderr, "round %d\n", i);
		run_config_make(&choices, direct, &ctx.config);
		ctx.random.state = test_random_u64(&choices);
		ops += one_round(&ctx, &choices, i % 4 != 3);
	}
	fprintf(stderr, "%u operations\n", ops);
	model_clear(&ctx.state);
	workspace_close(&ctx.ws);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(database_equals_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
