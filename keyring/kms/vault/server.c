/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c: see server.h.
 */
#include "server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keyring/kms/http/shared.h"

#define TOKEN_MAX 2000 /* bytes of a token or a secret id */

typedef enum sign_in {
	BY_TOKEN,      /* of the environment: there is no other one */
	BY_TOKEN_FILE, /* read again */
	BY_APPROLE,
	BY_CERT,
} sign_in;

struct bh_vault_server {
	bh_shared shared; /* first: by the keys that are open */
	bh_http_origin *origin;
	sign_in by;
	char *name_space, *auth_mount, *role_id, *file; /* file: of the token or the secret id */
	pthread_mutex_t lock;                           /* guards the rest, and is held while somebody signs in */
	bh_secret token;                                /* with its NUL; empty: there is none, sign in */
	uint64_t tries;                                 /* to sign in, so far */
	bh_status failed;                               /* what the last one came to */
	char why[BH_MESSAGE_SIZE];
	int64_t renew_at_s; /* of CLOCK_BOOTTIME; 0: never */
	char principal[BH_KMS_PRINCIPAL_SIZE];
};

static bh_shared_list servers = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

/* ---- what the environment says */

static bool env_copy(const char *value, char **out)
{
	*out = value != NULL ? strdup(value) : NULL;
	return value == NULL || *out != NULL;
}

static bool home_token_file(char **out)
{
	const char *home = bh_env("HOME", NULL);
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	*out = NULL;
	if (home == NULL)
		return true;
	if (bh_buf_printf(&path, "%s/.vault-token", home) != BH_OK)
		return false;
	*out = strndup((const char *)path.data, path.len);
	return *out != NULL;
}

static bool sign_in_read(bh_vault_server *s)
{
	const char *token = bh_env("VAULT_TOKEN", NULL);

	if (bh_env("BULKHEAD_VAULT_ROLE_ID", NULL) != NULL) {
		s->by = BY_APPROLE;
		return env_copy(bh_env("BULKHEAD_VAULT_ROLE_ID", NULL), &s->role_id) &&
		       env_copy(bh_env("BULKHEAD_VAULT_SECRET_ID_FILE", NULL), &s->file) &&
		       env_copy(bh_env("BULKHEAD_VAULT_AUTH_MOUNT", "approle"), &s->auth_mount);
	}
	if (token != NULL) {
		s->by = BY_TOKEN;
		return bh_secret_copy(&s->token, bh_view_of(token, strlen(token) + 1)) == BH_OK;
	}
	if (bh_env("BULKHEAD_VAULT_TOKEN_FILE", NULL) != NULL) {
		s->by = BY_TOKEN_FILE;
		return env_copy(bh_env("BULKHEAD_VAULT_TOKEN_FILE", NULL), &s->file);
	}
	if (bh_env("VAULT_CLIENT_CERT", NULL) != NULL) {
		s->by = BY_CERT;
		return env_copy(bh_env("BULKHEAD_VAULT_AUTH_MOUNT", "cert"), &s->auth_mount);
	}
	s->by = BY_TOKEN_FILE;
	return home_token_file(&s->file);
}

/* Two that differ in anything of this are two servers. */
static bh_status identify(bh_vault_server *s, const char *base, const bh_http_tls *tls)
{
	const char *const parts[] = { base,          tls->ca_file,  tls->ca_dir, tls->cert_file, tls->key_file,
				      s->name_space, s->auth_mount, s->role_id,  s->file,        (const char *)s->token.data };
	bh_view views[2 + 2 * sizeof(parts) / sizeof(parts[0])];
	size_t count = 0;

	views[count++] = bh_view_of(&s->by, sizeof(s->by));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		views[count++] = bh_view_str(parts[i] != NULL ? parts[i] : "");
		views[count++] = bh_view_of("", 1); /* its end */
	}
	return bh_sha256_parts(views, count, s->shared.id);
}

static void server_free(bh_vault_server *s)
{
	if (s == NULL)
		return;
	bh_http_origin_free(s->origin);
	bh_secret_clear(&s->token);
	pthread_mutex_destroy(&s->lock);
	free(s->name_space);
	free(s->auth_mount);
	free(s->role_id);
	free(s->file);
	free(s);
}

static void server_freep(bh_vault_server **s)
{
	server_free(*s);
}

static bh_status server_new(const char *base, bh_vault_server **out)
{
	const bh_http_tls tls = { bh_env("VAULT_CACERT", NULL), bh_env("VAULT_CAPATH", NULL), bh_env("VAULT_CLIENT_CERT", NULL),
				  bh_env("VAULT_CLIENT_KEY", NULL) };
	BH_CLEANUP(server_freep) bh_vault_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to call it", base);
	pthread_mutex_init(&s->lock, NULL);
	if (!sign_in_read(s) || !env_copy(bh_env("VAULT_NAMESPACE", NULL), &s->name_space))
		return bh_fail(BH_E_NOMEM, "%s: no memory to sign in", base);
	if (s->by == BY_APPROLE && s->file == NULL)
		return bh_fail(BH_E_KMS_REFUSED, "%s: BULKHEAD_VAULT_ROLE_ID is set, and BULKHEAD_VAULT_SECRET_ID_FILE is not",
			       base);
	BH_TRY(identify(s, base, &tls));
	BH_TRY(bh_http_origin_new(base, &tls, &s->origin));
	*out = s;
	s = NULL;
	return BH_OK;
}

bh_status bh_vault_server_get(const char *base, bh_vault_server **out)
{
	bh_vault_server *made = NULL;

	BH_TRY(server_new(base, &made));
	*out = (bh_vault_server *)(void *)bh_shared_join(&servers, &made->shared);
	if (*out != made)
		server_free(made);
	return BH_OK;
}

void bh_vault_server_unref(bh_vault_server *server)
{
	if (server != NULL && bh_shared_leave(&servers, &server->shared))
		server_free(server);
}

/* ---- one call, with a token or without */

static bh_status call_as(bh_vault_server *s, const char *token, const char *method, const char *path, bh_view body,
			 int64_t deadline_ms, bh_http_answer *out)
{
	bh_http_request request = { .method = method, .path = path, .body = body, .deadline_ms = deadline_ms };
	size_t count = 0;

	request.headers[count].name = "X-Vault-Request";
	request.headers[count++].value = "true";
	if (token != NULL) {
		request.headers[count].name = "X-Vault-Token";
		request.headers[count++].value = token;
	}
	if (s->name_space != NULL) {
		request.headers[count].name = "X-Vault-Namespace";
		request.headers[count++].value = s->name_space;
	}
	if (body.data != NULL) {
		request.headers[count].name = "Content-Type";
		request.headers[count++].value = "application/json";
	}
	return bh_http_call(s->origin, &request, out);
}

static bh_status answer_read(bh_vault_server *s, const bh_http_answer *answer, json_t **out)
{
	if (answer->code == 204) {
		*out = NULL;
		return BH_OK;
	}
	if (answer->code != 200)
		return bh_vault_error(s->origin, answer);
	return bh_fail_prefix(bh_json_parse(answer, out), "%s", bh_http_origin_base(s->origin));
}

static bh_status call_json(bh_vault_server *s, const char *token, const char *method, const char *path, bh_view body,
			   int64_t deadline_ms, json_t **out)
{
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer answer = { 0 };

	BH_TRY(call_as(s, token, method, path, body, deadline_ms, &answer));
	return answer_read(s, &answer, out);
}

/* ---- signing in. The caller holds the lock */

static bool is_plain(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+/=") == len;
}

/* A line with a token or a secret id, as a secret with its NUL. */
static bh_status secret_file(const bh_vault_server *s, const char *path, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret text = { 0 };
	bool read = false;

	BH_TRY(bh_secret_file(path, TOKEN_MAX, &read, &text));
	if (!read)
		return bh_fail(BH_E_KMS_REFUSED, "%s: there is nothing to sign in by: %s cannot be read, or is empty",
			       bh_http_origin_base(s->origin), path);
	if (!is_plain((const char *)text.data))
		return bh_fail(BH_E_KMS_REFUSED, "%s: %s holds nothing to sign in by", bh_http_origin_base(s->origin), path);
	*out = bh_secret_take(&text);
	return BH_OK;
}

static void life_take(bh_vault_server *s, bool renewable, int64_t ttl_s)
{
	s->renew_at_s = renewable && ttl_s > 0 ? now_s() + ttl_s * 2 / 3 : 0;
}

static void principal_take(bh_vault_server *s, const char *name, const char *entity)
{
	snprintf(s->principal, sizeof(s->principal), "%.120s%s%.100s", name[0] != '\0' ? name : "token",
		 entity[0] != '\0' ? " entity=" : "", entity);
}

/* Who the token is; that it may not ask is no matter. */
static bh_status look_at_token(bh_vault_server *s, int64_t deadline_ms)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	s->renew_at_s = 0;
	principal_take(s, "", "");
	bh_status status = call_json(s, (const char *)s->token.data, "GET", "/v1/auth/token/lookup-self", bh_view_of(NULL, 0),
				     deadline_ms, &json);
	if (status == BH_E_KMS_REFUSED)
		return BH_OK;
	BH_TRY(status);
	principal_take(s, bh_json_text(json, "data.display_name"), bh_json_text(json, "data.entity_id"));
	life_take(s, bh_json_true(json, "data.renewable"), bh_json_number(json, "data.ttl"));
	return BH_OK;
}

static bh_status login_take(bh_vault_server *s, const json_t *json)
{
	const char *token = bh_json_text(json, "auth.client_token");

	if (!is_plain(token) || strlen(token) >= TOKEN_MAX)
		return bh_fail(BH_E_FORMAT, "%s: an answer to a sign-in that has no token", bh_http_origin_base(s->origin));
	bh_secret_clear(&s->token);
	BH_TRY(bh_secret_copy(&s->token, bh_view_of(token, strlen(token) + 1)));
	life_take(s, bh_json_true(json, "auth.renewable"), bh_json_number(json, "auth.lease_duration"));
	const char *role = bh_json_text(json, "auth.metadata.role_name");
	principal_take(s, role[0] != '\0' ? role : bh_json_text(json, "auth.metadata.cert_name"),
		       bh_json_text(json, "auth.entity_id"));
	return BH_OK;
}

static bh_status login(bh_vault_server *s, const char *path, bh_view body, int64_t deadline_ms)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	bh_status status = call_json(s, NULL, "POST", path, body, deadline_ms, &json);
	/* That there is no such way in is a no: "not found" would be the key. */
	if (status == BH_E_NOT_FOUND || status == BH_E_UNSUPPORTED)
		status = BH_E_KMS_REFUSED;
	BH_TRY(bh_fail_prefix(status, "signing in at %s", path));
	return login_take(s, json);
}

static bh_status login_approle(bh_vault_server *s, const char *path, int64_t deadline_ms)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret_id = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret body = { 0 };

	BH_TRY(secret_file(s, s->file, &secret_id));
	if (!is_plain(s->role_id))
		return bh_fail(BH_E_KMS_REFUSED, "BULKHEAD_VAULT_ROLE_ID is no role id");
	size_t size = strlen(s->role_id) + secret_id.len + 64;
	BH_TRY(bh_secret_init(&body, size));
	snprintf((char *)body.data, size, "{\"role_id\":\"%s\",\"secret_id\":\"%s\"}", s->role_id, (const char *)secret_id.data);
	return login(s, path, bh_view_str((const char *)body.data), deadline_ms);
}

static bh_status token_from_file(bh_vault_server *s, int64_t deadline_ms)
{
	if (s->file == NULL)
		return bh_fail(BH_E_KMS_REFUSED,
			       "%s: there is nothing to sign in by: VAULT_TOKEN, a token file, an AppRole or a certificate",
			       bh_http_origin_base(s->origin));
	bh_secret_clear(&s->token);
	BH_TRY(secret_file(s, s->file, &s->token));
	return look_at_token(s, deadline_ms);
}

static bh_status sign_in_now(bh_vault_server *s, int64_t deadline_ms)
{
	char path[256];

	if (s->auth_mount != NULL && (!is_plain(s->auth_mount) || strlen(s->auth_mount) > 128))
		return bh_fail(BH_E_INVALID, "BULKHEAD_VAULT_AUTH_MOUNT is no name of a mount");
	snprintf(path, sizeof(path), "/v1/auth/%s/login", s->auth_mount != NULL ? s->auth_mount : "");
	switch (s->by) {
	case BY_TOKEN: return look_at_token(s, deadline_ms);
	case BY_TOKEN_FILE: return token_from_file(s, deadline_ms);
	case BY_APPROLE: return login_approle(s, path, deadline_ms);
	case BY_CERT: return login(s, path, bh_view_str("{}"), deadline_ms);
	}
	return bh_fail(BH_E_INVALID, "no way to sign in");
}

/* Whoever waited for the lock while another one tried in vain gets what that one got. */
static bh_status sign_in_once(bh_vault_server *s, uint64_t seen, int64_t deadline_ms)
{
	if (s->tries != seen && s->failed != BH_OK)
		return bh_fail(s->failed, "%s", s->why);
	s->failed = sign_in_now(s, deadline_ms);
	s->tries++;
	if (s->failed != BH_OK) {
		snprintf(s->why, sizeof(s->why), "%s", bh_status_message());
		if (s->by != BY_TOKEN)
			bh_secret_clear(&s->token);
	}
	return s->failed;
}

/* A token that cannot be renewed is used to its end, and then replaced if there is another one. */
static void renew(bh_vault_server *s, int64_t deadline_ms)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	const bh_message kept = bh_message_keep();

	s->renew_at_s = now_s() + 10; /* if it fails */
	if (call_json(s, (const char *)s->token.data, "POST", "/v1/auth/token/renew-self", bh_view_str("{}"), deadline_ms, &json) ==
	    BH_OK)
		life_take(s, bh_json_true(json, "auth.renewable"), bh_json_number(json, "auth.lease_duration"));
	bh_message_restore(&kept);
}

static uint64_t tries_now(bh_vault_server *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t tries = s->tries;
	pthread_mutex_unlock(&s->lock);
	return tries;
}

/* The token to ask with. `seen`: the tries to sign in that were made before. */
static bh_status token_get(bh_vault_server *s, uint64_t seen, int64_t deadline_ms, bh_secret *out)
{
	bh_status status = BH_OK;

	pthread_mutex_lock(&s->lock);
	if (s->token.len == 0 || s->tries == 0 || s->failed != BH_OK)
		status = sign_in_once(s, seen, deadline_ms);
	else if (s->renew_at_s != 0 && now_s() >= s->renew_at_s)
		renew(s, deadline_ms);
	if (status == BH_OK)
		status = bh_secret_copy(out, bh_secret_view(&s->token));
	bh_kms_principal_set(s->principal);
	pthread_mutex_unlock(&s->lock);
	return status;
}

/* This token was refused: whether there is another one to try, or will be by signing in. */
static bool token_replace(bh_vault_server *s, const bh_secret *refused)
{
	pthread_mutex_lock(&s->lock);
	bool same = s->token.len == refused->len && memcmp(s->token.data, refused->data, refused->len) == 0;
	if (same && s->by != BY_TOKEN)
		bh_secret_clear(&s->token);
	bool other = !same || s->by != BY_TOKEN;
	pthread_mutex_unlock(&s->lock);
	return other;
}

/* `*again_out`: the token was no good, and there may be another one. */
static bh_status ask_once(bh_vault_server *s, const char *method, const char *path, bh_view body, int64_t deadline_ms,
			  bool *again_out, json_t **out)
{
	BH_CLEANUP(bh_http_answer_clear) bh_http_answer answer = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret token = { 0 };

	*again_out = false;
	BH_TRY(token_get(s, tries_now(s), deadline_ms, &token));
	BH_TRY(call_as(s, (const char *)token.data, method, path, body, deadline_ms, &answer));
	*again_out = answer.code == 403 && token_replace(s, &token);
	return answer_read(s, &answer, out);
}

bh_status bh_vault_ask(bh_vault_server *server, const char *method, const char *path, bh_view body, int64_t deadline_ms,
		       json_t **out)
{
	bool again;

	bh_status status = ask_once(server, method, path, body, deadline_ms, &again, out);
	if (again)
		status = ask_once(server, method, path, body, deadline_ms, &again, out);
	BH_TRY(status);
	if (*out != NULL)
		bh_kms_request_id_set(bh_json_text(*out, "request_id"));
	return BH_OK;
}
