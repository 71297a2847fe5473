/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.c: see agent.h.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring/kms/agent/socket.h"
#include "keyring/kms/local/parts.h"

#define BACKLOG 128

typedef struct connection {
	agent *agent;
	int fd;
	bool stranger; /* of a user that is not served */
} connection;

/* ---- the directory */

/* Who owns a directory, or a file in it, can open it to himself. */
static bh_status check_owner(const agent *a, int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? BH_OK : bh_fail(BH_E_IO, "%s/%s: cannot be looked at: %s", a->dir, name, strerror(errno));
	for (size_t i = 0; i < a->user_count; i++)
		if (a->users[i] == st.st_uid && a->users[i] != 0)
			return bh_fail(BH_E_KMS_REFUSED,
				       "--allow-uid %u: this user owns %s/%s, and could read the keys; let the agent run "
				       "as another user, who owns it",
				       (unsigned)a->users[i], a->dir, name);
	if (name[0] == '\0' && (st.st_mode & 0077) != 0)
		return bh_fail(BH_E_KMS_REFUSED, "%s: mode %04o lets others in, and other users are served; chmod 700 it", a->dir,
			       (unsigned)(st.st_mode & 07777));
	return BH_OK;
}

static bh_status check_users(const agent *a, int dir_fd)
{
	if (a->user_count == 0)
		return BH_OK;
	for (size_t i = 0; i < a->user_count; i++)
		if (a->users[i] == geteuid() && a->users[i] != 0)
			return bh_fail(BH_E_KMS_REFUSED,
				       "--allow-uid %u: is the agent's own user, who can read the keys; let it run as "
				       "another user",
				       (unsigned)a->users[i]);
	BH_TRY(check_owner(a, dir_fd, ""));
	BH_TRY(check_owner(a, dir_fd, "root.key"));
	return check_owner(a, dir_fd, "root.json");
}

bh_status agent_check(agent *a)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_local_root_clear) bh_local_root root = { 0 };

	BH_TRY(bh_local_dir_open(a->dir, &dir));
	BH_TRY(check_users(a, dir.fd));
	return bh_local_root_open(&dir, &a->kms, a->session, &root);
}

static bh_status key_open(agent *a, const char *key, bh_kms **out)
{
	char uri[BH_KMS_URI_MAX + 1];

	if (snprintf(uri, sizeof(uri), "local:%s#%s", a->dir, key) >= (int)sizeof(uri))
		return bh_fail(BH_E_INVALID, "%s: this path is too long for a KMS", a->dir);
	return bh_kms_open_in(a->session, NULL, uri, &a->kms, out);
}

/* ---- who is served */

static bool is_served(const agent *a, uid_t uid)
{
	for (size_t i = 0; i < a->user_count; i++)
		if (a->users[i] == uid)
			return true;
	return uid == 0 || (a->user_count == 0 && uid == geteuid());
}

/* ---- one request */

/* What an answer's views point to. */
typedef struct buffers {
	bh_buf wrapped;
	bh_secret key;
} buffers;

static void buffers_clear(buffers *b)
{
	bh_buf_clear(&b->wrapped);
	bh_secret_clear(&b->key);
}

static bh_status do_wrap(bh_kms *kms, const bh_agent_request *request, buffers *room, bh_agent_answer *answer)
{
	BH_TRY(bh_kms_wrap(kms, request->payload, request->context, &room->wrapped, &answer->version));
	answer->payload = bh_buf_view(&room->wrapped);
	return BH_OK;
}

static bh_status do_unwrap(bh_kms *kms, const bh_agent_request *request, buffers *room, bh_agent_answer *answer)
{
	BH_TRY(bh_kms_unwrap(kms, request->payload, request->context, &room->key));
	answer->payload = bh_secret_view(&room->key);
	return BH_OK;
}

static bh_status do_destroy(const agent *a, bh_kms *kms, bh_agent_answer *answer)
{
	if (!a->allow_destroy && a->policy == NULL)
		return bh_fail(BH_E_KMS_REFUSED,
			       "this agent destroys no keys (it runs without --allow-destroy); the key's owner does, "
			       "with bhctl kms destroy");
	return bh_kms_destroy(kms, &answer->evidence);
}

static bh_status handle(agent *a, const bh_agent_request *request, buffers *room, bh_agent_answer *answer)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;

	BH_TRY(key_open(a, request->key, &kms));
	switch (request->command) {
	case BH_AGENT_OPEN: return BH_OK;
	case BH_AGENT_DESCRIBE: return bh_kms_describe(kms, &answer->info);
	case BH_AGENT_WRAP: return do_wrap(kms, request, room, answer);
	case BH_AGENT_UNWRAP: return do_unwrap(kms, request, room, answer);
	case BH_AGENT_DESTROY: return do_destroy(a, kms, answer);
	}
	return bh_fail(BH_E_FORMAT, "no such command");
}

static void log_request(const agent *a, const bh_agent_answer *answer, uid_t uid)
{
	char id[2 * BH_AGENT_REQUEST_ID_LEN + 1];

	if (!a->verbose)
		return;
	bh_hex(answer->id, BH_AGENT_REQUEST_ID_LEN, id);
	fprintf(stderr, "bhkms-agent: %s %s %s uid=%u: %s\n", id, bh_agent_command_name(answer->command), answer->key,
		(unsigned)uid, bh_status_name(answer->outcome));
}

static void answer_request(agent *a, const bh_agent_request *request, uid_t uid, buffers *room, bh_agent_answer *answer)
{
	answer->command = request->command;
	memcpy(answer->id, request->id, sizeof(answer->id));
	memcpy(answer->key, request->key, sizeof(answer->key));
	bh_status status = is_served(a, uid) ? BH_OK : bh_fail(BH_E_KMS_REFUSED, "user %u may not use this agent", (unsigned)uid);
	if (status == BH_OK && a->policy != NULL)
		status = policy_check(a->policy, request, uid);
	if (status == BH_OK)
		status = handle(a, request, room, answer);
	answer->outcome = bh_agent_outcome(status);
	if (status != BH_OK)
		snprintf(answer->message, sizeof(answer->message), "%s", bh_status_message());
	log_request(a, answer, uid);
}

/* Bytes that are no request end the connection without a word; another version of the protocol is told so in this one's. */
static bh_status serve(agent *a, int fd)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret frame = { 0 };
	BH_CLEANUP(buffers_clear) buffers held = { 0 };
	bh_agent_answer answer = { .command = BH_AGENT_OPEN };
	bh_agent_request request;
	bh_view body;
	uid_t uid = 0;

	BH_TRY(bh_secret_init(&room, BH_AGENT_BODY_MAX));
	BH_TRY(bh_agent_peer(fd, &uid));
	BH_TRY(bh_agent_receive(fd, bh_agent_now_ms() + AGENT_DEADLINE_MS, &room, &body));
	answer.outcome = bh_agent_request_decode(body, &request);
	if (answer.outcome == BH_OK)
		answer_request(a, &request, uid, &held, &answer);
	else if (answer.outcome != BH_E_VERSION)
		return answer.outcome;
	BH_TRY(bh_agent_answer_encode(&answer, &frame));
	return bh_agent_send(fd, bh_agent_frame_view(&frame), bh_agent_now_ms() + AGENT_DEADLINE_MS);
}

static void *connection_main(void *arg)
{
	connection *c = arg;
	agent *a = c->agent;

	if (serve(a, c->fd) != BH_OK && a->verbose)
		fprintf(stderr, "bhkms-agent: a connection ended without an answer: %s\n", bh_status_message());
	bool stranger = c->stranger;
	close(c->fd);
	free(c);
	OPENSSL_thread_stop(); /* main() may return before this thread has ended: let it leave nothing of OpenSSL's */
	pthread_mutex_lock(&a->lock);
	a->busy--;
	a->strangers -= stranger ? 1 : 0;
	pthread_cond_signal(&a->one_ended);
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* ---- the socket */

static bh_status fail_io(const char *path, const char *what)
{
	return bh_fail(BH_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* The lock outlives nobody, however the process ends; the socket file does, and is then nobody's. */
static bh_status socket_lock(agent *a)
{
	char path[BH_AGENT_SOCKET_MAX + sizeof(".lock")];
	struct stat st;

	snprintf(path, sizeof(path), "%s.lock", a->socket);
	a->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (a->lock_fd < 0 || fstat(a->lock_fd, &st) != 0)
		return fail_io(path, "cannot open");
	if (!S_ISREG(st.st_mode))
		return bh_fail(BH_E_EXISTS, "%s: is there already and is no file", path);
	if (flock(a->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? bh_fail(BH_E_BUSY, "%s: is served by another agent", a->socket)
					    : fail_io(path, "cannot lock");
	return BH_OK;
}

static bh_status socket_clear(const agent *a)
{
	struct stat st;

	if (lstat(a->socket, &st) != 0)
		return errno == ENOENT ? BH_OK : fail_io(a->socket, "cannot be looked at");
	if (!S_ISSOCK(st.st_mode))
		return bh_fail(BH_E_EXISTS, "%s: is there already and is no socket", a->socket);
	return unlink(a->socket) == 0 ? BH_OK : fail_io(a->socket, "cannot remove the last agent's socket");
}

bh_status agent_listen(agent *a)
{
	struct sockaddr_un address;

	BH_TRY(bh_agent_address(a->socket, &address));
	BH_TRY(socket_lock(a));
	BH_TRY(socket_clear(a));
	a->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->listen_fd < 0)
		return fail_io(a->socket, "no socket");
	/* From the first moment nobody else's; or everybody's, of whom most are sent away. */
	mode_t mask = umask(a->user_count == 0 ? 0177 : 0111);
	int bound = bind(a->listen_fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (bound != 0)
		return fail_io(a->socket, "cannot bind");
	return listen(a->listen_fd, BACKLOG) == 0 ? BH_OK : fail_io(a->socket, "cannot listen");
}

/* ---- the loop */

static void busy_wait_below(agent *a, size_t limit)
{
	pthread_mutex_lock(&a->lock);
	while (a->busy >= limit)
		pthread_cond_wait(&a->one_ended, &a->lock);
	pthread_mutex_unlock(&a->lock);
}

/* Without memory or threads for it, the client sees its connection closed. */
static void connection_start(agent *a, int fd)
{
	connection *c = malloc(sizeof(*c));
	pthread_t thread;

	uid_t uid;

	if (c == NULL || bh_agent_peer(fd, &uid) != BH_OK) {
		free(c);
		close(fd);
		return;
	}
	*c = (connection){ a, fd, !is_served(a, uid) };
	bool stranger = c->stranger; /* the thread frees it */
	pthread_mutex_lock(&a->lock);
	bool started = (!stranger || a->strangers < AGENT_STRANGERS_MAX) && pthread_create(&thread, NULL, connection_main, c) == 0;
	a->busy += started ? 1 : 0;
	a->strangers += started && stranger ? 1 : 0;
	pthread_mutex_unlock(&a->lock);
	if (started) {
		pthread_detach(thread);
		return;
	}
	close(fd);
	free(c);
}

static bh_status accept_one(agent *a)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000000L };
	int fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		connection_start(a, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		nanosleep(&pause, NULL); /* it goes on when somebody lets go */
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		return fail_io(a->socket, "cannot accept");
	return BH_OK;
}

static bh_status serve_until(agent *a, volatile sig_atomic_t *stop, const sigset_t *during)
{
	struct pollfd poll_fd = { .fd = a->listen_fd, .events = POLLIN };

	while (!*stop) {
		int ready = ppoll(&poll_fd, 1, NULL, during);
		if (ready < 0 && errno != EINTR)
			return fail_io(a->socket, "cannot wait");
		if (ready <= 0)
			continue;
		BH_TRY(accept_one(a));
		busy_wait_below(a, AGENT_BUSY_MAX);
	}
	return BH_OK;
}

bh_status agent_run(agent *a, volatile sig_atomic_t *stop, const sigset_t *during)
{
	bh_status status = serve_until(a, stop, during);

	unlink(a->socket);
	close(a->listen_fd);
	a->listen_fd = -1;
	busy_wait_below(a, 1);
	return status;
}
