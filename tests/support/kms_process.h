/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_process.h: bhkms-agent as a real process that a test can stop, kill and start again.
 *
 * The checks are harness.h's, so this may be used in a child, too; the process ends with the thread that started it. Thread-safety:
 * none.
 */
#ifndef BH_TESTS_KMS_PROCESS_H
#define BH_TESTS_KMS_PROCESS_H

#include <sys/types.h>

#include "harness.h"

typedef struct kms_process {
	pid_t pid;              /* 0: not running */
	char dir[PATH_SIZE];    /* of the local KMS that it serves */
	char socket[PATH_SIZE]; /* at most 107 bytes */
	bool allow_destroy;
} kms_process;

/* Starts it and waits until it listens. `dir` has at least one key. */
void kms_process_start(kms_process *p, const char *dir, const char *socket, bool allow_destroy);
void kms_process_stop(kms_process *p); /* SIGSTOP: it takes connections and answers nothing */
void kms_process_cont(kms_process *p);
void kms_process_kill(kms_process *p); /* SIGKILL; no matter if it does not run */
void kms_process_restart(kms_process *p);
void kms_process_end(kms_process *p); /* SIGTERM; it has to end with 0. No matter if it does not run */
/* "agent:SOCKET#KEY": borrowed, one of four in turn. */
const char *kms_process_cmk(const kms_process *p, const char *key);

#endif
