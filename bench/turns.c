/* SPDX-License-Identifier: Apache-2.0
 *
 * turns.c: see turns.h.
 *
 * Invariants: outside of its turn a child is stopped, and waitpid() has said so before the next one's turn begins. `stopped_ns` and
 * `meetings` are written by the parent while the child is stopped; `arrived` by the child alone.
 */
#include "turns.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

/* Shared by parent and child. */
typedef struct turn {
	_Atomic uint64_t stopped_ns; /* so far */
	_Atomic unsigned arrived;    /* meetings that it came to */
	_Atomic unsigned meetings;   /* ... and that are over */
} turn;

typedef struct child {
	pid_t pid; /* 0: has ended */
	uint64_t stopped_at;
} child;

typedef struct turns {
	unsigned count;
	uint64_t turn_ns;
	turn *shared;    /* [count] */
	child *children; /* [count] */
	bool failed;
} turns;

static const struct timespec look = { .tv_nsec = 500000 };
static turn *mine; /* in a child */

/* ---- the child's side */

uint64_t bench_turns_stopped_ns(void)
{
	return mine == NULL ? 0 : atomic_load_explicit(&mine->stopped_ns, memory_order_relaxed);
}

void bench_turns_meet(void)
{
	unsigned meeting;

	if (mine == NULL)
		return;
	meeting = atomic_fetch_add(&mine->arrived, 1) + 1;
	while (atomic_load(&mine->meetings) < meeting)
		nanosleep(&look, NULL);
}

_Noreturn static void be_child(turns *t, unsigned i, bool (*run)(void *arg, unsigned i), void *arg)
{
	bool ok;

	mine = &t->shared[i];
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_turns_meet(); /* nobody begins before all are there to take turns */
	ok = run(arg, i);
	exit(ok ? 0 : 1);
}

/* ---- the parent's side, whose bench_now_ns() leaves nothing out */

static bool is_waiting(const turns *t, unsigned i)
{
	return atomic_load(&t->shared[i].arrived) > atomic_load(&t->shared[i].meetings);
}

/* Takes in what became of child i: false once it has ended. */
static bool look_after(turns *t, unsigned i, int options)
{
	int status;
	pid_t pid = waitpid(t->children[i].pid, &status, options);

	if (pid == 0 || (pid > 0 && WIFSTOPPED(status)))
		return true;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		t->failed = true;
	t->children[i].pid = 0;
	return false;
}

static void stop(turns *t, unsigned i)
{
	(void)kill(t->children[i].pid, SIGSTOP);
	(void)look_after(t, i, WUNTRACED);
	t->children[i].stopped_at = bench_now_ns();
}

/* Ends early when there is nothing left to do before the next meeting. */
static void take_turn(turns *t, unsigned i)
{
	uint64_t began = bench_now_ns();

	atomic_fetch_add(&t->shared[i].stopped_ns, began - t->children[i].stopped_at);
	(void)kill(t->children[i].pid, SIGCONT);
	while (bench_now_ns() - began < t->turn_ns && !is_waiting(t, i)) {
		nanosleep(&look, NULL);
		if (!look_after(t, i, WNOHANG))
			return;
	}
	stop(t, i);
}

/* Once all that have not ended wait, the meeting is over. */
static void end_meeting(turns *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->children[i].pid != 0 && !is_waiting(t, i))
			return;
	for (unsigned i = 0; i < t->count; i++)
		atomic_store(&t->shared[i].meetings, atomic_load(&t->shared[i].arrived));
}

static bool any_left(const turns *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->children[i].pid != 0)
			return true;
	return false;
}

static void start_all(turns *t, bool (*run)(void *arg, unsigned i), void *arg)
{
	for (unsigned i = 0; i < t->count; i++) {
		pid_t pid = fork();

		if (pid == 0)
			be_child(t, i, run, arg);
		if (pid < 0) {
			perror("bh_bench: fork");
			t->failed = true;
			return;
		}
		t->children[i].pid = pid;
		stop(t, i);
	}
}

static void kill_all(turns *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->children[i].pid != 0) {
			(void)kill(t->children[i].pid, SIGKILL);
			(void)look_after(t, i, 0);
		}
}

bool bench_turns(unsigned count, unsigned turn_ms, bool (*run)(void *arg, unsigned i), void *arg)
{
	turns t = { .count = count, .turn_ns = (uint64_t)turn_ms * 1000000u };

	t.children = calloc(count, sizeof(*t.children));
	t.shared = mmap(NULL, count * sizeof(*t.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t.children == NULL || t.shared == MAP_FAILED)
		abort();
	start_all(&t, run, arg);
	while (!t.failed && any_left(&t)) {
		for (unsigned i = 0; i < count && !t.failed; i++)
			if (t.children[i].pid != 0 && !is_waiting(&t, i))
				take_turn(&t, i);
		end_meeting(&t);
	}
	kill_all(&t);
	(void)munmap(t.shared, count * sizeof(*t.shared));
	free(t.children);
	return !t.failed;
}
