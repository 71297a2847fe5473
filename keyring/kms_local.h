/* SPDX-License-Identifier: Apache-2.0
 *
 * kms_local.h (private to kms_local*.c): the parts of the local KMS. Formats are in README.md.
 *
 *     kms_local_root.c   the root key of a directory: a file or a passphrase, and the two keys derived from it
 *     kms_local_key.c    one key's file: read, check, write
 *     kms_local.c        the provider: URIs, wrap, unwrap, the customer's console
 *
 * Invariants: a key's file is read anew for every operation, since another process may have disabled the key meanwhile; it is
 * changed only under the directory's lock file, and only by atomic replacement.
 */
#ifndef BH_KMS_LOCAL_H
#define BH_KMS_LOCAL_H

#include "aead.h"
#include "io.h"
#include "kms.h"

#define BH_LOCAL_KEY_SUFFIX ".key.json"
#define BH_LOCAL_KEY_FILE_SIZE (BH_NAME_MAX + sizeof(BH_LOCAL_KEY_SUFFIX)) /* room for its name with the NUL */
#define BH_LOCAL_VERSIONS_MAX 4096
#define BH_LOCAL_SEALED_LEN (BH_DEK_LEN + BH_TAG_LEN)
#define BH_LOCAL_ROOT_ID_LEN 16

/* What a directory's root key is used for; the root key itself is not kept. */
typedef struct bh_local_root {
	bh_secret seal_key;                    /* seals key material */
	bh_secret mac_key;                     /* authenticates key files */
	char id[2 * BH_LOCAL_ROOT_ID_LEN + 1]; /* tells "another root key" from "damaged" */
} bh_local_root;
void bh_local_root_clear(bh_local_root *root);

/* Errors: BH_E_NOT_FOUND, BH_E_KMS_REFUSED (wrong passphrase, none given, file too open), BH_E_FORMAT, BH_E_VERSION,
 * BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_local_root_open(const bh_io_dir *dir, const bh_kms_options *options, bh_local_root *out);
/* The same, and makes the root where there is neither it nor any key. The caller holds the directory's lock. */
BH_MUST_CHECK bh_status bh_local_root_open_or_create(const bh_io_dir *dir, const bh_kms_options *options, bh_local_root *out);

typedef struct bh_local_version {
	int64_t created_at_s;
	uint8_t nonce[BH_NONCE_LEN];
	uint8_t sealed[BH_LOCAL_SEALED_LEN]; /* ciphertext and tag; no meaning in a destroyed key */
} bh_local_version;

typedef struct bh_local_key {
	bh_kms_key_info info;       /* info.version is the number of versions, too: they count from 1 without gaps */
	bh_local_version *versions; /* owned; index = version - 1 */
} bh_local_key;
void bh_local_key_clear(bh_local_key *key);

/* Errors: BH_E_NOT_FOUND, BH_E_TAG (changed, or another key's file), BH_E_KMS_REFUSED (other root key), BH_E_FORMAT, BH_E_VERSION,
 * BH_E_KMS_UNREACHABLE. */
BH_MUST_CHECK bh_status bh_local_key_load(const bh_io_dir *dir, const bh_local_root *root, const char *name, bh_local_key *out);
/* Replaces the key's file, durably. The caller holds the directory's lock. */
BH_MUST_CHECK bh_status bh_local_key_store(const bh_io_dir *dir, const bh_local_root *root, const bh_local_key *key);
/* Appends a version of fresh random material. */
BH_MUST_CHECK bh_status bh_local_key_add_version(const bh_local_root *root, bh_local_key *key, int64_t now_s);
/* The material of one version, from 1. */
BH_MUST_CHECK bh_status bh_local_key_material(const bh_local_root *root, const bh_local_key *key, uint32_t version, bh_secret *out);

/* In a KMS, failing I/O means "no answer": BH_E_IO becomes BH_E_KMS_UNREACHABLE, the message stays. */
static inline bh_status bh_local_io(bh_status status)
{
	return status == BH_E_IO ? BH_E_KMS_UNREACHABLE : status;
}

#endif
