/* SPDX-License-Identifier: Apache-2.0
 *
 * key.c: one key of a local KMS: its JSON file, read and written side by side, and its material.
 *
 * The HMAC covers the canonical dump of the whole object (keys sorted, no white space) but itself, so no field, state included, can
 * be edited by who has not the root key. Read order: JSON, format, root key id, HMAC, name, use. Putting back an older file of the
 * same key is not detected: whoever can do that can as well put back the whole directory.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "keyring/base/crashpoint.h"
#include "keyring/crypto/kdf.h"
#include "parts.h"
#include "keyring/base/random.h"

#define KEY_FORMAT 1
#define KEY_FILE_MAX (2u << 20)

typedef json_t *json_ref;

static void json_clear(json_ref *json)
{
	json_decref(*json);
}

static void text_clear(char **text)
{
	free(*text);
}

void bh_local_key_clear(bh_local_key *key)
{
	free(key->versions);
	key->versions = NULL;
}

static void file_name(const char *key_name, char out[BH_LOCAL_KEY_FILE_SIZE])
{
	snprintf(out, BH_LOCAL_KEY_FILE_SIZE, "%s" BH_LOCAL_KEY_SUFFIX, key_name);
}

static const char *const state_names[] = {
	[BH_KMS_ENABLED] = "enabled",
	[BH_KMS_DISABLED] = "disabled",
	[BH_KMS_DESTROYED] = "destroyed",
	[BH_KMS_PENDING_DELETION] = "pending-deletion",
};

static const char *const change_names[] = {
	[BH_LOCAL_CREATE] = "create",   [BH_LOCAL_ROTATE] = "rotate",     [BH_LOCAL_ENABLE] = "enable",
	[BH_LOCAL_DISABLE] = "disable", [BH_LOCAL_SCHEDULE] = "schedule", [BH_LOCAL_DESTROY] = "destroy",
};

static bool state_parse(const char *name, bh_kms_key_state *out)
{
	for (int state = BH_KMS_ENABLED; state <= BH_KMS_PENDING_DELETION; state++) {
		if (strcmp(name, state_names[state]) == 0) {
			*out = (bh_kms_key_state)state;
			return true;
		}
	}
	return false;
}

/* HMAC over the canonical dump of `object`, which has no "mac" (any more). */
static bh_status object_mac(const bh_local_root *root, const json_t *object, uint8_t out[BH_SHA256_LEN])
{
	BH_CLEANUP(text_clear) char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to check a key file");

	bh_view part = bh_view_str(text);
	return bh_hmac(bh_secret_view(&root->mac_key), &part, 1, out);
}

static bh_status mac_check(const bh_local_root *root, json_t *object, const char *path)
{
	uint8_t stored[BH_SHA256_LEN], computed[BH_SHA256_LEN];
	const char *hex = json_string_value(json_object_get(object, "mac"));

	if (hex == NULL || bh_unhex(hex, stored, sizeof(stored)) != BH_OK)
		return bh_fail(BH_E_FORMAT, "%s: has no HMAC of the right form; restore it from a backup", path);
	json_object_del(object, "mac");
	BH_TRY(object_mac(root, object, computed));
	if (!bh_equal_ct(stored, computed, sizeof(stored)))
		return bh_fail(BH_E_TAG, "%s: HMAC differs: the file was changed by something other than this KMS", path);
	return BH_OK;
}

/* Versions: { "created_at": s, "material": hex, "nonce": hex }, the last two absent in a destroyed key. */

static bool version_decode(json_t *object, bool destroyed, bh_local_version *out)
{
	json_int_t created_at_s = 0;
	const char *nonce = NULL, *material = NULL;

	if (destroyed ? json_unpack(object, "{s:I !}", "created_at", &created_at_s) != 0
		      : json_unpack(object, "{s:I s:s s:s !}", "created_at", &created_at_s, "nonce", &nonce, "material",
				    &material) != 0)
		return false;
	out->created_at_s = created_at_s;
	return destroyed || (bh_unhex(nonce, out->nonce, sizeof(out->nonce)) == BH_OK &&
			     bh_unhex(material, out->sealed, sizeof(out->sealed)) == BH_OK);
}

static json_t *version_encode(const bh_local_version *version, bool destroyed)
{
	char nonce[2 * BH_NONCE_LEN + 1], material[2 * BH_LOCAL_SEALED_LEN + 1];

	if (destroyed)
		return json_pack("{s:I}", "created_at", (json_int_t)version->created_at_s);
	bh_hex(version->nonce, BH_NONCE_LEN, nonce);
	bh_hex(version->sealed, BH_LOCAL_SEALED_LEN, material);
	return json_pack("{s:I s:s s:s}", "created_at", (json_int_t)version->created_at_s, "nonce", nonce, "material", material);
}

static bh_status versions_decode(const json_t *array, const char *path, bh_local_key *key)
{
	size_t count = json_array_size(array);

	if (count == 0 || count > BH_LOCAL_VERSIONS_MAX)
		return bh_fail(BH_E_FORMAT, "%s: has %zu versions", path, count);
	key->versions = calloc(count, sizeof(*key->versions));
	if (key->versions == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory to read it", path);
	for (size_t i = 0; i < count; i++) {
		if (!version_decode(json_array_get(array, i), key->info.state == BH_KMS_DESTROYED, &key->versions[i]))
			return bh_fail(BH_E_FORMAT, "%s: version %zu has the wrong form", path, i + 1);
	}
	key->info.version = (uint32_t)count;
	return BH_OK;
}

static bh_status versions_encode(const bh_local_key *key, json_t *array)
{
	for (uint32_t i = 0; i < key->info.version; i++) {
		if (json_array_append_new(array, version_encode(&key->versions[i], key->info.state == BH_KMS_DESTROYED)) != 0)
			return bh_fail(BH_E_NOMEM, "key '%s': no memory to write it", key->info.name);
	}
	return BH_OK;
}

/* History: { "at": s, "change": name, "request": hex } */

bh_status bh_local_key_note(bh_local_key *key, bh_local_change_kind kind, int64_t at_s, const char *request_id)
{
	bh_local_change change = { .at_s = at_s, .kind = kind };
	uint8_t id[BH_LOCAL_REQUEST_ID_LEN];

	if (request_id != NULL) {
		memcpy(change.request_id, request_id, sizeof(change.request_id));
	} else {
		BH_TRY(bh_random(id, sizeof(id)));
		bh_hex(id, sizeof(id), change.request_id);
	}
	if (key->history_len == BH_LOCAL_HISTORY_MAX)
		memmove(key->history, key->history + 1, --key->history_len * sizeof(key->history[0]));
	key->history[key->history_len++] = change;
	key->info.changed_at_s = at_s;
	memcpy(key->info.request_id, change.request_id, sizeof(change.request_id));
	return BH_OK;
}

static bool change_decode(json_t *object, bh_local_change *out)
{
	uint8_t id[BH_LOCAL_REQUEST_ID_LEN];
	json_int_t at = 0;
	const char *name = NULL, *request = NULL;

	if (json_unpack(object, "{s:I s:s s:s !}", "at", &at, "change", &name, "request", &request) != 0 ||
	    bh_unhex(request, id, sizeof(id)) != BH_OK)
		return false;
	for (int kind = BH_LOCAL_CREATE; kind <= BH_LOCAL_DESTROY; kind++) {
		if (strcmp(name, change_names[kind]) == 0)
			out->kind = (bh_local_change_kind)kind;
	}
	out->at_s = at;
	memcpy(out->request_id, request, sizeof(out->request_id));
	return out->kind != 0;
}

static bh_status history_decode(const json_t *array, const char *path, bh_local_key *key)
{
	key->history_len = json_array_size(array);
	if (key->history_len == 0 || key->history_len > BH_LOCAL_HISTORY_MAX)
		return bh_fail(BH_E_FORMAT, "%s: has a history of %zu changes", path, key->history_len);
	for (size_t i = 0; i < key->history_len; i++) {
		if (!change_decode(json_array_get(array, i), &key->history[i]))
			return bh_fail(BH_E_FORMAT, "%s: change %zu of its history has the wrong form", path, i + 1);
	}
	const bh_local_change *last = &key->history[key->history_len - 1];
	key->info.changed_at_s = last->at_s;
	memcpy(key->info.request_id, last->request_id, sizeof(last->request_id));
	return BH_OK;
}

static bh_status history_encode(const bh_local_key *key, json_t *array)
{
	for (size_t i = 0; i < key->history_len; i++) {
		const bh_local_change *change = &key->history[i];
		if (json_array_append_new(array, json_pack("{s:I s:s s:s}", "at", (json_int_t)change->at_s, "change",
							   change_names[change->kind], "request", change->request_id)) != 0)
			return bh_fail(BH_E_NOMEM, "key '%s': no memory to write it", key->info.name);
	}
	return BH_OK;
}

/* The object */

/* What the HMAC covers. */
static bh_status fields_decode(json_t *object, const char *name, const char *path, bh_local_key *out)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	int format = 0;
	json_int_t created = 0, window = 0, scheduled = 0;
	const char *stored_name = NULL, *region = NULL, *state = NULL, *root_id = NULL;
	json_t *history = NULL, *versions = NULL;

	if (json_unpack(object, "{s:i s:s s:s s:s s:s s:I s:I s:I s:o s:o !}", "format", &format, "root", &root_id, "name",
			&stored_name, "region", &region, "state", &state, "created_at", &created, "deletion_window", &window,
			"scheduled_at", &scheduled, "history", &history, "versions", &versions) != 0 ||
	    !state_parse(state, &key.info.state) || strlen(region) >= sizeof(key.info.region) || window < 0 || window > UINT32_MAX)
		return bh_fail(BH_E_FORMAT, "%s: fields are missing or of the wrong kind", path);
	if (strcmp(stored_name, name) != 0)
		return bh_fail(BH_E_TAG, "%s: holds key '%s': files were swapped", path, stored_name);
	snprintf(key.info.name, sizeof(key.info.name), "%s", name);
	snprintf(key.info.region, sizeof(key.info.region), "%s", region);
	key.info.created_at_s = created;
	key.info.deletion_window_s = (uint32_t)window;
	key.info.scheduled_s = scheduled;
	BH_TRY(history_decode(history, path, &key));
	BH_TRY(versions_decode(versions, path, &key));
	*out = key;
	key.versions = NULL;
	return BH_OK;
}

static bh_status object_decode(const bh_local_root *root, json_t *object, const char *name, const char *path, bh_local_key *out)
{
	const char *root_id = NULL;
	int format = 0;

	if (json_unpack(object, "{s:i s:s}", "format", &format, "root", &root_id) != 0)
		return bh_fail(BH_E_FORMAT, "%s: not a key file; restore it from a backup", path);
	if (format != KEY_FORMAT)
		return bh_fail(BH_E_VERSION, "%s: format %d; this build knows %d", path, format, KEY_FORMAT);
	if (strcmp(root_id, root->id) != 0)
		return bh_fail(BH_E_KMS_REFUSED, "%s: belongs to another root key than the one in its directory", path);
	BH_TRY(mac_check(root, object, path));
	return fields_decode(object, name, path, out);
}

static bh_status object_encode(const bh_local_root *root, const bh_local_key *key, json_t **out)
{
	const bh_kms_key_info *info = &key->info;
	uint8_t mac[BH_SHA256_LEN];
	char mac_hex[2 * BH_SHA256_LEN + 1];
	BH_CLEANUP(json_clear)
	json_ref object = json_pack("{s:i s:s s:s s:s s:s s:I s:I s:I s:[] s:[]}", "format", KEY_FORMAT, "root", root->id, "name",
				    info->name, "region", info->region, "state", state_names[info->state], "created_at",
				    (json_int_t)info->created_at_s, "deletion_window", (json_int_t)info->deletion_window_s,
				    "scheduled_at", (json_int_t)info->scheduled_s, "history", "versions");

	if (object == NULL)
		return bh_fail(BH_E_NOMEM, "key '%s': no memory to write it", info->name);
	BH_TRY(history_encode(key, json_object_get(object, "history")));
	BH_TRY(versions_encode(key, json_object_get(object, "versions")));
	BH_TRY(object_mac(root, object, mac));
	bh_hex(mac, sizeof(mac), mac_hex);
	if (json_object_set_new(object, "mac", json_string(mac_hex)) != 0)
		return bh_fail(BH_E_NOMEM, "key '%s': no memory to write it", info->name);
	*out = json_incref(object);
	return BH_OK;
}

bh_status bh_local_key_load(const bh_io_dir *dir, const bh_local_root *root, const char *name, bh_local_key *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(json_clear) json_ref object = NULL;
	char file[BH_LOCAL_KEY_FILE_SIZE];

	file_name(name, file);
	BH_TRY(bh_buf_printf(&path, "%s/%s", dir->path, file));
	BH_TRY(bh_buf_append_u8(&path, 0));
	bh_status status = bh_local_io(bh_io_read_file(dir, file, KEY_FILE_MAX, &text));
	if (status == BH_E_NOT_FOUND)
		return bh_fail(status,
			       "local KMS %s: has no key '%s'; 'bhctl kms create local:%s#%s' makes one, 'bhctl kms list local:%s' "
			       "lists those that there are",
			       dir->path, name, dir->path, name, dir->path);
	BH_TRY(status);
	object = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (object == NULL)
		return bh_fail(BH_E_FORMAT, "%s: not JSON; restore it from a backup", (const char *)path.data);
	return object_decode(root, object, name, (const char *)path.data, out);
}

bh_status bh_local_key_store(const bh_io_dir *dir, const bh_local_root *root, const bh_local_key *key)
{
	BH_CLEANUP(json_clear) json_ref object = NULL;
	BH_CLEANUP(text_clear) char *text = NULL;
	char file[BH_LOCAL_KEY_FILE_SIZE];

	BH_TRY(object_encode(root, key, &object));
	text = json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS);
	if (text == NULL)
		return bh_fail(BH_E_NOMEM, "key '%s': no memory to write it", key->info.name);
	file_name(key->info.name, file);
	BH_TRY(bh_local_io(bh_io_write_file(dir, "key.tmp", bh_view_str(text))));
	bh_crash_point("kms-local.store.tmp-synced");
	BH_TRY(bh_local_io(bh_io_rename(dir, "key.tmp", file)));
	bh_crash_point("kms-local.store.renamed");
	return bh_local_io(bh_io_dir_sync(dir));
}

/* Material: sealed with the key's name and the version's number as associated data, so it opens in no other place. */

static bh_status material_aad(const char *name, uint32_t version, bh_buf *out)
{
	return bh_buf_printf(out, "key=%s\nversion=%u\n", name, version);
}

bh_status bh_local_key_add_version(const bh_local_root *root, bh_local_key *key, int64_t now_s)
{
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;
	BH_CLEANUP(bh_secret_clear) bh_secret material = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf aad = { 0 };
	bh_local_version version = { .created_at_s = now_s };

	if (key->info.version >= BH_LOCAL_VERSIONS_MAX)
		return bh_fail(BH_E_KMS_REFUSED, "key '%s': has %u versions, the most a local key can have", key->info.name,
			       key->info.version);
	BH_TRY(bh_secret_random(&material, BH_DEK_LEN));
	BH_TRY(bh_random(version.nonce, sizeof(version.nonce)));
	BH_TRY(material_aad(key->info.name, key->info.version + 1, &aad));
	BH_TRY(bh_aead_new(NULL, bh_secret_view(&root->seal_key), &aead));
	BH_TRY(bh_aead_seal(aead, version.nonce, bh_buf_view(&aad), material.data, BH_DEK_LEN, version.sealed,
			    version.sealed + BH_DEK_LEN));

	bh_local_version *versions = realloc(key->versions, (key->info.version + 1) * sizeof(*versions));
	if (versions == NULL)
		return bh_fail(BH_E_NOMEM, "key '%s': no memory for another version", key->info.name);
	versions[key->info.version++] = version;
	key->versions = versions;
	return BH_OK;
}

bh_status bh_local_key_material(const bh_local_root *root, const bh_local_key *key, uint32_t version, bh_secret *out)
{
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;
	BH_CLEANUP(bh_secret_clear) bh_secret material = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf aad = { 0 };
	const bh_local_version *v = &key->versions[version - 1];

	BH_TRY(material_aad(key->info.name, version, &aad));
	BH_TRY(bh_aead_new(NULL, bh_secret_view(&root->seal_key), &aead));
	BH_TRY(bh_secret_init(&material, BH_DEK_LEN));
	BH_TRY(bh_aead_open(aead, v->nonce, bh_buf_view(&aad), v->sealed, BH_DEK_LEN, v->sealed + BH_DEK_LEN, material.data));
	*out = bh_secret_take(&material);
	return BH_OK;
}
