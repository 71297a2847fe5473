/* SPDX-License-Identifier: Apache-2.0
 *
 * header.h: the first 4096 bytes of every sealed file, and the keys derived from it. Byte table in README.md.
 *
 * Order on read: length, magic, version, suite, checksum (damage is told from a wrong key), zero padding, DEK by id, key
 * commitment, tag, use. A file without this header is refused, never read as plaintext.
 */
#ifndef BH_HEADER_H
#define BH_HEADER_H

#include "keyring/crypto/aead.h"
#include "keyring/crypto/kdf.h"
#include "scopes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_HEADER_LEN 4096u
/* What lies in it, of a stream. */
#define BH_SYNC_MARK_OFFSET 512u /* of the sync mark in the header page */
#define BH_SYNC_MARK_LEN 48u     /* one sector: written whole or not at all */
/* Of a physical page, of a paged file. */
#define BH_PAGE_SIZE_MIN 512u
#define BH_PAGE_SIZE_MAX 65536u /* powers of two between */
#define BH_FORMAT_VERSION 3u
#define BH_SUITE_AES256GCM 1u /* AES-256-GCM pages, frames and sections of frames, HKDF-SHA256 */

typedef enum bh_file_kind {
	BH_KIND_SST = 1,      /* sealed pages */
	BH_KIND_BLOB = 2,     /* sealed pages */
	BH_KIND_WAL = 3,      /* sealed stream with spans */
	BH_KIND_MANIFEST = 4, /* sealed stream with spans */
	BH_KIND_OTHER = 5,    /* sealed stream: CURRENT, IDENTITY, OPTIONS, temporary files */
} bh_file_kind;
const char *bh_file_kind_name(bh_file_kind kind);
static inline bool bh_file_kind_is_paged(bh_file_kind kind)
{
	return kind == BH_KIND_SST || kind == BH_KIND_BLOB;
}

/* Nonce domains: byte 0 of a nonce; bytes 1..3 zero, bytes 4..11 a big-endian counter. One key, no nonce twice. */
enum {
	BH_NONCE_UNIT = 0,      /* page index, or frame number */
	BH_NONCE_LAST_PAGE = 1, /* index of the last page of a file */
	BH_NONCE_HEADER = 2,    /* counter 0 */
	BH_NONCE_SYNC = 3,      /* sequence number of the sync mark */
	BH_NONCE_FAMILY = 4,    /* frame number; under a family's key */
};
void bh_nonce(uint8_t domain, uint64_t counter, uint8_t out[BH_NONCE_LEN]);

typedef struct bh_header {
	bh_file_kind kind;
	uint32_t page_size; /* bytes of a physical page; 0 in streams */
	uint64_t number; /* bound to the name: file number of WAL, MANIFEST and blob files, XXH3-64 of the name of a small file; 0
			    where the name says nothing (SST) */
	uint8_t salt[BH_SALT_LEN];
	uint8_t dek_id[BH_ID_LEN];
} bh_header;

/* What a header and its DEK give: the file's AEAD context. `dek` is counted. */
typedef struct bh_file_key {
	bh_header header;
	bh_dek *dek;
	bh_aead *aead;
} bh_file_key;
void bh_file_key_clear(bh_file_key *key); /* wipes; NULL-safe, idempotent */

/* A fresh file under `dek`: random salt, derived key, and the BH_HEADER_LEN header bytes to write first (sync area zero).
 * Errors: BH_E_INVALID (page size), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_header_create(bh_file_kind kind, uint32_t page_size, uint64_t number, bh_dek *dek, bh_file_key *key_out,
					 uint8_t header_out[BH_HEADER_LEN]);

/* Parses without keys: for dump and sizes. Errors: BH_E_TRUNCATED, BH_E_FORMAT (no magic; checksum; non-zero
 * padding; kind; page size), BH_E_VERSION (version, suite). The sync mark's slot of a stream is not looked at. */
/* Whether these are the first bytes of a sealed file, by its magic alone. */
bool bh_header_begins(bh_view bytes);
BH_MUST_CHECK bh_status bh_header_parse(bh_view bytes, bh_header *out);

/* Parses, finds the DEK, checks commitment and tag, derives the file's key.
 * Further errors: those of dek_by_id; BH_E_NO_KEY "wrong key" (commitment differs); BH_E_TAG. */
BH_MUST_CHECK bh_status bh_header_open(bh_view bytes, const bh_scopes *scopes, bh_file_key *key_out);

/* The key of a column family's sections in the file with this header. Errors: BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_family_key(const bh_dek *dek, const bh_header *header, uint32_t cf_id, bh_aead **out);

#ifdef __cplusplus
}
#endif
#endif
