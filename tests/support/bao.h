/* SPDX-License-Identifier: Apache-2.0
 *
 * bao.h: a real OpenBao server in development mode, on 127.0.0.1, with a transit engine, and its owner's console. It ends with the
 * test, however that ends. Thread-safety: none, but for bao_ask().
 */
#ifndef BH_TESTS_BAO_H
#define BH_TESTS_BAO_H

#include <jansson.h>
#include <sys/types.h>

#include "harness.h"

#define BAO_ROOT_TOKEN "root-token-of-the-test"
#define BAO_ROOT_OPTION "-dev-root-token-id=root-token-of-the-test"

typedef struct bao {
	pid_t pid;
	int port;
	bool tls;
	char home[PATH_SIZE]; /* its own; removed at the end */
	char log[PATH_SIZE];
	char ca[PATH_SIZE]; /* of its certificate, with TLS */
} bao;

/* Starts it and waits until it answers. Fails the test where there is none. */
void bao_start(bao *b, const char *home, bool tls);
void bao_end(bao *b); /* SIGKILL: it keeps nothing */
/* Asks it as root, directly: "POST", "transit/keys/k", a body or NULL. Returns the answer's object, or NULL; fails the test unless
 * the code is `want` (0: any of 2xx). */
json_t *bao_ask(const bao *b, const char *token, const char *method, const char *path, const char *body, long want);
void bao_do(const bao *b, const char *method, const char *path, const char *body); /* as root; must succeed */
/* A token with these policies and options (JSON, such as "\"ttl\":\"2s\"", or ""). */
void bao_token(const bao *b, const char *policies, const char *options, char out[256]);

#endif
