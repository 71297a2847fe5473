/* SPDX-License-Identifier: Apache-2.0
 *
 * metadata_fake.c: see metadata_fake.h.
 */
#include "metadata_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROLES "/latest/meta-data/iam/security-credentials/"

static void credentials_print(metadata_fake *m, char *out, size_t size)
{
	char until[32];

	pthread_mutex_lock(&m->lock);
	time_t at = time(NULL) + m->life_s;
	struct tm tm;
	strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	snprintf(out, size,
		 "{\"Code\":\"Success\",\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"%s\",\"Token\":\"%s\",\"Expiration\":\"%s\"}",
		 m->key.id, m->key.secret, m->key.token, until);
	m->given++;
	pthread_mutex_unlock(&m->lock);
}

/* The code; the body into `out`. */
static int answer(metadata_fake *m, const char *request, char *out, size_t size)
{
	bool has_token = strstr(request, "X-aws-ec2-metadata-token: of-imds\r\n") != NULL;

	out[0] = '\0';
	if (strncmp(request, "PUT /latest/api/token ", 22) == 0 &&
	    strstr(request, "X-aws-ec2-metadata-token-ttl-seconds: ") != NULL) {
		snprintf(out, size, "of-imds");
		return 200;
	}
	if (strncmp(request, "GET " ROLES " ", strlen("GET " ROLES " ")) == 0 && has_token)
		snprintf(out, size, "role-of-the-machine");
	else if ((strncmp(request, "GET " ROLES "role-of-the-machine ", strlen("GET " ROLES "role-of-the-machine ")) == 0 &&
		  has_token) ||
		 (strncmp(request, "GET /container?x=1 ", 19) == 0 &&
		  strstr(request, "Authorization: " METADATA_TOKEN "\r\n") != NULL))
		credentials_print(m, out, size);
	else
		return 401;
	return 200;
}

static void serve(metadata_fake *m, int fd)
{
	char request[4096], body[4096], reply[5000];
	size_t len = 0;
	ssize_t got = 1;

	request[0] = '\0';
	while (got > 0 && len + 1 < sizeof(request) && strstr(request, "\r\n\r\n") == NULL) {
		got = read(fd, request + len, sizeof(request) - 1 - len);
		len += got > 0 ? (size_t)got : 0;
		request[len] = '\0';
	}
	int code = answer(m, request, body, sizeof(body));
	int reply_len = snprintf(reply, sizeof(reply), "HTTP/1.1 %d x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", code,
				 strlen(body), body);
	for (ssize_t at = 0, wrote = 1; at < reply_len && wrote > 0; at += wrote)
		wrote = write(fd, reply + at, (size_t)(reply_len - at));
	close(fd);
}

static void *serve_all(void *arg)
{
	metadata_fake *m = arg;

	for (;;) {
		int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		pthread_mutex_lock(&m->lock);
		bool ended = m->ended;
		pthread_mutex_unlock(&m->lock);
		if (fd >= 0)
			serve(m, fd);
		if (ended)
			return NULL;
	}
}

void metadata_fake_start(metadata_fake *m)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(in);

	*m = (metadata_fake){ .life_s = 3600 };
	pthread_mutex_init(&m->lock, NULL);
	m->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	test_check(m->listen_fd >= 0 && bind(m->listen_fd, (const struct sockaddr *)&in, sizeof(in)) == 0);
	test_check(listen(m->listen_fd, 16) == 0 && getsockname(m->listen_fd, (struct sockaddr *)&in, &len) == 0);
	m->port = ntohs(in.sin_port);
	test_check(pthread_create(&m->thread, NULL, serve_all, m) == 0);
}

void metadata_fake_set(metadata_fake *m, const aws_key *key, int64_t life_s)
{
	pthread_mutex_lock(&m->lock);
	m->key = *key;
	m->life_s = life_s;
	pthread_mutex_unlock(&m->lock);
}

size_t metadata_fake_given(metadata_fake *m)
{
	pthread_mutex_lock(&m->lock);
	size_t given = m->given;
	pthread_mutex_unlock(&m->lock);
	return given;
}

void metadata_fake_end(metadata_fake *m)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)m->port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	pthread_mutex_lock(&m->lock);
	m->ended = true;
	pthread_mutex_unlock(&m->lock);
	test_check(connect(fd, (const struct sockaddr *)&in, sizeof(in)) == 0); /* so that it wakes up */
	close(fd);
	pthread_join(m->thread, NULL);
	close(m->listen_fd);
	pthread_mutex_destroy(&m->lock);
}
