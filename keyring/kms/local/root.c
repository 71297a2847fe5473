/* SPDX-License-Identifier: Apache-2.0
 *
 * root.c: the root key of a local KMS directory.
 *
 * A directory is one of two kinds for life, told by which file is there: root.key (32 random bytes, mode 0600) or root.json (scrypt
 * parameters, RFC 7914, for a passphrase). A root is made only in a directory that holds no key: keys whose root is lost stay lost,
 * they are not quietly put beside a new one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "keyring/crypto/kdf.h"
#include "parts.h"
#include "keyring/kms/provider/session.h"
#include "keyring/base/random.h"

#define ROOT_KEY "root.key"
#define ROOT_JSON "root.json"
#define ROOT_TMP "root.tmp"
#define ROOT_FORMAT 1
#define SCRYPT_N 32768
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_MEM_MAX (64u << 20)
#define ROOT_JSON_MAX 4096
#define DERIVE_SALT "bulkhead/1/local-kms"

_Static_assert(BH_KMS_SESSION_TAG_LEN == BH_SALT_LEN + BH_SHA256_LEN, "a session finds a root by its salt and check value");

void bh_local_root_clear(bh_local_root *root)
{
	bh_secret_clear(&root->seal_key);
	bh_secret_clear(&root->mac_key);
}

static bh_status derive(const bh_secret *secret, bh_local_root *out)
{
	BH_CLEANUP(bh_local_root_clear) bh_local_root root = { 0 };
	bh_view ikm = bh_secret_view(secret);
	bh_view salt = bh_view_str(DERIVE_SALT);
	uint8_t id[BH_LOCAL_ROOT_ID_LEN];

	BH_TRY(bh_hkdf_secret(ikm, salt, bh_view_str("seal"), BH_DEK_LEN, &root.seal_key));
	BH_TRY(bh_hkdf_secret(ikm, salt, bh_view_str("mac"), BH_DEK_LEN, &root.mac_key));
	BH_TRY(bh_hkdf(ikm, salt, bh_view_str("id"), id, sizeof(id)));
	bh_hex(id, sizeof(id), out->id);
	out->seal_key = bh_secret_take(&root.seal_key);
	out->mac_key = bh_secret_take(&root.mac_key);
	return BH_OK;
}

static const char *passphrase_of(const bh_kms_options *options)
{
	const char *passphrase = options->passphrase != NULL ? options->passphrase : getenv("BULKHEAD_KMS_PASSPHRASE");

	return passphrase != NULL && passphrase[0] != '\0' ? passphrase : NULL;
}

/* root.key */

static bh_status key_file_open(const bh_io_dir *dir, bh_local_root *out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	uint64_t size;
	mode_t mode;

	BH_TRY(bh_local_io(bh_io_open(dir, ROOT_KEY, O_RDONLY, &fd, &size, &mode)));
	if ((mode & ~(mode_t)0600) != 0)
		return bh_fail(BH_E_KMS_REFUSED, "%s/" ROOT_KEY ": mode %04o lets others read it; chmod 600 it if nobody has",
			       dir->path, (unsigned)mode);
	if (size != BH_DEK_LEN)
		return bh_fail(BH_E_FORMAT, "%s/" ROOT_KEY ": %llu bytes, not %d: restore it from a backup", dir->path,
			       (unsigned long long)size, BH_DEK_LEN);
	BH_TRY(bh_secret_init(&secret, BH_DEK_LEN));
	BH_TRY(bh_local_io(bh_io_read_at(fd, ROOT_KEY, 0, secret.data, secret.len)));
	return derive(&secret, out);
}

static bh_status key_file_create(const bh_io_dir *dir, bh_local_root *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };

	BH_TRY(bh_secret_random(&secret, BH_DEK_LEN));
	BH_TRY(bh_local_io(bh_io_write_file(dir, ROOT_TMP, bh_secret_view(&secret))));
	BH_TRY(bh_local_io(bh_io_rename(dir, ROOT_TMP, ROOT_KEY)));
	BH_TRY(bh_local_io(bh_io_dir_sync(dir)));
	return derive(&secret, out);
}

/* root.json */

static bh_status scrypt(const char *passphrase, const uint8_t salt[BH_SALT_LEN], bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };

	BH_TRY(bh_secret_init(&secret, BH_DEK_LEN));
	if (EVP_PBE_scrypt(passphrase, strlen(passphrase), salt, BH_SALT_LEN, SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MEM_MAX,
			   secret.data, secret.len) != 1)
		return bh_fail(BH_E_CRYPTO, "scrypt failed; it needs 32 MiB of memory");
	*out = bh_secret_take(&secret);
	return BH_OK;
}

/* The check value: derived beside the keys, so that a wrong passphrase is told before any key file is looked at. */
static bh_status check_value(const bh_secret *secret, uint8_t out[BH_SHA256_LEN])
{
	return bh_hkdf(bh_secret_view(secret), bh_view_str(DERIVE_SALT), bh_view_str("check"), out, BH_SHA256_LEN);
}

static bh_status root_json_decode(const bh_io_dir *dir, const json_t *json, uint8_t salt[BH_SALT_LEN], uint8_t check[BH_SHA256_LEN])
{
	int format = 0, n = 0, r = 0, p = 0;
	const char *kdf = NULL, *salt_hex = NULL, *check_hex = NULL;
	json_t *root = (json_t *)(uintptr_t)json; /* json_unpack() takes no const */

	if (json_unpack(root, "{s:i}", "format", &format) != 0)
		return bh_fail(BH_E_FORMAT, "%s/" ROOT_JSON ": not a root file: restore it from a backup", dir->path);
	if (format != ROOT_FORMAT)
		return bh_fail(BH_E_VERSION, "%s/" ROOT_JSON ": format %d; this build knows %d", dir->path, format, ROOT_FORMAT);
	if (json_unpack(root, "{s:i s:s s:i s:i s:i s:s s:s !}", "format", &format, "kdf", &kdf, "n", &n, "r", &r, "p", &p, "salt",
			&salt_hex, "check", &check_hex) != 0)
		return bh_fail(BH_E_FORMAT, "%s/" ROOT_JSON ": fields are missing or of the wrong kind", dir->path);
	if (strcmp(kdf, "scrypt") != 0 || n != SCRYPT_N || r != SCRYPT_R || p != SCRYPT_P)
		return bh_fail(BH_E_VERSION, "%s/" ROOT_JSON ": %s with n=%d r=%d p=%d is not what format %d has", dir->path, kdf,
			       n, r, p, ROOT_FORMAT);
	if (bh_unhex(salt_hex, salt, BH_SALT_LEN) != BH_OK || bh_unhex(check_hex, check, BH_SHA256_LEN) != BH_OK)
		return bh_fail(BH_E_FORMAT, "%s/" ROOT_JSON ": salt or check value is not hex of the right length", dir->path);
	return BH_OK;
}

static bh_status root_json_read(const bh_io_dir *dir, uint8_t salt[BH_SALT_LEN], uint8_t check[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };

	BH_TRY(bh_local_io(bh_io_read_file(dir, ROOT_JSON, ROOT_JSON_MAX, &text)));
	json_t *json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	bh_status status = json != NULL ? root_json_decode(dir, json, salt, check)
					: bh_fail(BH_E_FORMAT, "%s/" ROOT_JSON ": not JSON: restore it from a backup", dir->path);
	json_decref(json);
	return status;
}

static bh_status passphrase_open(const bh_io_dir *dir, const char *passphrase, bh_kms_session *session, bh_local_root *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	uint8_t salt[BH_SALT_LEN], stored[BH_SHA256_LEN], check[BH_SHA256_LEN], tag[BH_KMS_SESSION_TAG_LEN];

	BH_TRY(root_json_read(dir, salt, stored));
	memcpy(tag, salt, BH_SALT_LEN);
	memcpy(tag + BH_SALT_LEN, stored, BH_SHA256_LEN);
	if (bh_kms_session_find(session, tag, &secret))
		return derive(&secret, out);
	if (passphrase == NULL)
		return bh_fail(BH_E_KMS_REFUSED,
			       "local KMS %s: is under a passphrase and none was given; set BULKHEAD_KMS_PASSPHRASE", dir->path);
	BH_TRY(scrypt(passphrase, salt, &secret));
	BH_TRY(check_value(&secret, check));
	if (!bh_equal_ct(stored, check, sizeof(check)))
		return bh_fail(BH_E_KMS_REFUSED, "local KMS %s: wrong passphrase", dir->path);
	bh_kms_session_keep(session, tag, &secret);
	return derive(&secret, out);
}

static bh_status root_json_write(const bh_io_dir *dir, const uint8_t salt[BH_SALT_LEN], const uint8_t check[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	char salt_hex[2 * BH_SALT_LEN + 1], check_hex[2 * BH_SHA256_LEN + 1];

	bh_hex(salt, BH_SALT_LEN, salt_hex);
	bh_hex(check, BH_SHA256_LEN, check_hex);
	BH_TRY(bh_buf_printf(&text,
			     "{\n  \"format\": %d,\n  \"kdf\": \"scrypt\",\n  \"n\": %d,\n  \"r\": %d,\n  \"p\": %d,\n"
			     "  \"salt\": \"%s\",\n  \"check\": \"%s\"\n}\n",
			     ROOT_FORMAT, SCRYPT_N, SCRYPT_R, SCRYPT_P, salt_hex, check_hex));
	BH_TRY(bh_local_io(bh_io_write_file(dir, ROOT_TMP, bh_buf_view(&text))));
	BH_TRY(bh_local_io(bh_io_rename(dir, ROOT_TMP, ROOT_JSON)));
	return bh_local_io(bh_io_dir_sync(dir));
}

static bh_status passphrase_create(const bh_io_dir *dir, const char *passphrase, bh_local_root *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	uint8_t salt[BH_SALT_LEN], check[BH_SHA256_LEN];

	BH_TRY(bh_random(salt, sizeof(salt)));
	BH_TRY(scrypt(passphrase, salt, &secret));
	BH_TRY(check_value(&secret, check));
	BH_TRY(root_json_write(dir, salt, check));
	return derive(&secret, out);
}

/* Which of the two kinds */

static bh_status exists(const bh_io_dir *dir, const char *name, bool *out)
{
	struct stat st;

	*out = fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*out && errno != ENOENT)
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s/%s: cannot be looked at: %s", dir->path, name, strerror(errno));
	return BH_OK;
}

static bh_status holds_keys(const bh_io_dir *dir, bool *out)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	if (stream == NULL) {
		bh_io_closep(&fd);
		return bh_fail(BH_E_KMS_UNREACHABLE, "local KMS %s: cannot read the directory: %s", dir->path, strerror(errno));
	}
	*out = false;
	for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		size_t len = strlen(entry->d_name);
		size_t suffix = strlen(BH_LOCAL_KEY_SUFFIX);
		if (len > suffix && strcmp(entry->d_name + len - suffix, BH_LOCAL_KEY_SUFFIX) == 0)
			*out = true;
	}
	closedir(stream);
	return BH_OK;
}

static bh_status no_root(const bh_io_dir *dir)
{
	return bh_fail(BH_E_KMS_UNREACHABLE,
		       "local KMS %s: has no root key: it is not mounted, it was never set up, or its " ROOT_KEY " or " ROOT_JSON
		       " is lost",
		       dir->path);
}

bh_status bh_local_root_check(const bh_io_dir *dir)
{
	bool key = false, json = false;

	BH_TRY(exists(dir, ROOT_KEY, &key));
	BH_TRY(exists(dir, ROOT_JSON, &json));
	return key || json ? BH_OK : no_root(dir);
}

bh_status bh_local_root_open(const bh_io_dir *dir, const bh_kms_options *options, bh_kms_session *session, bh_local_root *out)
{
	bool key = false, json = false;

	BH_TRY(exists(dir, ROOT_KEY, &key));
	BH_TRY(exists(dir, ROOT_JSON, &json));
	if (key && json)
		return bh_fail(BH_E_FORMAT,
			       "local KMS %s: has both " ROOT_KEY " and " ROOT_JSON "; remove the one that was put there",
			       dir->path);
	if (key)
		return key_file_open(dir, out);
	if (json)
		return passphrase_open(dir, passphrase_of(options), session, out);
	return no_root(dir);
}

bh_status bh_local_root_open_or_create(const bh_io_dir *dir, const bh_kms_options *options, bh_local_root *out)
{
	const char *passphrase = passphrase_of(options);
	bool key = false, json = false, keys = false;

	BH_TRY(exists(dir, ROOT_KEY, &key));
	BH_TRY(exists(dir, ROOT_JSON, &json));
	if (key || json)
		return bh_local_root_open(dir, options, NULL, out);
	BH_TRY(holds_keys(dir, &keys));
	if (keys)
		return bh_fail(BH_E_NOT_FOUND,
			       "local KMS %s: holds keys but their root key is gone; restore " ROOT_KEY " or " ROOT_JSON,
			       dir->path);
	return passphrase != NULL ? passphrase_create(dir, passphrase, out) : key_file_create(dir, out);
}

/* The directory */

bh_status bh_local_dir_open(const char *path, bh_io_dir *out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	bh_status status;
	struct stat st;

	status = bh_local_io(bh_io_dir_open(path, &dir));
	if (status == BH_E_NOT_FOUND) /* which says nothing of the keys in it */
		return bh_fail(BH_E_KMS_UNREACHABLE, "local KMS %s: does not exist: it is not mounted, or was never set up", path);
	BH_TRY(bh_fail_prefix(status, "local KMS"));
	if (fstat(dir.fd, &st) != 0)
		return bh_fail(BH_E_KMS_UNREACHABLE, "local KMS %s: cannot be looked at: %s", path, strerror(errno));
	if ((st.st_mode & 0022) != 0)
		return bh_fail(BH_E_KMS_REFUSED, "local KMS %s: mode %04o lets others change it; chmod 700 it if nobody has", path,
			       (unsigned)(st.st_mode & 07777));
	*out = dir;
	dir = (bh_io_dir)BH_IO_DIR_CLOSED;
	return BH_OK;
}

bh_status bh_local_dir_reopen(const bh_local_kms *kms, bh_io_dir *out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;

	BH_TRY(bh_local_dir_open(kms->dir, &dir));
	BH_TRY(bh_local_root_check(&dir));
	*out = dir;
	dir = (bh_io_dir)BH_IO_DIR_CLOSED;
	return BH_OK;
}
