/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_liar.h: a KMS agent in a thread of the test that answers truly or, on request, in every wrong way.
 *
 * Its truth is a local KMS directory. The lie can be changed at any time and holds for calls that begin after that; LIAR_HOLD and
 * LIAR_SILENT keep their connections open until the lie is changed or the liar ends.
 */
#ifndef BH_TESTS_KMS_LIAR_H
#define BH_TESTS_KMS_LIAR_H

#include <pthread.h>

#include "harness.h"

typedef enum liar_lie {
	LIAR_TRUE,          /* as a KMS agent answers */
	LIAR_HANGS_UP,      /* before it has read */
	LIAR_READS_ONLY,    /* hangs up when it has read the request */
	LIAR_SILENT,        /* never answers */
	LIAR_HOLD,          /* answers truly, once it is no longer held */
	LIAR_CUT,           /* the first `cut` bytes of the true frame */
	LIAR_CUT_SILENT,    /* the same, and then keeps the connection */
	LIAR_OTHER_REQUEST, /* with another request's id */
	LIAR_OTHER_COMMAND, /* describes where it was to unwrap, opens otherwise */
	LIAR_OTHER_NAME,    /* with another key's name */
	LIAR_OTHER_DEK,     /* unwraps to another DEK, all else being right */
	LIAR_OTHER_VERSION, /* of the protocol */
	LIAR_GARBAGE,       /* a frame of noise */
	LIAR_HUGE,          /* a frame that says it has 4 GiB */
	LIAR_EMPTY,         /* a frame of no bytes */
	LIAR_REFUSES,       /* as if the key were disabled */
} liar_lie;

typedef struct liar {
	char dir[PATH_SIZE];
	char socket[PATH_SIZE];
	int listen_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	liar_lie lie;
	size_t cut;
	size_t calls; /* that have come so far */
	bool ended;
} liar;

void liar_start(liar *l, const char *dir, const char *socket);
void liar_set(liar *l, liar_lie lie, size_t cut);
size_t liar_calls(liar *l);
void liar_end(liar *l);

#endif
