/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c: see server.h.
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "call.h"
#include "credentials.h"
#include "error.h"

#define RENEW_S 300   /* before their end credentials are looked for anew */
#define PAUSE_MS 1000 /* between two looks, after one that was in vain */

struct bh_aws_server {
	bh_shared shared; /* first: by the keys that are open */
	bh_aws_environment environment;
	bh_http_origin *origin;
	pthread_mutex_t lock; /* guards the rest, and is held while somebody looks for credentials */
	bh_aws_credentials credentials;
	uint64_t looks;      /* so far */
	bh_status failed;    /* what the last one came to */
	int64_t again_at_ms; /* of CLOCK_MONOTONIC: not before, after one that failed */
	char why[BH_MESSAGE_SIZE];
};

static bh_shared_list servers = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void server_free(bh_aws_server *s)
{
	if (s == NULL)
		return;
	bh_http_origin_free(s->origin);
	bh_aws_environment_clear(&s->environment);
	bh_aws_credentials_clear(&s->credentials);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void server_freep(bh_aws_server **s)
{
	server_free(*s);
}

static bh_status server_new(const bh_aws_arn *key, bh_aws_server **out)
{
	BH_CLEANUP(server_freep) bh_aws_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to call AWS");
	pthread_mutex_init(&s->lock, NULL);
	BH_TRY(bh_aws_environment_read(key->partition, key->region, &s->environment));
	BH_TRY(bh_aws_endpoint(&s->environment, "kms", &s->origin));
	const bh_view parts[] = { bh_view_str(bh_http_origin_base(s->origin)), bh_view_of("", 1), bh_view_str(key->region),
				  bh_view_of("", 1), bh_secret_view(&s->environment.text) };
	BH_TRY(bh_sha256_parts(parts, sizeof(parts) / sizeof(parts[0]), s->shared.id));
	*out = s;
	s = NULL;
	return BH_OK;
}

bh_status bh_aws_server_get(const bh_aws_arn *key, bh_aws_server **out)
{
	bh_aws_server *made = NULL;

	BH_TRY(server_new(key, &made));
	*out = (bh_aws_server *)(void *)bh_shared_join(&servers, &made->shared);
	if (*out != made)
		server_free(made);
	return BH_OK;
}

void bh_aws_server_unref(bh_aws_server *server)
{
	if (server != NULL && bh_shared_leave(&servers, &server->shared))
		server_free(server);
}

/* ---- credentials */

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bh_status credentials_copy(const bh_aws_credentials *from, bh_aws_credentials *out)
{
	BH_CLEANUP(bh_aws_credentials_clear) bh_aws_credentials copy = { 0 };

	BH_TRY(bh_secret_copy(&copy.access_key, bh_secret_view(&from->access_key)));
	BH_TRY(bh_secret_copy(&copy.secret_key, bh_secret_view(&from->secret_key)));
	BH_TRY(bh_secret_copy(&copy.token, bh_secret_view(&from->token)));
	copy.expires_at_s = from->expires_at_s;
	memcpy(copy.principal, from->principal, sizeof(copy.principal));
	*out = copy;
	copy = (bh_aws_credentials){ 0 };
	return BH_OK;
}

/* The caller holds the lock. Whoever waited for it while another one looked in vain gets what that one got. */
static bh_status look(bh_aws_server *s, uint64_t seen, int64_t deadline_ms)
{
	BH_CLEANUP(bh_aws_credentials_clear) bh_aws_credentials found = { 0 };

	if (s->failed != BH_OK && (s->looks != seen || clock_ms(CLOCK_MONOTONIC) < s->again_at_ms))
		return bh_fail(s->failed, "%s", s->why);
	s->failed = bh_aws_credentials_find(&s->environment, deadline_ms, &found);
	s->looks++;
	s->again_at_ms = clock_ms(CLOCK_MONOTONIC) + PAUSE_MS;
	if (s->failed != BH_OK) {
		snprintf(s->why, sizeof(s->why), "%s", bh_status_message());
		return s->failed;
	}
	bh_aws_credentials_clear(&s->credentials);
	s->credentials = found;
	found = (bh_aws_credentials){ 0 };
	return BH_OK;
}

/* Ones that end soon are used to their end, if there are no others. */
static bh_status refresh(bh_aws_server *s, uint64_t seen, int64_t deadline_ms)
{
	int64_t left_s = s->credentials.expires_at_s - clock_ms(CLOCK_REALTIME) / 1000;
	bool ends = s->credentials.expires_at_s != 0;

	if (s->credentials.access_key.len > 0 && (!ends || left_s > RENEW_S))
		return BH_OK;
	const bh_message kept = bh_message_keep();
	bh_status status = look(s, seen, deadline_ms);
	if (status == BH_OK || s->credentials.access_key.len == 0 || left_s <= 0)
		return status;
	bh_message_restore(&kept);
	return BH_OK;
}

static uint64_t looks_now(bh_aws_server *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t looks = s->looks;
	pthread_mutex_unlock(&s->lock);
	return looks;
}

static bh_status credentials_get(bh_aws_server *s, int64_t deadline_ms, bh_aws_credentials *out)
{
	uint64_t seen = looks_now(s);

	pthread_mutex_lock(&s->lock);
	bh_status status = refresh(s, seen, deadline_ms);
	if (status == BH_OK)
		status = credentials_copy(&s->credentials, out);
	bh_kms_principal_set(s->credentials.principal);
	pthread_mutex_unlock(&s->lock);
	return status;
}

static bool is_same(const bh_aws_credentials *a, const bh_aws_credentials *b)
{
	return a->access_key.len == b->access_key.len && a->secret_key.len == b->secret_key.len && a->token.len == b->token.len &&
	       memcmp(a->access_key.data, b->access_key.data, a->access_key.len) == 0 &&
	       memcmp(a->secret_key.data, b->secret_key.data, a->secret_key.len) == 0 &&
	       (a->token.len == 0 || memcmp(a->token.data, b->token.data, a->token.len) == 0);
}

/* These were refused: whether there are others by now. */
static bool credentials_replace(bh_aws_server *s, const bh_aws_credentials *refused, int64_t deadline_ms)
{
	const bh_message kept = bh_message_keep();

	pthread_mutex_lock(&s->lock);
	bool found = !is_same(&s->credentials, refused) || look(s, s->looks, deadline_ms) == BH_OK;
	bool other = found && !is_same(&s->credentials, refused);
	pthread_mutex_unlock(&s->lock);
	bh_message_restore(&kept);
	return other;
}

/* ---- calls */

/* `*again_out`: the credentials were no good, and there are others. */
static bh_status ask_once(bh_aws_server *s, const bh_aws_call *call, bool *again_out, json_t **out)
{
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer answer = { 0 };
	BH_CLEANUP(bh_aws_credentials_clear) bh_aws_credentials by = { 0 };
	bool credentials = false;

	*again_out = false;
	BH_TRY(credentials_get(s, call->deadline_ms, &by));
	BH_TRY(bh_aws_call_make(s->origin, call, &by, &answer));
	bh_kms_request_id_set(answer.request_id);
	if (answer.code != 200) {
		bh_status status = bh_aws_error(s->origin, &answer, &credentials);
		*again_out = credentials && credentials_replace(s, &by, call->deadline_ms);
		return status;
	}
	if (answer.len == 0)
		return BH_OK; /* of a call that has nothing to say */
	return bh_fail_prefix(bh_json_parse(&answer, out), "%s", bh_http_origin_base(s->origin));
}

bh_status bh_aws_ask(bh_aws_server *server, const char *operation, bh_view body, int64_t deadline_ms, json_t **out)
{
	char target[64];
	const bh_aws_call call = { .service = "kms",
				   .region = server->environment.region,
				   .target = target,
				   .content_type = "application/x-amz-json-1.1",
				   .body = body,
				   .deadline_ms = deadline_ms };
	bool again;

	snprintf(target, sizeof(target), "TrentService.%s", operation);
	bh_status status = ask_once(server, &call, &again, out);
	return again ? ask_once(server, &call, &again, out) : status;
}
