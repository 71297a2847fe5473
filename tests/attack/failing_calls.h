/* SPDX-License-Identifier: Apache-2.0
 *
 * failing_calls.h: what a program and the preloaded library failing_calls.c agree on. The library is loaded before all others, so
 * that calls of librocksdb and of libstdc++ pass it too; it exports one function, which a program without it does not find.
 *
 * Counted and failed are calls on files below one directory, one kind at a time. Nothing fails before it is armed.
 */
#ifndef BH_TESTS_FAILING_CALLS_H
#define BH_TESTS_FAILING_CALLS_H

#include <stdbool.h>

typedef enum failing_call {
	FAILING_NONE,
	FAILING_OPEN, /* open, openat, with or without O_CREAT; opendir */
	FAILING_READ, /* read, pread */
	FAILING_WRITE,
	FAILING_SYNC, /* fsync, fdatasync */
	FAILING_RENAME,
	FAILING_LINK,
	FAILING_UNLINK, /* unlink, rmdir */
	FAILING_ALLOCATE,
	FAILING_CALLS
} failing_call;

typedef struct failing_plan {
	failing_call call;
	int error;        /* errno of those that fail; 0: none fails, they are counted */
	long from;        /* the first that fails, from 1 */
	bool for_ever;    /* and all after it; else that one alone */
	char below[1024]; /* an absolute path */
	long seen;        /* set by the library: calls since it was armed */
	long failed;
} failing_plan;

/* `plan` is read and counted in from now on, until it is disarmed with NULL. It has to outlive that, and forks. */
typedef void failing_arm_fn(failing_plan *plan);
#define FAILING_ARM "failing_arm"

#endif
