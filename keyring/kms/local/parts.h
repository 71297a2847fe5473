/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.h: the parts of the local KMS, as they see each other. Formats are in README.md.
 *
 *     root.c    the directory and its root key: a file or a passphrase, and the two keys derived from it
 *     key.c     one key's file: read, check, write
 *     change.c  what changes a key: the customer's console, and the end of a deletion window
 *     local.c   the provider: URIs, wrap, unwrap, list
 *
 * Invariants: a key's file is read anew for every operation, since another process may have disabled the key meanwhile; it is
 * changed only under the directory's lock file, and only by atomic replacement. No operation is answered from a key whose deletion
 * date has passed before its material is destroyed, durably.
 */
#ifndef BH_KMS_LOCAL_PARTS_H
#define BH_KMS_LOCAL_PARTS_H

#include "keyring/crypto/aead.h"
#include "keyring/base/io.h"
#include "keyring/kms/provider/provider.h"

#define BH_LOCAL_KEY_SUFFIX ".key.json"
#define BH_LOCAL_KEY_FILE_SIZE (BH_NAME_MAX + sizeof(BH_LOCAL_KEY_SUFFIX)) /* room for its name with the NUL */
#define BH_LOCAL_VERSIONS_MAX 4096
#define BH_LOCAL_SEALED_LEN (BH_DEK_LEN + BH_TAG_LEN)
#define BH_LOCAL_ROOT_ID_LEN 16
#define BH_LOCAL_REQUEST_ID_LEN 16 /* random bytes; in hex in the file and to the caller */
#define BH_LOCAL_HISTORY_MAX 64    /* changes that a key's file remembers, the newest */

/* What a directory's root key is used for; the root key itself is not kept. */
typedef struct bh_local_root {
	bh_secret seal_key;                    /* seals key material */
	bh_secret mac_key;                     /* authenticates key files */
	char id[2 * BH_LOCAL_ROOT_ID_LEN + 1]; /* tells "another root key" from "damaged" */
} bh_local_root;
void bh_local_root_clear(bh_local_root *root);

/* Errors: BH_E_KMS_REFUSED (wrong passphrase, none given, file too open), BH_E_FORMAT, BH_E_VERSION, BH_E_KMS_UNREACHABLE (I/O, or
 * there is none). `session` may be NULL. */
BH_MUST_CHECK bh_status bh_local_root_open(const bh_io_dir *dir, const bh_kms_options *options, bh_kms_session *session,
					   bh_local_root *out);
/* Whether there is one, of whatever content. Errors: BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_local_root_check(const bh_io_dir *dir);
/* As open, and makes the root where there is neither it nor any key. The caller holds the directory's lock. */
BH_MUST_CHECK bh_status bh_local_root_open_or_create(const bh_io_dir *dir, const bh_kms_options *options, bh_local_root *out);

typedef struct bh_local_version {
	int64_t created_at_s;
	uint8_t nonce[BH_NONCE_LEN];
	uint8_t sealed[BH_LOCAL_SEALED_LEN]; /* ciphertext and tag; no meaning in a destroyed key */
} bh_local_version;

typedef enum bh_local_change_kind {
	BH_LOCAL_CREATE = 1,
	BH_LOCAL_ROTATE = 2,
	BH_LOCAL_ENABLE = 3,
	BH_LOCAL_DISABLE = 4,
	BH_LOCAL_SCHEDULE = 5, /* its deletion */
	BH_LOCAL_DESTROY = 6,
} bh_local_change_kind;

typedef struct bh_local_change {
	int64_t at_s;
	bh_local_change_kind kind;
	char request_id[2 * BH_LOCAL_REQUEST_ID_LEN + 1];
} bh_local_change;

typedef struct bh_local_key {
	bh_kms_key_info info;       /* info.version is the number of versions, too: they count from 1 without gaps */
	bh_local_version *versions; /* owned; index = version - 1 */
	bh_local_change history[BH_LOCAL_HISTORY_MAX]; /* oldest first; info's last change is the last of them */
	size_t history_len;                            /* from 1 */
} bh_local_key;
void bh_local_key_clear(bh_local_key *key);

/* Errors: BH_E_NOT_FOUND, BH_E_TAG (changed, or another key's file), BH_E_KMS_REFUSED (other root key), BH_E_FORMAT, BH_E_VERSION,
 * BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_local_key_load(const bh_io_dir *dir, const bh_local_root *root, const char *name, bh_local_key *out);
/* Replaces the key's file, durably. The caller holds the directory's lock. */
BH_MUST_CHECK bh_status bh_local_key_store(const bh_io_dir *dir, const bh_local_root *root, const bh_local_key *key);
/* Notes a change in the history and in `info`. A NULL `request_id`: a fresh one. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_local_key_note(bh_local_key *key, bh_local_change_kind kind, int64_t at_s, const char *request_id);
/* Appends a version of fresh random material. */
BH_MUST_CHECK bh_status bh_local_key_add_version(const bh_local_root *root, bh_local_key *key, int64_t now_s);
/* The material of one version, from 1. */
BH_MUST_CHECK bh_status bh_local_key_material(const bh_local_root *root, const bh_local_key *key, uint32_t version, bh_secret *out);

typedef struct bh_local_kms {
	char *dir; /* owned */
	char name[BH_NAME_MAX + 1];
	bh_local_root root;
} bh_local_kms;

/* local.c: the directory, which must not be open to others' changes. BH_E_KMS_UNREACHABLE where there is none. */
BH_MUST_CHECK bh_status bh_local_dir_open(const char *path, bh_io_dir *out);
/* The same once a key has been opened, and its root is in memory: that one has to be there, too, so that the empty directory under
 * an unmounted disk is not taken for a KMS whose keys were removed. */
BH_MUST_CHECK bh_status bh_local_dir_reopen(const bh_local_kms *kms, bh_io_dir *out);

/* change.c */

/* The directory's lock file; held until the descriptor is closed. Errors: BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_local_dir_lock(const bh_io_dir *dir, int *fd_out);
/* The key as it is at this moment: loaded, and destroyed first if its deletion date has passed. The caller does not hold the lock.
 * Errors: those of bh_local_key_load(). */
BH_MUST_CHECK bh_status bh_local_key_now(const bh_io_dir *dir, const bh_local_root *root, const char *name, bh_local_key *out);
/* A new key with a first version in a directory that has a root. The caller holds the lock. Errors: BH_E_EXISTS, those of load. */
BH_MUST_CHECK bh_status bh_local_key_create(const bh_io_dir *dir, const bh_local_kms *kms, const char *region,
					    uint32_t deletion_window_s);
BH_MUST_CHECK bh_status bh_local_rotate(const bh_local_kms *kms, uint32_t *version_out);
BH_MUST_CHECK bh_status bh_local_set_state(const bh_local_kms *kms, bh_kms_key_state state);
BH_MUST_CHECK bh_status bh_local_destroy(const bh_local_kms *kms, bh_kms_evidence *out);

/* In a KMS, failing I/O means "no answer": BH_E_IO becomes BH_E_KMS_UNREACHABLE, the message stays. */
static inline bh_status bh_local_io(bh_status status)
{
	return status == BH_E_IO ? BH_E_KMS_UNREACHABLE : status;
}

#endif
