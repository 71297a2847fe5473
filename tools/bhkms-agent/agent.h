/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.h: the server side of agent:SOCKET#KEY: one local KMS directory on one Unix-domain socket.
 *
 * A thread a connection, at most AGENT_BUSY_MAX of them; a connection is one request and has AGENT_DEADLINE_MS to be done, so a
 * client that stalls holds up nobody for longer. The directory is asked anew for every request. Who may call: root, and the users
 * that were named; if none was, the user it runs as. That is by the credentials that the kernel gives; others are told so, a few
 * at a time, so that they take nobody's place. Users that were named must not be able to read the root key. What they may have done
 * is the policy's to say.
 *
 * Thread-safety: agent_run() is called once; what it starts shares the agent, of which the counts alone change, under `lock`.
 */
#ifndef BHKMS_AGENT_H
#define BHKMS_AGENT_H

#include <pthread.h>
#include <signal.h>

#include "keyring/kms/kms.h"
#include "policy.h"

#define AGENT_USERS_MAX 64
#define AGENT_BUSY_MAX 32      /* connections at a time; the kernel keeps more of them waiting */
#define AGENT_STRANGERS_MAX 4  /* of them, with users that are not served; more are hung up on */
#define AGENT_DEADLINE_MS 2000 /* for a request to come in, and again for its answer to go out */

typedef struct agent {
	const char *dir;    /* of the local KMS */
	const char *socket; /* path */
	bool allow_destroy;
	uid_t users[AGENT_USERS_MAX]; /* [user_count]: who is served; none: the user it runs as */
	size_t user_count;
	policy *policy;     /* owned; NULL: whoever is served may have everything done, but for a destruction */
	bool verbose;       /* a line a request, on stderr */
	bh_kms_options kms; /* the passphrase, where there is one */
	bh_kms_session *session;
	int lock_fd;   /* SOCKET.lock: one agent a socket */
	int listen_fd; /* -1 while it is not served */

	pthread_mutex_t lock;
	pthread_cond_t one_ended;
	size_t busy;      /* threads */
	size_t strangers; /* of them, for users that are not served */
} agent;

/* Looks whether the directory is there, its root key opens, and none of the users that are served can read it. Errors: those of
 * bh_kms_open(), BH_E_KMS_REFUSED. */
BH_MUST_CHECK bh_status agent_check(agent *a);
/* Takes the socket: from then on clients can connect. Errors: BH_E_BUSY (another agent serves it), BH_E_EXISTS (something there
 * that is no socket), BH_E_INVALID, BH_E_IO. */
BH_MUST_CHECK bh_status agent_listen(agent *a);
/* Serves until *stop; signals that set it are to be blocked but for `during`, the mask while it waits. Then gives up the socket and
 * waits for the calls that are under way. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status agent_run(agent *a, volatile sig_atomic_t *stop, const sigset_t *during);

#endif
