/* SPDX-License-Identifier: Apache-2.0
 *
 * door.c: see door.h.
 */
#include "door.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "engine/report/json.h"
#include "keyring/audit/actor.h"
#include "keyring/base/io.h"
#include "wire.h"

typedef struct guest {
	struct bh_door *door;
	int fd;
	uid_t uid;
	bool heard; /* its request is in */
	struct guest *next;
} guest;

struct bh_door {
	bh_db *db;
	uint32_t *others; /* owned: users besides the owner and root */
	size_t other_count;
	int listen_fd;
	int shut_fd; /* an eventfd: readable once the door is shut */
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t left;
	guest *guests;
	size_t busy;
	bool shut;
};

/* ---- who comes in */

static bool may_come_in(const bh_door *door, uid_t uid)
{
	for (size_t i = 0; i < door->other_count; i++)
		if (door->others[i] == uid)
			return true;
	return uid == 0 || uid == geteuid();
}

/* ---- one request */

static void send_last(const guest *g, const char *name, json_t *value)
{
	json_t *line = json_object();

	/* A guest who is gone misses his answer; what he asked for is done, or is not, all the same. */
	if (json_object_set_new(line, name, value) != 0 ||
	    bh_door_send(g->fd, line, bh_door_now_ms() + BH_DOOR_DEADLINE_MS) != BH_OK)
		(void)shutdown(g->fd, SHUT_RDWR);
	json_decref(line);
}

static void send_error(const guest *g, bh_status status)
{
	json_t *error = bh_json_error(status);

	json_object_set_new(error, "status", json_integer((json_int_t)status));
	send_last(g, "error", error);
}

static void send_progress(void *arg, const json_t *progress)
{
	const guest *g = arg;
	json_t *line = json_pack("{s:O}", "progress", progress);

	(void)(bh_door_send(g->fd, line, bh_door_now_ms() + BH_DOOR_DEADLINE_MS) == BH_OK);
	json_decref(line);
}

static bh_status hear(guest *g, json_t **request_out)
{
	bh_door_lines lines = { .fd = g->fd };
	bh_status status = bh_door_receive(&lines, BH_DOOR_REQUEST_MAX, bh_door_now_ms() + BH_DOOR_DEADLINE_MS, request_out);

	bh_buf_clear(&lines.pending);
	pthread_mutex_lock(&g->door->lock);
	g->heard = true;
	pthread_mutex_unlock(&g->door->lock);
	return status;
}

static bh_status answer(guest *g, const json_t *request, json_t *result)
{
	bh_door_call call = { g->door->db, request, result, send_progress, g };
	char actor[BH_NAME_MAX + 1];
	bh_status status;

	BH_TRY(bh_door_request_check(request));
	bh_audit_actor_of(g->uid, actor);
	bh_audit_act_as(actor);
	status = bh_door_call_run(&call);
	bh_audit_act_as(NULL);
	return status;
}

static void serve(guest *g)
{
	json_t *request = NULL, *result = json_object();
	bh_status status;

	if (!may_come_in(g->door, g->uid))
		status = bh_fail(BH_E_DENIED, "%s: user %u may not administer this database; the service can allow it (admin_uids)",
				 g->door->db->dir, (unsigned)g->uid);
	else
		status = hear(g, &request);
	if (status == BH_OK)
		status = answer(g, request, result);
	if (status == BH_OK)
		send_last(g, "result", json_incref(result));
	else
		send_error(g, status);
	json_decref(request);
	json_decref(result);
}

/* ---- guests come and go */

static void remove_guest(bh_door *door, guest *g)
{
	pthread_mutex_lock(&door->lock);
	for (guest **at = &door->guests; *at != NULL; at = &(*at)->next)
		if (*at == g) {
			*at = g->next;
			break;
		}
	close(g->fd);
	free(g);
	door->busy--;
	pthread_cond_broadcast(&door->left);
	pthread_mutex_unlock(&door->lock);
}

static void *guest_main(void *arg)
{
	guest *g = arg;

	serve(g);
	OPENSSL_thread_stop(); /* the process may end before this thread does */
	remove_guest(g->door, g);
	return NULL;
}

/* Without memory or threads for it, the guest sees its connection closed. */
static void let_in(bh_door *door, int fd)
{
	guest *g = malloc(sizeof(*g));
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	pthread_t thread;

	if (g == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
		free(g);
		close(fd);
		return;
	}
	pthread_mutex_lock(&door->lock);
	*g = (guest){ .door = door, .fd = fd, .uid = peer.uid, .next = door->guests };
	if (door->shut || pthread_create(&thread, NULL, guest_main, g) != 0) {
		close(fd);
		free(g);
	} else {
		pthread_detach(thread);
		door->guests = g;
		door->busy++;
	}
	pthread_mutex_unlock(&door->lock);
}

/* ---- the door's own thread */

static void wait_for_room(bh_door *door)
{
	pthread_mutex_lock(&door->lock);
	while (door->busy >= BH_DOOR_BUSY_MAX && !door->shut)
		pthread_cond_wait(&door->left, &door->lock);
	pthread_mutex_unlock(&door->lock);
}

static void *door_main(void *arg)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000000L };
	bh_door *door = arg;
	struct pollfd fds[] = { { .fd = door->listen_fd, .events = POLLIN }, { .fd = door->shut_fd, .events = POLLIN } };

	for (;;) {
		wait_for_room(door);
		if (poll(fds, 2, -1) < 0)
			continue; /* EINTR, or no memory for a moment */
		if (fds[1].revents != 0)
			return NULL;
		int fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			let_in(door, fd);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			nanosleep(&pause, NULL); /* no descriptors: it goes on when somebody lets go */
	}
}

/* ---- open and shut */

static void door_clear(bh_door *door)
{
	bh_io_closep(&door->listen_fd);
	bh_io_closep(&door->shut_fd);
	pthread_cond_destroy(&door->left);
	pthread_mutex_destroy(&door->lock);
	free(door->others);
	free(door);
}

static bh_status copy_others(bh_door *door, const bh_db_options *options)
{
	if (options->admin_uid_count == 0)
		return BH_OK;
	door->others = calloc(options->admin_uid_count, sizeof(*door->others));
	if (door->others == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory for its door", door->db->dir);
	memcpy(door->others, options->admin_uids, options->admin_uid_count * sizeof(*door->others));
	door->other_count = options->admin_uid_count;
	return BH_OK;
}

static bh_status door_start(bh_door *door, const bh_db_options *options)
{
	BH_TRY(copy_others(door, options));
	door->shut_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (door->shut_fd < 0)
		return bh_fail(BH_E_IO, "%s: no event for its door: %s", door->db->dir, strerror(errno));
	BH_TRY(bh_door_listen(door->db->dir, door->other_count > 0, &door->listen_fd));
	if (pthread_create(&door->thread, NULL, door_main, door) != 0)
		return bh_fail(BH_E_NOMEM, "%s: no thread for its door", door->db->dir);
	return BH_OK;
}

bh_status bh_door_open(bh_db *db, const bh_db_options *options, bh_door **out)
{
	bh_door *door = calloc(1, sizeof(*door));
	bh_status status;

	if (door == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory for its door", db->dir);
	door->db = db;
	door->listen_fd = door->shut_fd = -1;
	pthread_mutex_init(&door->lock, NULL);
	pthread_cond_init(&door->left, NULL);
	status = door_start(door, options);
	if (status != BH_OK) {
		door_clear(door);
		return status;
	}
	*out = door;
	return BH_OK;
}

void bh_door_shut(bh_door *door)
{
	if (door == NULL)
		return;
	bh_door_unlink(door->db->dir); /* who comes now finds no door, and opens the database when it is free */
	pthread_mutex_lock(&door->lock);
	door->shut = true;
	for (guest *g = door->guests; g != NULL; g = g->next)
		if (!g->heard)
			(void)shutdown(g->fd, SHUT_RD);
	pthread_cond_broadcast(&door->left);
	pthread_mutex_unlock(&door->lock);
	(void)eventfd_write(door->shut_fd, 1);
	pthread_join(door->thread, NULL);
}

void bh_door_free(bh_door *door)
{
	if (door == NULL)
		return;
	pthread_mutex_lock(&door->lock);
	while (door->busy > 0)
		pthread_cond_wait(&door->left, &door->lock);
	pthread_mutex_unlock(&door->lock);
	door_clear(door);
}
