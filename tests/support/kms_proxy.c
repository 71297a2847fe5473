/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_proxy.c: see kms_proxy.h. A thread listens, and each connection has one of its own.
 */
#include "kms_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#define TICK_MS 50

typedef struct connection {
	kms_proxy *proxy;
	int client, server;
	size_t answered; /* bytes of the answer so far */
	bool asking;     /* the last bytes were the client's */
} connection;

static proxy_mode mode_now(kms_proxy *p, size_t *cut, bool *stopping)
{
	pthread_mutex_lock(&p->lock);
	proxy_mode mode = p->mode;
	*cut = p->cut;
	*stopping = p->stopping;
	pthread_mutex_unlock(&p->lock);
	return mode;
}

static bool send_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t sent = send(fd, p, len, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		p += sent;
		len -= (size_t)sent;
	}
	return true;
}

/* Each returns whether the connection goes on. */

/* A copy, since the next text may be set while this one is being sent. */
static bool say_text(connection *c)
{
	pthread_mutex_lock(&c->proxy->lock);
	char *text = strdup(c->proxy->text);
	pthread_mutex_unlock(&c->proxy->lock);
	test_check(text != NULL);
	(void)send_all(c->client, text, strlen(text));
	free(text);
	return false;
}

static bool from_client(connection *c)
{
	char bytes[16384], noise[300];
	size_t cut;
	bool stopping;
	ssize_t got = recv(c->client, bytes, sizeof(bytes), 0);

	if (got <= 0)
		return false;
	proxy_mode mode = mode_now(c->proxy, &cut, &stopping);
	if (!c->asking) {
		pthread_mutex_lock(&c->proxy->lock);
		c->proxy->requests++;
		pthread_mutex_unlock(&c->proxy->lock);
	}
	c->asking = true;
	c->answered = 0;
	switch (mode) {
	case PROXY_HANG_UP: return false;
	case PROXY_SILENT: return true;
	case PROXY_GARBAGE:
		memset(noise, 0x5a, sizeof(noise));
		(void)send_all(c->client, noise, sizeof(noise));
		return false;
	case PROXY_TEXT: return say_text(c);
	default: return send_all(c->server, bytes, (size_t)got);
	}
}

/* A hang-up with bytes unread would be a reset, which takes the answer with it. */
static bool hang_up_gently(connection *c)
{
	char rest[4096];
	struct pollfd poll_fd = { .fd = c->client, .events = POLLIN };

	shutdown(c->client, SHUT_WR);
	while (poll(&poll_fd, 1, 200) == 1 && recv(c->client, rest, sizeof(rest), 0) > 0)
		;
	return false;
}

static bool pass_slowly(connection *c, const char *bytes, size_t len)
{
	size_t cut;
	bool stopping = false;

	for (size_t i = 0; i < len; i++) {
		if (mode_now(c->proxy, &cut, &stopping) != PROXY_SLOW || stopping)
			return false;
		if (!send_all(c->client, bytes + i, 1))
			return false;
		usleep(100000);
	}
	return true;
}

static bool from_server(connection *c)
{
	char bytes[16384];
	size_t cut;
	bool stopping;
	ssize_t got = recv(c->server, bytes, sizeof(bytes), 0);

	if (got <= 0)
		return hang_up_gently(c);
	c->asking = false;
	switch (mode_now(c->proxy, &cut, &stopping)) {
	case PROXY_PASS: return send_all(c->client, bytes, (size_t)got);
	case PROXY_SLOW: return pass_slowly(c, bytes, (size_t)got);
	case PROXY_CUT:
		(void)send_all(c->client, bytes, BH_MIN(cut - BH_MIN(cut, c->answered), (size_t)got));
		c->answered += (size_t)got;
		return c->answered < cut ? true : hang_up_gently(c);
	default: return true; /* the answer to what came before the mode was changed */
	}
}

static void *connection_main(void *arg)
{
	connection *c = arg;
	kms_proxy *p = c->proxy;
	bool stopping = false, goes_on = c->server >= 0;
	size_t cut;

	while (goes_on && !stopping) {
		struct pollfd fds[2] = { { .fd = c->client, .events = POLLIN }, { .fd = c->server, .events = POLLIN } };
		int ready = poll(fds, 2, TICK_MS);
		(void)mode_now(p, &cut, &stopping);
		if (ready > 0 && fds[1].revents != 0)
			goes_on = from_server(c);
		if (ready > 0 && goes_on && fds[0].revents != 0)
			goes_on = from_client(c);
	}
	close(c->client);
	if (c->server >= 0)
		close(c->server);
	free(c);
	pthread_mutex_lock(&p->lock);
	p->open--;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int upstream_connect(const kms_proxy *p)
{
	int fd = socket(p->upstream.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	test_check(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&p->upstream, p->upstream_len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void *listen_main(void *arg)
{
	kms_proxy *p = arg;

	for (;;) {
		int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;
		if (fd < 0)
			return NULL;
		connection *c = calloc(1, sizeof(*c));
		test_check(c != NULL);
		*c = (connection){ .proxy = p, .client = fd, .server = upstream_connect(p) };
		pthread_mutex_lock(&p->lock);
		p->open++;
		p->connections++;
		pthread_mutex_unlock(&p->lock);
		test_check(pthread_create(&thread, NULL, connection_main, c) == 0);
		pthread_detach(thread);
	}
}

static void listen_begin(kms_proxy *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr = { htonl(INADDR_LOOPBACK) },
				  .sin_port = htons((uint16_t)p->port) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);
	const int on = 1;
	bool is_unix = p->path[0] != '\0';

	memcpy(un.sun_path, p->path, sizeof(un.sun_path));
	p->listen_fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	test_check(p->listen_fd >= 0);
	if (is_unix) {
		unlink(p->path);
		test_check(bind(p->listen_fd, (const struct sockaddr *)&un, sizeof(un)) == 0);
	} else {
		test_check(setsockopt(p->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
		test_check(bind(p->listen_fd, (const struct sockaddr *)&in, sizeof(in)) == 0);
		test_check(getsockname(p->listen_fd, (struct sockaddr *)&in, &len) == 0);
		p->port = ntohs(in.sin_port);
	}
	test_check(listen(p->listen_fd, 512) == 0);
	p->stopping = false;
	test_check(pthread_create(&p->thread, NULL, listen_main, p) == 0);
}

static void start(kms_proxy *p, const void *upstream, socklen_t len)
{
	memcpy(&p->upstream, upstream, len);
	p->upstream_len = len;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->ended, NULL);
	listen_begin(p);
}

void kms_proxy_start_tcp(kms_proxy *p, int upstream_port)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_addr = { htonl(INADDR_LOOPBACK) },
					.sin_port = htons((uint16_t)upstream_port) };

	memset(p, 0, sizeof(*p));
	start(p, &in, sizeof(in));
}

void kms_proxy_start_unix(kms_proxy *p, const char *path, const char *upstream_path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memset(p, 0, sizeof(*p));
	test_check(strlen(path) < sizeof(p->path) && strlen(upstream_path) < sizeof(un.sun_path));
	memcpy(p->path, path, strlen(path) + 1);
	memcpy(un.sun_path, upstream_path, strlen(upstream_path) + 1);
	start(p, &un, sizeof(un));
}

void kms_proxy_set(kms_proxy *p, proxy_mode mode, size_t cut, const char *text)
{
	char *copy = strdup(text != NULL ? text : "");

	test_check(copy != NULL);
	pthread_mutex_lock(&p->lock);
	p->mode = mode;
	p->cut = cut;
	free(p->text);
	p->text = copy;
	pthread_mutex_unlock(&p->lock);
}

static size_t read_locked(kms_proxy *p, const size_t *number)
{
	pthread_mutex_lock(&p->lock);
	size_t value = *number;
	pthread_mutex_unlock(&p->lock);
	return value;
}

size_t kms_proxy_requests(kms_proxy *p)
{
	return read_locked(p, &p->requests);
}

size_t kms_proxy_connections(kms_proxy *p)
{
	return read_locked(p, &p->connections);
}

void kms_proxy_down(kms_proxy *p)
{
	shutdown(p->listen_fd, SHUT_RDWR); /* ends its accept() */
	test_check(pthread_join(p->thread, NULL) == 0);
	close(p->listen_fd);
	if (p->path[0] != '\0')
		unlink(p->path);
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	while (p->open > 0)
		pthread_cond_wait(&p->ended, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void kms_proxy_up(kms_proxy *p)
{
	listen_begin(p);
}

void kms_proxy_end(kms_proxy *p)
{
	kms_proxy_down(p);
	free(p->text);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
}
