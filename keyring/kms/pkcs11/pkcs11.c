/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11.c: see pkcs11.h. A CMK is an AES key of 256 bits in the token, or several of one label, which are its versions. A
 * version's number is its CKA_ID, as a big-endian number of 1 to 4 bytes, where its owner has made it; made here, the first 12
 * bytes of SHA-256 of the label come before a number of 4, since some tokens (NSS) let a key replace another one of the same id.
 * A URI that gives an id names that one key, which is version 1.
 *
 * A wrap: u8 format = 1, u8 mechanism, u32 version, then what the mechanism makes (mechanism.h).
 *
 * Thread-safety: `self` is immutable after open; the token is shared.
 */
#include "pkcs11.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keyring/crypto/kdf.h"
#include "mechanism.h"

#define WRAP_FORMAT 1
#define WRAP_HEAD_LEN (1 + 1 + 4)
#define VERSIONS_MAX 256
#define ID_LEN 16

typedef struct p11_kms {
	char uri[BH_KMS_URI_MAX + 1];
	bh_p11_place place;
	bh_p11_token *token;
} p11_kms;

/* A version of the CMK. */
typedef struct key {
	CK_OBJECT_HANDLE handle;
	uint32_t version;
} key;

static const char *key_name(const bh_p11_place *place)
{
	return place->object[0] != '\0' ? place->object : "key";
}

/* ---- open, close */

static void p11_close(void *self)
{
	p11_kms *kms = self;

	bh_p11_token_unref(kms->token);
	free(kms);
}

static void p11_closep(p11_kms **kms)
{
	if (*kms != NULL)
		p11_close(*kms);
}

static bh_status p11_new(const char *uri, p11_kms **out)
{
	BH_CLEANUP(p11_closep) p11_kms *kms = calloc(1, sizeof(*kms));

	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to open a PKCS#11 key");
	BH_TRY(bh_p11_place_parse(uri, &kms->place));
	snprintf(kms->uri, sizeof(kms->uri), "%s", uri);
	BH_TRY(bh_fail_prefix(bh_p11_token_get(&kms->place, &kms->token), "CMK '%s'", uri));
	*out = kms;
	kms = NULL;
	return BH_OK;
}

/* As whom: the token's user, by its label. */
static bh_status session_open(const p11_kms *kms, bool for_writing, bh_p11_session *out)
{
	char name[64];

	snprintf(name, sizeof(name), "token=%.40s", kms->place.label[0] != '\0' ? kms->place.label : kms->place.serial);
	bh_kms_principal_set(name);
	return bh_fail_prefix(bh_p11_session_open(kms->token, for_writing, out), "CMK '%s'", kms->uri);
}

/* ---- keys */

/* Encode and decode side by side. */

static bh_status id_of_version(const bh_p11_place *place, uint32_t version, uint8_t out[ID_LEN])
{
	uint8_t digest[BH_SHA256_LEN];

	BH_TRY(bh_sha256(bh_view_str(place->object), digest));
	memcpy(out, digest, ID_LEN - 4);
	for (int i = 0; i < 4; i++)
		out[ID_LEN - 4 + i] = (uint8_t)(version >> (24 - 8 * i));
	return BH_OK;
}

/* *out: 0 where the id is no version's. */
static bh_status version_of_id(const bh_p11_place *place, const uint8_t *id, size_t len, uint32_t *out)
{
	uint8_t ours[ID_LEN];
	size_t from = len == ID_LEN ? ID_LEN - 4 : 0;
	uint32_t version = 0;

	BH_TRY(id_of_version(place, 0, ours));
	bool is = len == ID_LEN ? memcmp(id, ours, ID_LEN - 4) == 0 : len >= 1 && len <= 4;
	for (size_t i = from; is && i < len; i++)
		version = version << 8 | id[i];
	*out = version;
	return BH_OK;
}

/* Its version, 0 where its id is no number; and that it is of 256 bits, where the token tells. */
static bh_status key_read(const bh_p11_place *place, const bh_p11_session *s, CK_OBJECT_HANDLE handle, uint32_t *version_out)
{
	uint8_t id[BH_P11_ID_MAX];
	CK_ULONG len = BH_DEK_LEN;
	CK_ATTRIBUTE id_of = { CKA_ID, id, sizeof(id) }, len_of = { CKA_VALUE_LEN, &len, sizeof(len) };
	CK_RV rv = s->module->C_GetAttributeValue(s->handle, handle, &id_of, 1);

	if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL)
		return bh_p11_error(rv, "C_GetAttributeValue");
	if (rv == CKR_OK)
		BH_TRY(version_of_id(place, id, BH_MIN(id_of.ulValueLen, sizeof(id)), version_out));
	if (s->module->C_GetAttributeValue(s->handle, handle, &len_of, 1) == CKR_OK && len != BH_DEK_LEN)
		return bh_fail(BH_E_UNSUPPORTED, "the key is of %lu bits; AES of 256 bits is needed", len * 8);
	return BH_OK;
}

/* All of the CMK's versions, in no order. */
static bh_status handles_find(const p11_kms *kms, const bh_p11_session *s, CK_OBJECT_HANDLE *handles, CK_ULONG *count_out)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	bh_p11_place place = kms->place; /* PKCS#11 wants to be able to write */
	CK_ATTRIBUTE template[4] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) } };
	CK_ULONG count = 2;

	if (place.object[0] != '\0')
		template[count++] = (CK_ATTRIBUTE){ CKA_LABEL, place.object, strlen(place.object) };
	if (place.id_len != 0)
		template[count++] = (CK_ATTRIBUTE){ CKA_ID, place.id, place.id_len };
	CK_RV rv = s->module->C_FindObjectsInit(s->handle, template, count);
	if (rv != CKR_OK)
		return bh_p11_error(rv, "C_FindObjectsInit");
	rv = s->module->C_FindObjects(s->handle, handles, VERSIONS_MAX, count_out);
	s->module->C_FindObjectsFinal(s->handle);
	return rv == CKR_OK ? BH_OK : bh_p11_error(rv, "C_FindObjects");
}

/* A session that has lost its login sees no private keys: that says nothing of the key. */
static bh_status none_found(const p11_kms *kms, const bh_p11_session *s)
{
	if (!bh_p11_session_is_whole(kms->token, s))
		return bh_fail(BH_E_KMS_UNREACHABLE, "the token has lost its login; the next call makes it again");
	return bh_fail(BH_E_NOT_FOUND,
		       "there is no AES key '%s' in the token: its owner makes it, or `bhctl kms create` where the PIN may",
		       key_name(&kms->place));
}

static bh_status versions_check(const p11_kms *kms, const key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (keys[i].version == 0)
			return bh_fail(BH_E_UNSUPPORTED,
				       "%zu keys are called '%s', and their ids are no version numbers: name one by its id=%%..",
				       count, key_name(&kms->place));
		for (size_t j = 0; j < i; j++)
			if (keys[j].version == keys[i].version)
				return bh_fail(BH_E_UNSUPPORTED, "two keys are called '%s' and have the same id: give one another",
					       key_name(&kms->place));
	}
	return BH_OK;
}

static bh_status keys_read(const p11_kms *kms, const bh_p11_session *s, key *keys, size_t *count_out)
{
	CK_OBJECT_HANDLE handles[VERSIONS_MAX];
	CK_ULONG count = 0;

	BH_TRY(handles_find(kms, s, handles, &count));
	if (count == 0)
		return none_found(kms, s);
	for (CK_ULONG i = 0; i < count; i++) {
		keys[i] = (key){ .handle = handles[i] };
		BH_TRY(key_read(&kms->place, s, handles[i], &keys[i].version));
	}
	if (count == 1 && (kms->place.id_len != 0 || keys[0].version == 0))
		keys[0].version = 1;
	*count_out = count;
	return versions_check(kms, keys, count);
}

static bh_status keys_find(const p11_kms *kms, const bh_p11_session *s, key *keys, size_t *count_out)
{
	return bh_fail_prefix(keys_read(kms, s, keys, count_out), "CMK '%s'", kms->uri);
}

static key newest_of(const key *keys, size_t count)
{
	key newest = keys[0];

	for (size_t i = 1; i < count; i++)
		if (keys[i].version > newest.version)
			newest = keys[i];
	return newest;
}

static bh_status p11_open(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out)
{
	BH_CLEANUP(p11_closep) p11_kms *kms = NULL;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;

	(void)options;
	(void)session;
	BH_TRY(p11_new(uri, &kms));
	BH_TRY(session_open(kms, false, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	*self_out = kms;
	kms = NULL;
	return BH_OK;
}

/* ---- wrap and unwrap: encode and decode side by side */

static bh_status p11_wrap(void *self, const uint8_t *dek, bh_view context, bh_kms_wrapped *out)
{
	const p11_kms *kms = self;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;

	BH_TRY(session_open(kms, false, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	key newest = newest_of(keys, count);
	uint8_t mechanism = bh_p11_mechanism(&s);
	if (mechanism == 0)
		return bh_fail(BH_E_UNSUPPORTED, "CMK '%s': the token has neither CKM_AES_GCM nor CKM_AES_KEY_WRAP_PAD", kms->uri);
	out->bytes[0] = WRAP_FORMAT;
	out->bytes[1] = mechanism;
	bh_put_u32(out->bytes + 2, newest.version);
	out->version = newest.version;
	out->len = WRAP_HEAD_LEN + bh_p11_sealed_len(mechanism);
	return bh_fail_prefix(bh_p11_seal(&s, mechanism, newest.handle, dek, context, out->bytes + WRAP_HEAD_LEN), "CMK '%s'",
			      kms->uri);
}

static bh_status wrap_check(bh_view wrapped)
{
	if (wrapped.len > 0 && wrapped.data[0] != WRAP_FORMAT)
		return bh_fail(BH_E_VERSION, "wrap of format %u; this build knows %d", wrapped.data[0], WRAP_FORMAT);
	if (wrapped.len < WRAP_HEAD_LEN)
		return bh_fail(BH_E_FORMAT, "wrap of %zu bytes", wrapped.len);
	if (bh_p11_sealed_len(wrapped.data[1]) == 0)
		return bh_fail(BH_E_VERSION, "wrap of mechanism %u, which this build does not know", wrapped.data[1]);
	size_t want = WRAP_HEAD_LEN + bh_p11_sealed_len(wrapped.data[1]);
	return wrapped.len == want ? BH_OK : bh_fail(BH_E_FORMAT, "wrap of %zu bytes, not %zu", wrapped.len, want);
}

static bh_status open_with(const bh_p11_session *s, const key *keys, size_t count, bh_view wrapped, bh_view context,
			   uint8_t *dek_out)
{
	uint32_t version = bh_get_u32(wrapped.data + 2);
	size_t i = 0;

	while (i < count && keys[i].version != version)
		i++;
	if (i == count)
		return bh_fail(BH_E_TAG, "wrap of version %u, which the key does not have: damaged, or another key's", version);
	return bh_p11_unseal(s, wrapped.data[1], keys[i].handle, wrapped.data + WRAP_HEAD_LEN, context, dek_out);
}

static bh_status p11_unwrap(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out)
{
	const p11_kms *kms = self;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;

	BH_TRY(bh_fail_prefix(wrap_check(wrapped), "CMK '%s'", kms->uri));
	BH_TRY(session_open(kms, false, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	return bh_fail_prefix(open_with(&s, keys, count, wrapped, context, dek_out), "CMK '%s'", kms->uri);
}

/* ---- describe, and the owner's console */

static bh_status p11_describe(void *self, bh_kms_key_info *out)
{
	const p11_kms *kms = self;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;
	bool works = false;

	BH_TRY(session_open(kms, false, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	key newest = newest_of(keys, count);
	BH_TRY(bh_fail_prefix(bh_p11_may_work(&s, newest.handle, &works), "CMK '%s'", kms->uri));
	snprintf(out->name, sizeof(out->name), "%.64s", key_name(&kms->place));
	snprintf(out->region, sizeof(out->region), "%s", kms->place.region);
	out->state = works ? BH_KMS_ENABLED : BH_KMS_DISABLED;
	out->version = newest.version;
	return BH_OK;
}

/* Never extractable: not even its owner gets it out. */
static bh_status generate(const p11_kms *kms, const bh_p11_session *s, uint32_t version)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ULONG len = BH_DEK_LEN;
	bh_p11_place place = kms->place;
	uint8_t id[ID_LEN];
	CK_ATTRIBUTE template[] = {
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &yes, sizeof(yes) },
		{ CKA_EXTRACTABLE, &no, sizeof(no) },
		{ bh_p11_use_to_wrap(s), &yes, sizeof(yes) },
		{ bh_p11_use_to_unwrap(s), &yes, sizeof(yes) },
		{ CKA_VALUE_LEN, &len, sizeof(len) },
		{ CKA_LABEL, place.object, strlen(place.object) },
		{ CKA_ID, id, sizeof(id) },
	};
	CK_OBJECT_HANDLE handle;

	BH_TRY(id_of_version(&place, version, id));
	CK_RV rv = s->module->C_GenerateKey(s->handle, &mechanism, template, sizeof(template) / sizeof(template[0]), &handle);

	return rv == CKR_OK ? BH_OK : bh_p11_error(rv, "C_GenerateKey");
}

static bh_status needs_label(const p11_kms *kms)
{
	return kms->place.id_len == 0
		       ? BH_OK
		       : bh_fail(BH_E_INVALID, "CMK '%s': a key that is made, or rotated, is named by object= alone", kms->uri);
}

static bh_status p11_create(const char *uri, const char *region, const bh_kms_options *options)
{
	BH_CLEANUP(p11_closep) p11_kms *kms = NULL;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;

	BH_TRY(p11_new(uri, &kms));
	BH_TRY(needs_label(kms));
	if (options->deletion_window_s != 0)
		return bh_fail(BH_E_UNSUPPORTED, "CMK '%s': a token knows no deletion window", uri);
	if (region[0] != '\0' && strcmp(region, kms->place.region) != 0)
		return bh_fail(BH_E_INVALID, "CMK '%s': a token's keys have no region of their own: add region=%s to the query",
			       uri, region);
	BH_TRY(session_open(kms, true, &s));
	bh_status status = keys_find(kms, &s, keys, &count);
	if (status == BH_OK)
		return bh_fail(BH_E_EXISTS, "CMK '%s': is there already", uri);
	if (status != BH_E_NOT_FOUND)
		return status;
	return bh_fail_prefix(generate(kms, &s, 1), "CMK '%s'", uri);
}

static bh_status p11_rotate(void *self, uint32_t *version_out)
{
	const p11_kms *kms = self;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;

	BH_TRY(needs_label(kms));
	BH_TRY(session_open(kms, true, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	if (count >= VERSIONS_MAX - 1)
		return bh_fail(BH_E_FULL, "CMK '%s': has %zu versions, which are the most", kms->uri, count);
	uint32_t version = newest_of(keys, count).version + 1;
	BH_TRY(bh_fail_prefix(generate(kms, &s, version), "CMK '%s'", kms->uri));
	*version_out = version;
	return BH_OK;
}

static bh_status p11_set_state(void *self, bh_kms_key_state state)
{
	const p11_kms *kms = self;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	CK_BBOOL may = state == BH_KMS_ENABLED ? CK_TRUE : CK_FALSE;
	key keys[VERSIONS_MAX];
	size_t count = 0;

	BH_TRY(session_open(kms, true, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	CK_ATTRIBUTE attributes[] = { { bh_p11_use_to_wrap(&s), &may, sizeof(may) },
				      { bh_p11_use_to_unwrap(&s), &may, sizeof(may) } };
	for (size_t i = 0; i < count; i++) {
		CK_RV rv = s.module->C_SetAttributeValue(s.handle, keys[i].handle, attributes, 2);
		if (rv != CKR_OK)
			return bh_fail_prefix(bh_p11_error(rv, "C_SetAttributeValue"), "CMK '%s'", kms->uri);
	}
	return BH_OK;
}

/* All versions, and then a look that none is left. */
static bh_status p11_destroy(void *self, bh_kms_evidence *out)
{
	const p11_kms *kms = self;
	BH_CLEANUP(bh_p11_session_close) bh_p11_session s = { 0 };
	key keys[VERSIONS_MAX];
	size_t count = 0;

	BH_TRY(session_open(kms, true, &s));
	BH_TRY(keys_find(kms, &s, keys, &count));
	for (size_t i = 0; i < count; i++) {
		CK_RV rv = s.module->C_DestroyObject(s.handle, keys[i].handle);
		if (rv != CKR_OK)
			return bh_fail_prefix(bh_p11_error(rv, "C_DestroyObject"), "CMK '%s'", kms->uri);
	}
	bh_status status = keys_find(kms, &s, keys, &count);
	if (status == BH_OK)
		return bh_fail(BH_E_KMS_REFUSED, "CMK '%s': was to be destroyed, and is still there", kms->uri);
	if (status != BH_E_NOT_FOUND)
		return status;
	out->state = BH_KMS_DESTROYED;
	out->at_s = (int64_t)time(NULL);
	return BH_OK;
}

/* By token and key, however they are asked for. */
static bool p11_same_key(const char *uri, const char *other)
{
	bh_p11_place a, b;

	return bh_p11_place_parse(uri, &a) == BH_OK && bh_p11_place_parse(other, &b) == BH_OK && strcmp(a.module, b.module) == 0 &&
	       strcmp(a.label, b.label) == 0 && strcmp(a.serial, b.serial) == 0 && strcmp(a.object, b.object) == 0 &&
	       a.id_len == b.id_len && memcmp(a.id, b.id, a.id_len) == 0;
}

const bh_kms_provider bh_kms_provider_pkcs11 = {
	.size = sizeof(bh_kms_provider),
	.scheme = "pkcs11",
	.example = "pkcs11:token=T;object=K?module-path=/M.so&pin-source=file:/P",
	.console = "with the token's own tools",
	.open = p11_open,
	.close = p11_close,
	.describe = p11_describe,
	.wrap = p11_wrap,
	.unwrap = p11_unwrap,
	.destroy = p11_destroy,
	.same_key = p11_same_key,
	.create = p11_create,
	.rotate = p11_rotate,
	.set_state = p11_set_state,
};
