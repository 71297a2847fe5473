/* SPDX-License-Identifier: Apache-2.0
 *
 * local.c: the provider of local:DIR#KEY. Honest about what it is: whoever reads DIR (and knows the passphrase, where there is
 * one) has the keys. It stands in for a KMS in development and on air-gapped hosts, with the same states and the same ways to say
 * no.
 *
 * A wrap: u8 format = 1, u32 key version, 12-byte nonce, 32-byte ciphertext, 16-byte tag; AES-256-GCM under the version's material,
 * with the encryption context as associated data.
 *
 * Thread-safety: `self` is immutable after open; changes are serialised between threads and processes by the directory's lock file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keyring/crypto/kdf.h"
#include "local.h"
#include "parts.h"
#include "keyring/base/random.h"

#define WRAP_FORMAT 1
#define WRAP_HEAD_LEN (1 + 4 + BH_NONCE_LEN)
#define WRAP_LEN (WRAP_HEAD_LEN + BH_DEK_LEN + BH_TAG_LEN)

/* URIs: local:DIR#KEY, split at the last '#'. */

static bh_status uri_dir(const char *uri, char **dir_out)
{
	const char *dir = strchr(uri, ':') + 1;
	const char *hash = strrchr(dir, '#');
	size_t len = hash != NULL ? (size_t)(hash - dir) : strlen(dir);

	if (len == 0)
		return bh_fail(BH_E_INVALID, "CMK URI '%s': names no directory; it looks like local:DIR#KEY", uri);
	*dir_out = strndup(dir, len);
	return *dir_out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "CMK URI '%s': no memory to read it", uri);
}

static bh_status uri_key(const char *uri, char out[BH_NAME_MAX + 1])
{
	const char *hash = strrchr(uri, '#');

	if (hash == NULL)
		return bh_fail(BH_E_INVALID, "CMK URI '%s': names no key; it looks like local:DIR#KEY", uri);
	BH_TRY(bh_name_check("KMS key", hash + 1));
	memcpy(out, hash + 1, strlen(hash + 1) + 1);
	return BH_OK;
}

/* Directories */

static bh_status parent_sync(const char *path)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir parent = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf up = { 0 };

	BH_TRY(bh_buf_printf(&up, "%s/..", path));
	BH_TRY(bh_buf_append_u8(&up, 0));
	BH_TRY(bh_io_dir_open((const char *)up.data, &parent));
	return bh_io_dir_sync(&parent);
}

static bh_status dir_make(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return bh_local_io(parent_sync(path));
	if (errno == EEXIST)
		return BH_OK;
	if (errno == ENOENT)
		return bh_fail(BH_E_NOT_FOUND, "local KMS %s: the directory above it does not exist", path);
	return bh_fail(BH_E_KMS_UNREACHABLE, "local KMS %s: cannot be made: %s", path, strerror(errno));
}

/* Open, close, describe */

static void local_close(void *self)
{
	bh_local_kms *kms = self;

	bh_local_root_clear(&kms->root);
	free(kms->dir);
	free(kms);
}

static void local_closep(bh_local_kms **kms)
{
	if (*kms != NULL)
		local_close(*kms);
}

static bh_status local_open(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	BH_CLEANUP(local_closep) bh_local_kms *kms = calloc(1, sizeof(*kms));

	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	BH_TRY(uri_key(uri, kms->name));
	BH_TRY(uri_dir(uri, &kms->dir));
	BH_TRY(bh_local_dir_open(kms->dir, &dir));
	BH_TRY(bh_local_root_open(&dir, options, session, &kms->root));
	BH_TRY(bh_local_key_now(&dir, &kms->root, kms->name, &key));
	*self_out = kms;
	kms = NULL;
	return BH_OK;
}

static bh_status key_reload(const bh_local_kms *kms, bh_local_key *out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;

	BH_TRY(bh_local_dir_reopen(kms, &dir));
	return bh_local_key_now(&dir, &kms->root, kms->name, out);
}

static bh_status local_describe(void *self, bh_kms_key_info *out)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };

	BH_TRY(key_reload(self, &key));
	*out = key.info;
	return BH_OK;
}

/* Wrap and unwrap: encode and decode side by side */

/* The state of this moment, read from disk, has to be "enabled". */
static bh_status key_reload_enabled(const bh_local_kms *kms, bh_local_key *out)
{
	BH_TRY(key_reload(kms, out));
	if (out->info.state == BH_KMS_DISABLED)
		return bh_fail(BH_E_KMS_REFUSED, "CMK 'local:%s#%s': is disabled; its owner can enable it", kms->dir, kms->name);
	if (out->info.state == BH_KMS_PENDING_DELETION)
		return bh_fail(BH_E_KMS_REFUSED,
			       "CMK 'local:%s#%s': is to be destroyed %lld s from now; its owner can enable it until then",
			       kms->dir, kms->name, (long long)(out->info.scheduled_s - (int64_t)time(NULL)));
	if (out->info.state == BH_KMS_DESTROYED)
		return bh_fail(BH_E_KMS_REFUSED, "CMK 'local:%s#%s': is destroyed; what it wrapped is lost for good", kms->dir,
			       kms->name);
	return BH_OK;
}

static bh_status material_aead(const bh_local_kms *kms, const bh_local_key *key, uint32_t version, bh_aead **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret material = { 0 };

	BH_TRY(bh_fail_prefix(bh_local_key_material(&kms->root, key, version, &material), "CMK 'local:%s#%s'", kms->dir,
			      kms->name));
	return bh_aead_new(NULL, bh_secret_view(&material), out);
}

static bh_status local_wrap(void *self, const uint8_t *dek, bh_view context, bh_kms_wrapped *out)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;
	uint8_t *blob = out->bytes;

	BH_TRY(key_reload_enabled(self, &key));
	BH_TRY(material_aead(self, &key, key.info.version, &aead));
	blob[0] = WRAP_FORMAT;
	bh_put_u32(blob + 1, key.info.version);
	BH_TRY(bh_random(blob + 5, BH_NONCE_LEN));
	BH_TRY(bh_aead_seal(aead, blob + 5, context, dek, BH_DEK_LEN, blob + WRAP_HEAD_LEN, blob + WRAP_HEAD_LEN + BH_DEK_LEN));
	out->len = WRAP_LEN;
	out->version = key.info.version;
	return BH_OK;
}

static bh_status local_unwrap(void *self, bh_view wrapped, bh_view context, uint8_t *dek_out)
{
	const bh_local_kms *kms = self;
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;

	BH_TRY(key_reload_enabled(kms, &key));
	if (wrapped.len > 0 && wrapped.data[0] != WRAP_FORMAT)
		return bh_fail(BH_E_VERSION, "CMK 'local:%s#%s': wrap of format %u; this build knows %d", kms->dir, kms->name,
			       wrapped.data[0], WRAP_FORMAT);
	if (wrapped.len != WRAP_LEN)
		return bh_fail(BH_E_FORMAT, "CMK 'local:%s#%s': wrap of %zu bytes, not %d", kms->dir, kms->name, wrapped.len,
			       WRAP_LEN);

	uint32_t version = bh_get_u32(wrapped.data + 1);
	if (version == 0 || version > key.info.version)
		return bh_fail(BH_E_TAG,
			       "CMK 'local:%s#%s': wrap of version %u, which the key does not have: damaged, or another key's",
			       kms->dir, kms->name, version);
	BH_TRY(material_aead(kms, &key, version, &aead));
	if (bh_aead_open(aead, wrapped.data + 5, context, wrapped.data + WRAP_HEAD_LEN, BH_DEK_LEN,
			 wrapped.data + WRAP_HEAD_LEN + BH_DEK_LEN, dek_out) != BH_OK)
		return bh_fail(BH_E_TAG, "CMK 'local:%s#%s': wrap does not open: damaged, another key's, or of another context",
			       kms->dir, kms->name);
	return BH_OK;
}

/* The customer's console */

static bh_status local_rotate(void *self, uint32_t *version_out)
{
	return bh_local_rotate(self, version_out);
}

static bh_status local_set_state(void *self, bh_kms_key_state state)
{
	return bh_local_set_state(self, state);
}

static bh_status local_destroy(void *self, bh_kms_evidence *out)
{
	return bh_local_destroy(self, out);
}

static bh_status local_create(const char *uri, const char *region, const bh_kms_options *options)
{
	BH_CLEANUP(local_closep) bh_local_kms *kms = calloc(1, sizeof(*kms));
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_io_closep) int lock = -1;

	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to create it", uri);
	BH_TRY(uri_key(uri, kms->name));
	BH_TRY(uri_dir(uri, &kms->dir));
	BH_TRY(dir_make(kms->dir));
	BH_TRY(bh_local_dir_open(kms->dir, &dir));
	BH_TRY(bh_local_dir_lock(&dir, &lock));
	BH_TRY(bh_local_root_open_or_create(&dir, options, &kms->root));
	return bh_local_key_create(&dir, kms, region, options->deletion_window_s);
}

/* List */

static int is_key_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), suffix = strlen(BH_LOCAL_KEY_SUFFIX);

	return len > suffix && len - suffix <= BH_NAME_MAX && strcmp(entry->d_name + len - suffix, BH_LOCAL_KEY_SUFFIX) == 0;
}

/* By key name, not by file name: "a" comes before "a-b" though ".key.json" sorts after "-". */
static int by_key_name(const struct dirent **a, const struct dirent **b)
{
	size_t a_len = strlen((*a)->d_name) - strlen(BH_LOCAL_KEY_SUFFIX);
	size_t b_len = strlen((*b)->d_name) - strlen(BH_LOCAL_KEY_SUFFIX);
	int order = memcmp((*a)->d_name, (*b)->d_name, BH_MIN(a_len, b_len));

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static bh_status list_one(const bh_io_dir *dir, const bh_local_root *root, const char *file,
			  bh_status (*each)(void *arg, const bh_kms_key_info *info), void *arg)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	char name[BH_NAME_MAX + 1] = { 0 };

	memcpy(name, file, strlen(file) - strlen(BH_LOCAL_KEY_SUFFIX));
	if (bh_name_check("KMS key", name) != BH_OK)
		return BH_OK; /* a file of somebody else's */
	BH_TRY(bh_local_key_now(dir, root, name, &key));
	return each(arg, &key.info);
}

static bh_status local_list(const char *uri, const bh_kms_options *options,
			    bh_status (*each)(void *arg, const bh_kms_key_info *info), void *arg)
{
	BH_CLEANUP(local_closep) bh_local_kms *kms = calloc(1, sizeof(*kms));
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	struct dirent **files = NULL;

	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "KMS '%s': no memory to list it", uri);
	BH_TRY(uri_dir(uri, &kms->dir));
	BH_TRY(bh_local_dir_open(kms->dir, &dir));
	BH_TRY(bh_local_root_open(&dir, options, NULL, &kms->root));
	int count = scandir(kms->dir, &files, is_key_file, by_key_name);
	if (count < 0)
		return bh_fail(BH_E_KMS_UNREACHABLE, "local KMS %s: cannot read the directory: %s", kms->dir, strerror(errno));

	bh_status status = BH_OK;
	for (int i = 0; i < count; i++) {
		if (status == BH_OK)
			status = list_one(&dir, &kms->root, files[i]->d_name, each, arg);
		free(files[i]);
	}
	free(files);
	return status;
}

/* Same key? By the directory itself: one directory has many paths. */

static bool uri_stat(const char *uri, char key[BH_NAME_MAX + 1], struct stat *out)
{
	char *dir = NULL;
	bool found = uri_key(uri, key) == BH_OK && uri_dir(uri, &dir) == BH_OK && stat(dir, out) == 0;

	free(dir);
	return found;
}

static bool local_same_key(const char *uri, const char *other)
{
	char key[BH_NAME_MAX + 1], other_key[BH_NAME_MAX + 1];
	struct stat st, other_st;

	return uri_stat(uri, key, &st) && uri_stat(other, other_key, &other_st) && strcmp(key, other_key) == 0 &&
	       st.st_dev == other_st.st_dev && st.st_ino == other_st.st_ino;
}

const bh_kms_provider bh_kms_provider_local = {
	.size = sizeof(bh_kms_provider),
	.scheme = "local",
	.example = "local:DIR#KEY",
	.open = local_open,
	.close = local_close,
	.create = local_create,
	.describe = local_describe,
	.wrap = local_wrap,
	.unwrap = local_unwrap,
	.rotate = local_rotate,
	.set_state = local_set_state,
	.destroy = local_destroy,
	.list = local_list,
	.same_key = local_same_key,
};
