/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_agent_fixture.h: a local KMS with the keys "platform", "acme" and "beta", the real bhkms-agent on it, and, on request, a liar
 * beside it.
 */
#ifndef BH_TESTS_KMS_AGENT_FIXTURE_H
#define BH_TESTS_KMS_AGENT_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "keyring/kms/agent/socket.h"
#include "keyring/kms/kms.h"
#include "kms_liar.h"
#include "kms_process.h"

#define SHORT_MS 150   /* a deadline that is waited for */
#define LONG_MS 120000 /* one that is not */
#define CONTEXT "class=data\nmerchant=acme\n"

static const uint8_t test_dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };

typedef struct fixture {
	workspace ws;
	kms_process agent;
	liar liar;
	bool lying; /* the liar runs */
} fixture;

static inline int setup(void **state)
{
	fixture *f = calloc(1, sizeof(*f));
	char socket_path[PATH_SIZE];

	workspace_open(&f->ws);
	path_join(socket_path, f->ws.root, "sock");
	(void)test_cmk(&f->ws, "platform");
	(void)test_cmk(&f->ws, "acme");
	(void)test_cmk(&f->ws, "beta");
	kms_process_start(&f->agent, f->ws.kms, socket_path, false);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	fixture *f = *state;

	if (f->lying)
		liar_end(&f->liar);
	kms_process_kill(&f->agent);
	workspace_close(&f->ws);
	free(f);
	return 0;
}

static inline const char *lie_start(fixture *f)
{
	static char uri[PATH_SIZE + 80];
	char socket_path[PATH_SIZE];

	path_join(socket_path, f->ws.root, "liar");
	liar_start(&f->liar, f->ws.kms, socket_path);
	f->lying = true;
	snprintf(uri, sizeof(uri), "agent:%s#acme", socket_path);
	return uri;
}

static inline bh_kms *kms_open(const char *uri, uint32_t timeout_ms)
{
	const bh_kms_options options = { .timeout_ms = timeout_ms };
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(uri, &options, &kms));
	return kms;
}

static inline bh_status wrap(bh_kms *kms, bh_buf *wrapped)
{
	uint32_t version = 0;

	return bh_kms_wrap(kms, bh_view_of(test_dek, sizeof(test_dek)), bh_view_str(CONTEXT), wrapped, &version);
}

static inline bh_status unwrap_as(bh_kms *kms, const bh_buf *wrapped, const char *context)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(kms, bh_buf_view(wrapped), bh_view_str(context), &out);
	if (status == BH_OK)
		test_check(memcmp(out.data, test_dek, sizeof(test_dek)) == 0);
	else
		test_check(out.data == NULL);
	bh_secret_clear(&out);
	return status;
}

static inline bh_status unwrap(bh_kms *kms, const bh_buf *wrapped)
{
	return unwrap_as(kms, wrapped, CONTEXT);
}

/* The owner's console: at the directory. */
static inline bh_kms *console_open(const fixture *f, const char *key)
{
	bh_kms *console = NULL;

	test_ok(bh_kms_open(workspace_cmk(&f->ws, key), NULL, &console));
	return console;
}

typedef struct caller {
	const char *uri;
	pthread_t thread;
	atomic_bool done;
	bh_status status;
} caller;

static inline void *caller_main(void *arg)
{
	caller *c = arg;
	bh_buf wrapped = { 0 };
	bh_kms *kms = NULL;
	const bh_kms_options options = { .timeout_ms = LONG_MS };

	c->status = bh_kms_open(c->uri, &options, &kms);
	for (int i = 0; i < 20 && c->status == BH_OK; i++) {
		c->status = wrap(kms, &wrapped);
		if (c->status == BH_OK)
			c->status = unwrap(kms, &wrapped);
		bh_buf_clear(&wrapped);
	}
	bh_kms_close(kms);
	atomic_store(&c->done, true);
	return NULL;
}

#endif
