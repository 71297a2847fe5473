/* SPDX-License-Identifier: Apache-2.0
 *
 * vault.c: see vault.h. A key is an aes256-gcm96 or chacha20-poly1305 key that is derived: Vault makes a key of its own out of it
 * for each context, which is the encryption context here, so that it binds the wrap, and the server can rewrap.
 *
 * A wrap: u8 format = 1, u32 key version, then what Vault's "vault:vN:<base64>" holds: 12-byte nonce, 32-byte ciphertext, 16-byte
 * tag. Bytes, since base64 has several spellings of one wrap.
 *
 * A key is looked at before it wraps: Vault makes the key that it is to encrypt under, if it is missing and the token may.
 *
 * Thread-safety: `self` is immutable after open; the server is shared.
 */
#include "vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keyring/kms/provider/uri.h"
#include "server.h"

#define WRAP_FORMAT 1
#define WRAP_HEAD_LEN (1 + 4)
#define SEALED_LEN (12 + BH_DEK_LEN + 16)
#define WRAP_LEN (WRAP_HEAD_LEN + SEALED_LEN)
#define CONTEXT_MAX 512
#define BODY_MAX (256 + BH_BASE64_SIZE(CONTEXT_MAX) + BH_BASE64_SIZE(SEALED_LEN))
#define PATH_MAX_LEN 512
#define DEFAULT_PORT 8200

typedef struct place {
	char base[320];               /* "https://HOST:PORT" */
	char mount[129];              /* "transit", "customers/transit" */
	char name[BH_NAME_MAX + 1];   /* "" where none is needed */
	char region[BH_NAME_MAX + 1]; /* "" where the URI does not say */
} place;

typedef struct vault_kms {
	place at;
	char uri[BH_KMS_URI_MAX + 1];
	bh_vault_server *server;
	uint32_t timeout_ms;
} vault_kms;

/* ---- URIs */

static const char keys_part[] = "/keys/";

/* The last "/keys/", since a mount may have one in its name. */
static const char *keys_find(const char *path)
{
	const char *found = NULL;

	for (const char *p = strstr(path, keys_part); p != NULL; p = strstr(p + 1, keys_part))
		found = p;
	return found;
}

static bool is_mount(const char *mount, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";

	return len > 0 && len < sizeof(((place *)NULL)->mount) && strspn(mount, allowed) >= len && mount[0] != '/' &&
	       strstr(mount, "//") == NULL && strstr(mount, "..") == NULL;
}

static bh_status place_parse(const char *uri, bool with_key, place *out)
{
	static const char *const known[] = { "region", NULL };
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 }; /* too large for a stack */
	bool plain = strncmp(uri, "vault+http:", 11) == 0;

	BH_TRY(bh_secret_init(&room, sizeof(bh_kms_uri)));
	bh_kms_uri *parsed = (bh_kms_uri *)(void *)room.data;
	BH_TRY(bh_kms_uri_parse(uri, parsed));
	BH_TRY(bh_kms_uri_query_check(parsed, known));
	BH_TRY(bh_kms_uri_query(parsed, "region", out->region, sizeof(out->region)));
	if (out->region[0] != '\0')
		BH_TRY(bh_name_check("region", out->region));
	if (plain && !parsed->is_loopback)
		return bh_fail(BH_E_INVALID,
			       "CMK URI '%.200s': plain HTTP is for 127.0.0.1 and [::1] alone; elsewhere it is vault://", uri);
	const char *keys = keys_find(parsed->path);
	if (keys == NULL || !is_mount(parsed->path + 1, (size_t)(keys - parsed->path) - 1))
		return bh_fail(BH_E_INVALID, "CMK URI '%.200s': it looks like vault://HOST:PORT/MOUNT/keys/NAME", uri);
	snprintf(out->mount, sizeof(out->mount), "%.*s", (int)(keys - parsed->path) - 1, parsed->path + 1);
	const char *name = keys + strlen(keys_part);
	if (with_key || name[0] != '\0')
		BH_TRY(bh_name_check("KMS key", name));
	snprintf(out->name, sizeof(out->name), "%.64s", name);
	snprintf(out->base, sizeof(out->base), "%s://%s%s%s:%u", plain ? "http" : "https", parsed->is_ipv6 ? "[" : "", parsed->host,
		 parsed->is_ipv6 ? "]" : "", parsed->port != 0 ? parsed->port : DEFAULT_PORT);
	return BH_OK;
}

/* ---- open, close */

static void vault_close(void *self)
{
	vault_kms *kms = self;

	bh_vault_server_unref(kms->server);
	free(kms);
}

static void vault_closep(vault_kms **kms)
{
	if (*kms != NULL)
		vault_close(*kms);
}

static bh_status vault_new(const char *uri, const bh_kms_options *options, bool with_key, vault_kms **out)
{
	BH_CLEANUP(vault_closep) vault_kms *kms = calloc(1, sizeof(*kms));

	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	kms->timeout_ms = bh_kms_timeout_ms(options);
	snprintf(kms->uri, sizeof(kms->uri), "%s", uri);
	BH_TRY(place_parse(uri, with_key, &kms->at));
	BH_TRY(bh_fail_prefix(bh_vault_server_get(kms->at.base, &kms->server), "CMK '%s'", uri));
	*out = kms;
	kms = NULL;
	return BH_OK;
}

/* Asks MOUNT/<what>/NAME<more>. */
static bh_status ask(const vault_kms *kms, const char *method, const char *what, const char *more, bh_view body,
		     int64_t deadline_ms, json_t **out)
{
	char path[PATH_MAX_LEN];

	snprintf(path, sizeof(path), "/v1/%s/%s/%s%s", kms->at.mount, what, kms->at.name, more);
	return bh_fail_prefix(bh_vault_ask(kms->server, method, path, body, deadline_ms, out), "CMK '%s'", kms->uri);
}

static bh_status no_answer_in_form(const vault_kms *kms, const char *what)
{
	return bh_fail(BH_E_FORMAT, "CMK '%s': the answer has no %s", kms->uri, what);
}

/* What a CMK has to be. */
static bh_status key_check(const vault_kms *kms, const json_t *json)
{
	const char *type = bh_json_text(json, "data.type");

	if (bh_json_at(json, "data") == NULL || type[0] == '\0')
		return no_answer_in_form(kms, "key");
	if (strcmp(type, "aes256-gcm96") != 0 && strcmp(type, "chacha20-poly1305") != 0)
		return bh_fail(BH_E_UNSUPPORTED, "CMK '%s': is of type %.40s; aes256-gcm96 or chacha20-poly1305 is needed",
			       kms->uri, type);
	if (!bh_json_true(json, "data.derived") || bh_json_true(json, "data.convergent_encryption"))
		return bh_fail(
			BH_E_UNSUPPORTED,
			"CMK '%s': has to be made with derived=true, and without convergent_encryption, since the context of a "
			"wrap is bound by it",
			kms->uri);
	return BH_OK;
}

static bh_status key_read(const vault_kms *kms, int64_t deadline_ms, json_t **out)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	BH_TRY(ask(kms, "GET", "keys", "", bh_view_of(NULL, 0), deadline_ms, &json));
	BH_TRY(key_check(kms, json));
	*out = json;
	json = NULL;
	return BH_OK;
}

static bh_status vault_open(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out)
{
	BH_CLEANUP(vault_closep) vault_kms *kms = NULL;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	(void)session;
	BH_TRY(vault_new(uri, options, true, &kms));
	BH_TRY(key_read(kms, bh_http_deadline_ms(kms->timeout_ms), &json));
	*self_out = kms;
	kms = NULL;
	return BH_OK;
}

/* ---- describe */

/* When a version was made. For derived keys a number of seconds; some releases tell more, as an object. */
static int64_t version_made_s(const json_t *json, int64_t version)
{
	char path[64];

	snprintf(path, sizeof(path), "data.keys.%lld", (long long)version);
	return bh_json_number(json, path);
}

static void info_fill(const vault_kms *kms, const json_t *json, bh_kms_key_info *out)
{
	int64_t version = bh_json_number(json, "data.latest_version");

	snprintf(out->name, sizeof(out->name), "%s", kms->at.name);
	snprintf(out->region, sizeof(out->region), "%s", kms->at.region);
	out->state = bh_json_true(json, "data.soft_deleted") ? BH_KMS_DISABLED : BH_KMS_ENABLED;
	out->version = (uint32_t)version;
	out->created_at_s = version_made_s(json, 1);
	out->changed_at_s = version_made_s(json, version);
}

static bh_status vault_describe(void *self, bh_kms_key_info *out)
{
	const vault_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;

	BH_TRY(key_read(kms, bh_http_deadline_ms(kms->timeout_ms), &json));
	if (bh_json_number(json, "data.latest_version") <= 0)
		return no_answer_in_form(kms, "version");
	info_fill(kms, json, out);
	return BH_OK;
}

/* ---- wrap and unwrap: encode and decode side by side */

static bh_status context_check(const vault_kms *kms, bh_view context)
{
	return context.len <= CONTEXT_MAX ? BH_OK
					  : bh_fail(BH_E_INVALID, "CMK '%s': a context of %zu bytes; %d are the most", kms->uri,
						    context.len, CONTEXT_MAX);
}

/* {"<name>": <text>, "context": <base64>}, in locked memory. */
static bh_status body_make(const char *name, const char *text, bh_view context, bh_secret *out)
{
	char encoded[BH_BASE64_SIZE(CONTEXT_MAX)];

	bh_base64(context.data, context.len, encoded);
	BH_TRY(bh_secret_init(out, BODY_MAX));
	snprintf((char *)out->data, out->len, "{\"%s\":\"%s\",\"context\":\"%s\"}", name, text, encoded);
	return BH_OK;
}

/* "vault:vN:<base64>" */
static bh_status wrapped_parse(const vault_kms *kms, const json_t *json, bh_kms_wrapped *out)
{
	static const char prefix[] = "vault:v";
	const char *text = bh_json_text(json, "data.ciphertext");
	char *end = NULL;

	if (strncmp(text, prefix, strlen(prefix)) != 0)
		return no_answer_in_form(kms, "ciphertext");
	unsigned long version = strtoul(text + strlen(prefix), &end, 10);
	if (*end != ':' || version == 0 || version > UINT32_MAX)
		return no_answer_in_form(kms, "version");
	out->bytes[0] = WRAP_FORMAT;
	bh_put_u32(out->bytes + 1, (uint32_t)version);
	BH_TRY(bh_fail_prefix(bh_unbase64(end + 1, out->bytes + WRAP_HEAD_LEN, SEALED_LEN), "CMK '%s'", kms->uri));
	out->len = WRAP_LEN;
	out->version = (uint32_t)version;
	return BH_OK;
}

static bh_status wrapped_print(const vault_kms *kms, bh_view wrapped, char *out, size_t size)
{
	char encoded[BH_BASE64_SIZE(SEALED_LEN)];

	if (wrapped.len > 0 && wrapped.data[0] != WRAP_FORMAT)
		return bh_fail(BH_E_VERSION, "CMK '%s': wrap of format %u; this build knows %d", kms->uri, wrapped.data[0],
			       WRAP_FORMAT);
	if (wrapped.len != WRAP_LEN)
		return bh_fail(BH_E_FORMAT, "CMK '%s': wrap of %zu bytes, not %d", kms->uri, wrapped.len, WRAP_LEN);
	/* To Vault, version 0 is another name of version 1. */
	if (bh_get_u32(wrapped.data + 1) == 0)
		return bh_fail(BH_E_TAG, "CMK '%s': wrap of version 0, which no key has", kms->uri);
	bh_base64(wrapped.data + WRAP_HEAD_LEN, SEALED_LEN, encoded);
	snprintf(out, size, "vault:v%u:%s", bh_get_u32(wrapped.data + 1), encoded);
	return BH_OK;
}

static bh_status vault_wrap(void *self, const uint8_t *dek, bh_view context, bh_kms_wrapped *out)
{
	const vault_kms *kms = self;
	BH_CLEANUP(bh_secret_clear) bh_secret text = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret body = { 0 };
	BH_CLEANUP(bh_json_clear) json_t *key = NULL;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);

	BH_TRY(context_check(kms, context));
	BH_TRY(bh_secret_init(&text, BH_BASE64_SIZE(BH_DEK_LEN)));
	bh_base64(dek, BH_DEK_LEN, (char *)text.data);
	BH_TRY(body_make("plaintext", (const char *)text.data, context, &body));
	BH_TRY(key_read(kms, deadline_ms, &key));
	BH_TRY(ask(kms, "POST", "encrypt", "", bh_view_str((const char *)body.data), deadline_ms, &json));
	return wrapped_parse(kms, json, out);
}

static bh_status vault_unwrap(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out)
{
	const vault_kms *kms = self;
	BH_CLEANUP(bh_secret_clear) bh_secret body = { 0 };
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	char text[32 + BH_BASE64_SIZE(SEALED_LEN)];

	BH_TRY(context_check(kms, context));
	BH_TRY(wrapped_print(kms, wrapped, text, sizeof(text)));
	BH_TRY(body_make("ciphertext", text, context, &body));
	BH_TRY(ask(kms, "POST", "decrypt", "", bh_view_str((const char *)body.data), bh_http_deadline_ms(kms->timeout_ms), &json));
	return bh_fail_prefix(bh_unbase64(bh_json_text(json, "data.plaintext"), dek_out, BH_DEK_LEN), "CMK '%s': its answer",
			      kms->uri);
}

/* ---- the end of a key, and the owner's console */

/* Vault destroys at once what may be destroyed, and keeps nothing of it: the second call is what counts, and the third shows it. */
static bh_status vault_destroy(void *self, bh_kms_evidence *out)
{
	const vault_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *allowed = NULL;
	BH_CLEANUP(bh_json_clear) json_t *deleted = NULL;
	BH_CLEANUP(bh_json_clear) json_t *left = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);

	BH_TRY(ask(kms, "POST", "keys", "/config", bh_view_str("{\"deletion_allowed\":true}"), deadline_ms, &allowed));
	BH_TRY(ask(kms, "DELETE", "keys", "", bh_view_of(NULL, 0), deadline_ms, &deleted));
	bh_status status = ask(kms, "GET", "keys", "", bh_view_of(NULL, 0), deadline_ms, &left);
	if (status == BH_OK)
		return bh_fail(BH_E_KMS_REFUSED, "CMK '%s': was to be deleted, and is still there", kms->uri);
	if (status != BH_E_NOT_FOUND)
		return status;
	out->state = BH_KMS_DESTROYED;
	out->at_s = (int64_t)time(NULL);
	snprintf(out->request_id, sizeof(out->request_id), "%s", bh_json_text(allowed, "request_id"));
	return BH_OK;
}

static bh_status vault_create(const char *uri, const char *region, const bh_kms_options *options)
{
	BH_CLEANUP(vault_closep) vault_kms *kms = NULL;
	BH_CLEANUP(bh_json_clear) json_t *there = NULL;
	BH_CLEANUP(bh_json_clear) json_t *made = NULL;

	BH_TRY(vault_new(uri, options, true, &kms));
	if (options->deletion_window_s != 0)
		return bh_fail(BH_E_UNSUPPORTED, "CMK '%s': Vault knows no deletion window", uri);
	if (region[0] != '\0' && strcmp(region, kms->at.region) != 0)
		return bh_fail(BH_E_INVALID, "CMK '%s': Vault's keys have no region of their own: add ?region=%s to the URI", uri,
			       region);
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);
	bh_status status = ask(kms, "GET", "keys", "", bh_view_of(NULL, 0), deadline_ms, &there);
	if (status == BH_OK)
		return bh_fail(BH_E_EXISTS, "CMK '%s': is there already", uri);
	if (status != BH_E_NOT_FOUND)
		return status;
	return ask(kms, "POST", "keys", "", bh_view_str("{\"type\":\"aes256-gcm96\",\"derived\":true}"), deadline_ms, &made);
}

static bh_status vault_rotate(void *self, uint32_t *version_out)
{
	const vault_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *rotated = NULL;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);

	BH_TRY(ask(kms, "POST", "keys", "/rotate", bh_view_str("{}"), deadline_ms, &rotated));
	BH_TRY(key_read(kms, deadline_ms, &json));
	*version_out = (uint32_t)bh_json_number(json, "data.latest_version");
	return BH_OK;
}

/* OpenBao's soft deletion. Vault has none: there a policy takes the key away. */
static bh_status vault_set_state(void *self, bh_kms_key_state state)
{
	const vault_kms *kms = self;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	int64_t deadline_ms = bh_http_deadline_ms(kms->timeout_ms);
	bh_status status = state == BH_KMS_ENABLED
				   ? ask(kms, "POST", "keys", "/soft-delete-restore", bh_view_str("{}"), deadline_ms, &json)
				   : ask(kms, "DELETE", "keys", "/soft-delete", bh_view_of(NULL, 0), deadline_ms, &json);

	if (status == BH_E_NOT_FOUND || status == BH_E_UNSUPPORTED)
		return bh_fail(
			BH_E_UNSUPPORTED,
			"CMK '%s': this server cannot disable a key (OpenBao can, by soft deletion); take it away by a policy",
			kms->uri);
	return status;
}

static bh_status list_one(const vault_kms *all, const char *name, bh_status (*each)(void *arg, const bh_kms_key_info *info),
			  void *arg)
{
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	bh_kms_key_info info = { 0 };
	vault_kms one = *all;

	if (bh_name_check("KMS key", name) != BH_OK)
		return BH_OK; /* no CMK of ours */
	snprintf(one.at.name, sizeof(one.at.name), "%s", name);
	BH_TRY(ask(&one, "GET", "keys", "", bh_view_of(NULL, 0), bh_http_deadline_ms(one.timeout_ms), &json));
	if (key_check(&one, json) != BH_OK)
		return BH_OK; /* a key for something else */
	info_fill(&one, json, &info);
	return each(arg, &info);
}

/* Vault sorts them. */
static bh_status vault_list(const char *uri, const bh_kms_options *options,
			    bh_status (*each)(void *arg, const bh_kms_key_info *info), void *arg)
{
	BH_CLEANUP(vault_closep) vault_kms *kms = NULL;
	BH_CLEANUP(bh_json_clear) json_t *json = NULL;
	char path[PATH_MAX_LEN];
	size_t index;
	const json_t *name;

	BH_TRY(vault_new(uri, options, false, &kms));
	snprintf(path, sizeof(path), "/v1/%s/keys?list=true", kms->at.mount);
	bh_status status = bh_vault_ask(kms->server, "GET", path, bh_view_of(NULL, 0), bh_http_deadline_ms(kms->timeout_ms), &json);
	if (status == BH_E_NOT_FOUND) /* there are none; or no such mount */
		return BH_OK;
	BH_TRY(bh_fail_prefix(status, "CMK '%s'", uri));
	json_array_foreach(bh_json_at(json, "data.keys"), index, name)
		BH_TRY(list_one(kms, json_string_value(name) != NULL ? json_string_value(name) : "", each, arg));
	return BH_OK;
}

/* Whatever is asked of them for, and on whichever loopback: by server, mount and name. */
static bool vault_same_key(const char *uri, const char *other)
{
	place a, b;

	return place_parse(uri, true, &a) == BH_OK && place_parse(other, true, &b) == BH_OK && strcmp(a.base, b.base) == 0 &&
	       strcmp(a.mount, b.mount) == 0 && strcmp(a.name, b.name) == 0;
}

#define VAULT_CALLS                                                                                                                \
	.size = sizeof(bh_kms_provider), .open = vault_open, .close = vault_close, .describe = vault_describe, .wrap = vault_wrap, \
	.unwrap = vault_unwrap, .destroy = vault_destroy, .same_key = vault_same_key, .create = vault_create,                      \
	.rotate = vault_rotate, .set_state = vault_set_state, .list = vault_list

const bh_kms_provider bh_kms_provider_vault = { .scheme = "vault", .example = "vault://HOST:PORT/MOUNT/keys/NAME", VAULT_CALLS };
const bh_kms_provider bh_kms_provider_vault_http = { .scheme = "vault+http",
						     .example = "vault+http://127.0.0.1:PORT/MOUNT/keys/NAME",
						     VAULT_CALLS };
