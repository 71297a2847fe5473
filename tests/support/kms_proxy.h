/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_proxy.h: stands between a provider and its server, on 127.0.0.1 or on a Unix-domain socket, and spoils what goes through.
 *
 * It knows nothing of what is said: bytes go on as they are, or not. The mode can be changed at any time, and holds from the next
 * bytes on, in connections that are open, too. Thread-safety: all calls.
 */
#ifndef BH_TESTS_KMS_PROXY_H
#define BH_TESTS_KMS_PROXY_H

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "harness.h"

typedef enum proxy_mode {
	PROXY_PASS,
	PROXY_HANG_UP, /* at the first byte of a request */
	PROXY_SILENT,  /* takes requests and never answers */
	PROXY_SLOW,    /* passes answers at a byte in 100 ms */
	PROXY_CUT,     /* passes the first `cut` bytes of an answer, and hangs up */
	PROXY_GARBAGE, /* answers with noise */
	PROXY_TEXT,    /* answers with `text`, and hangs up */
} proxy_mode;

typedef struct kms_proxy {
	struct sockaddr_storage upstream;
	socklen_t upstream_len;
	char path[108]; /* of its own socket; "" for one on 127.0.0.1 */
	int port;       /* its own, on 127.0.0.1 */
	int listen_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t ended;
	proxy_mode mode;
	size_t cut;
	char *text;         /* its own copy */
	size_t open;        /* connections */
	size_t connections; /* so far */
	size_t requests;    /* so far: times that a client began to send */
	bool stopping;
} kms_proxy;

void kms_proxy_start_tcp(kms_proxy *p, int upstream_port);
void kms_proxy_start_unix(kms_proxy *p, const char *path, const char *upstream_path);
void kms_proxy_set(kms_proxy *p, proxy_mode mode, size_t cut, const char *text);
size_t kms_proxy_requests(kms_proxy *p);
size_t kms_proxy_connections(kms_proxy *p);
/* Nobody listens any more, and every connection is cut; and back, at the same place. */
void kms_proxy_down(kms_proxy *p);
void kms_proxy_up(kms_proxy *p);
void kms_proxy_end(kms_proxy *p);

#endif
