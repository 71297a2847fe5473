/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_liar.c: see kms_liar.h.
 */
#include "kms_liar.h"

#include <sys/socket.h>
#include <unistd.h>

#include "keyring/kms/agent/socket.h"
#include "keyring/kms/kms.h"

#define DEADLINE_MS 60000

typedef struct truth {
	bh_buf wrapped;
	bh_secret key;
} truth;

static void truth_clear(truth *t)
{
	bh_buf_clear(&t->wrapped);
	bh_secret_clear(&t->key);
}

static bh_status answer_truly(const liar *l, const bh_agent_request *request, truth *t, bh_agent_answer *answer)
{
	BH_CLEANUP(bh_kms_closep) bh_kms *kms = NULL;
	char uri[PATH_SIZE + 80];

	snprintf(uri, sizeof(uri), "local:%s#%s", l->dir, request->key);
	BH_TRY(bh_kms_open(uri, NULL, &kms));
	if (request->command == BH_AGENT_DESCRIBE)
		return bh_kms_describe(kms, &answer->info);
	if (request->command == BH_AGENT_WRAP) {
		BH_TRY(bh_kms_wrap(kms, request->payload, request->context, &t->wrapped, &answer->version));
		answer->payload = bh_buf_view(&t->wrapped);
	}
	if (request->command == BH_AGENT_UNWRAP) {
		BH_TRY(bh_kms_unwrap(kms, request->payload, request->context, &t->key));
		answer->payload = bh_secret_view(&t->key);
	}
	return BH_OK;
}

/* Lies that are well-formed answers. */
static void twist(liar_lie lie, truth *t, bh_agent_answer *answer)
{
	switch (lie) {
	case LIAR_OTHER_REQUEST: answer->id[0] ^= 1; break;
	case LIAR_OTHER_COMMAND:
		answer->info = (bh_kms_key_info){ .state = BH_KMS_ENABLED, .version = 1 };
		answer->command = answer->command == BH_AGENT_UNWRAP ? BH_AGENT_DESCRIBE : BH_AGENT_OPEN;
		break;
	case LIAR_OTHER_NAME: answer->key[0] ^= 1; break;
	case LIAR_OTHER_DEK:
		if (answer->command == BH_AGENT_UNWRAP && t->key.data != NULL)
			t->key.data[0] ^= 1;
		break;
	case LIAR_REFUSES:
		answer->outcome = BH_E_KMS_REFUSED;
		snprintf(answer->message, sizeof(answer->message), "is disabled");
		break;
	default: break;
	}
}

/* Lies in bytes; returns how many of them are sent. */
static size_t spoil(liar_lie lie, size_t cut, uint8_t *frame, size_t len)
{
	switch (lie) {
	case LIAR_CUT:
	case LIAR_CUT_SILENT: return BH_MIN(cut, len);
	case LIAR_OTHER_VERSION: frame[BH_AGENT_LENGTH_SIZE + 4] = 2; return len;
	case LIAR_GARBAGE: memset(frame + BH_AGENT_LENGTH_SIZE, 0x5a, len - BH_AGENT_LENGTH_SIZE); return len;
	case LIAR_HUGE: memset(frame, 0xff, BH_AGENT_LENGTH_SIZE); return len;
	case LIAR_EMPTY: memset(frame, 0, BH_AGENT_LENGTH_SIZE); return BH_AGENT_LENGTH_SIZE;
	default: return len;
	}
}

static void wait_while(liar *l, liar_lie lie)
{
	pthread_mutex_lock(&l->lock);
	while (l->lie == lie && !l->ended)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static bh_status serve(liar *l, int fd, liar_lie lie, size_t cut)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret frame = { 0 };
	BH_CLEANUP(truth_clear) truth t = { 0 };
	bh_agent_request request;
	bh_agent_answer answer = { 0 };
	bh_view body;

	BH_TRY(bh_secret_init(&room, BH_AGENT_BODY_MAX));
	BH_TRY(bh_agent_receive(fd, bh_agent_now_ms() + DEADLINE_MS, &room, &body));
	BH_TRY(bh_agent_request_decode(body, &request));
	if (lie == LIAR_READS_ONLY)
		return BH_OK;
	if (lie == LIAR_SILENT || lie == LIAR_HOLD)
		wait_while(l, lie);
	if (lie == LIAR_SILENT)
		return BH_OK;
	answer.command = request.command;
	memcpy(answer.id, request.id, sizeof(answer.id));
	memcpy(answer.key, request.key, sizeof(answer.key));
	answer.outcome = bh_agent_outcome(answer_truly(l, &request, &t, &answer));
	if (answer.outcome != BH_OK)
		snprintf(answer.message, sizeof(answer.message), "%s", bh_status_message());
	twist(lie, &t, &answer);
	BH_TRY(bh_agent_answer_encode(&answer, &frame));
	size_t len = spoil(lie, cut, frame.data, bh_agent_frame_view(&frame).len);
	BH_TRY(bh_agent_send(fd, bh_view_of(frame.data, len), bh_agent_now_ms() + DEADLINE_MS));
	if (lie == LIAR_CUT_SILENT)
		wait_while(l, lie);
	return BH_OK;
}

/* One call after the other: what it keeps waiting, all of its clients wait for. */
static void *liar_main(void *arg)
{
	liar *l = arg;

	for (;;) {
		int fd = accept(l->listen_fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		pthread_mutex_lock(&l->lock);
		liar_lie lie = l->lie;
		size_t cut = l->cut;
		l->calls++;
		pthread_mutex_unlock(&l->lock);
		if (lie != LIAR_HANGS_UP)
			(void)!serve(l, fd, lie, cut); /* a client that has gone is no matter */
		close(fd);
	}
}

void liar_start(liar *l, const char *dir, const char *socket_path)
{
	struct sockaddr_un address;

	memset(l, 0, sizeof(*l));
	snprintf(l->dir, sizeof(l->dir), "%s", dir);
	snprintf(l->socket, sizeof(l->socket), "%s", socket_path);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	test_ok(bh_agent_address(l->socket, &address));
	l->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	test_check(l->listen_fd >= 0);
	test_check(bind(l->listen_fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	test_check(listen(l->listen_fd, 64) == 0);
	test_check(pthread_create(&l->thread, NULL, liar_main, l) == 0);
}

void liar_set(liar *l, liar_lie lie, size_t cut)
{
	pthread_mutex_lock(&l->lock);
	l->lie = lie;
	l->cut = cut;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

size_t liar_calls(liar *l)
{
	pthread_mutex_lock(&l->lock);
	size_t calls = l->calls;
	pthread_mutex_unlock(&l->lock);
	return calls;
}

void liar_end(liar *l)
{
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	shutdown(l->listen_fd, SHUT_RDWR); /* ends its accept() */
	test_check(pthread_join(l->thread, NULL) == 0);
	close(l->listen_fd);
	unlink(l->socket);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
}
