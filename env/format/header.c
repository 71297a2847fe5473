/* SPDX-License-Identifier: Apache-2.0
 *
 * header.c: header.h. Encode and decode of the header stand side by side; the byte table is in README.md.
 *
 * Key schedule (RFC 5869, HKDF-SHA256): ikm = DEK, salt = the file's salt,
 *     info = "bulkhead/1/file" 00 || header bytes 8..24 || encryption context    -> 32 bytes file key || 32 bytes key commitment
 *     info = "bulkhead/1/family" 00 || header bytes 8..24 || u32 family id || encryption context    -> 32 bytes family key
 * GCM does not commit to its key; the commitment does, so a header opens under one key alone.
 */
#include <endian.h>
#include "header.h"
#include "keyring/base/random.h"

#include <xxhash.h>

#define MAGIC "BULKHEAD"
#define FILE_KEY_LEN 32
#define COMMITMENT_LEN 32

/* Offsets. */
enum {
	AT_VERSION = 8,
	AT_KIND = 10,
	AT_SUITE = 11,
	AT_PAGE_SIZE = 12,
	AT_NUMBER = 16,
	AT_SALT = 24,
	AT_DEK_ID = 56,
	AT_COMMITMENT = 72,
	AT_TAG = 104,
	AT_CHECKSUM = 120,
	AT_PADDING = 128,
};
#define BOUND_FIELDS_LEN (AT_SALT - AT_VERSION) /* version .. number go into the key */

static const char file_info[] = "bulkhead/1/file";
static const char family_info[] = "bulkhead/1/family";

const char *bh_file_kind_name(bh_file_kind kind)
{
	static const char *const names[] = {
		[BH_KIND_SST] = "sst",           [BH_KIND_BLOB] = "blob",   [BH_KIND_WAL] = "wal",
		[BH_KIND_MANIFEST] = "manifest", [BH_KIND_OTHER] = "other",
	};

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) && names[kind] ? names[kind] : "unknown";
}

void bh_nonce(uint8_t domain, uint64_t counter, uint8_t out[BH_NONCE_LEN])
{
	const uint64_t big_endian = htobe64(counter);

	out[0] = domain;
	memset(out + 1, 0, 3);
	memcpy(out + 4, &big_endian, sizeof(big_endian));
}

void bh_file_key_clear(bh_file_key *key)
{
	if (!key)
		return;
	bh_aead_free(key->aead);
	bh_dek_unref(key->dek);
	bh_wipe(key, sizeof(*key));
}

static bool page_size_is_valid(bh_file_kind kind, uint32_t page_size)
{
	if (!bh_file_kind_is_paged(kind))
		return page_size == 0;
	return page_size >= BH_PAGE_SIZE_MIN && page_size <= BH_PAGE_SIZE_MAX && (page_size & (page_size - 1)) == 0;
}

static bool all_zero(const uint8_t *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* The sync mark's slot is the stream reader's to check. */
static bool padding_is_zero(const uint8_t *header, bh_file_kind kind)
{
	const size_t mark_end = BH_SYNC_MARK_OFFSET + BH_SYNC_MARK_LEN;

	if (bh_file_kind_is_paged(kind))
		return all_zero(header + AT_PADDING, BH_HEADER_LEN - AT_PADDING);
	return all_zero(header + AT_PADDING, BH_SYNC_MARK_OFFSET - AT_PADDING) &&
	       all_zero(header + mark_end, BH_HEADER_LEN - mark_end);
}

/* Tells damage from a missing or wrong key, where no key is at hand. Proves nothing against an attacker: the tag does. */
static uint64_t checksum(const uint8_t *header)
{
	return XXH3_64bits(header, AT_CHECKSUM);
}

static bh_status derive(const bh_dek *dek, const char *label, size_t label_size, bh_view fields, const uint8_t salt[BH_SALT_LEN],
			size_t len, bh_secret *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf info = { 0 };
	bh_view context = bh_dek_context(dek);

	BH_TRY(bh_buf_append(&info, label, label_size)); /* with its NUL */
	BH_TRY(bh_buf_append(&info, fields.data, fields.len));
	BH_TRY(bh_buf_append(&info, context.data, context.len));
	return bh_hkdf_secret(bh_dek_key(dek), bh_view_of(salt, BH_SALT_LEN), bh_buf_view(&info), len, out);
}

static bh_status derive_file_key(const bh_dek *dek, const uint8_t *header, bh_secret *okm_out)
{
	return derive(dek, file_info, sizeof(file_info), bh_view_of(header + AT_VERSION, BOUND_FIELDS_LEN), header + AT_SALT,
		      FILE_KEY_LEN + COMMITMENT_LEN, okm_out);
}

static void put_fields(const bh_header *h, uint8_t *p)
{
	memset(p, 0, BH_HEADER_LEN);
	memcpy(p, MAGIC, AT_VERSION);
	bh_put_u16(p + AT_VERSION, BH_FORMAT_VERSION);
	p[AT_KIND] = (uint8_t)h->kind;
	p[AT_SUITE] = BH_SUITE_AES256GCM;
	bh_put_u32(p + AT_PAGE_SIZE, h->page_size);
	bh_put_u64(p + AT_NUMBER, h->number);
	memcpy(p + AT_SALT, h->salt, BH_SALT_LEN);
	memcpy(p + AT_DEK_ID, h->dek_id, BH_ID_LEN);
}

bh_status bh_family_key(const bh_dek *dek, const bh_header *header, uint32_t cf_id, bh_aead **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	uint8_t bytes[BH_HEADER_LEN], fields[BOUND_FIELDS_LEN + 4];

	put_fields(header, bytes);
	memcpy(fields, bytes + AT_VERSION, BOUND_FIELDS_LEN);
	bh_put_u32(fields + BOUND_FIELDS_LEN, cf_id);
	BH_TRY(derive(dek, family_info, sizeof(family_info), bh_view_of(fields, sizeof(fields)), header->salt, BH_DEK_LEN, &key));
	return bh_aead_new(NULL, bh_secret_view(&key), out);
}

static void get_fields(const uint8_t *p, bh_header *h)
{
	h->kind = (bh_file_kind)p[AT_KIND];
	h->page_size = bh_get_u32(p + AT_PAGE_SIZE);
	h->number = bh_get_u64(p + AT_NUMBER);
	memcpy(h->salt, p + AT_SALT, BH_SALT_LEN);
	memcpy(h->dek_id, p + AT_DEK_ID, BH_ID_LEN);
}

bh_status bh_header_create(bh_file_kind kind, uint32_t page_size, uint64_t number, bh_dek *dek, bh_file_key *key_out,
			   uint8_t header_out[BH_HEADER_LEN])
{
	BH_CLEANUP(bh_secret_clear) bh_secret okm = { 0 };
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { .header = { .kind = kind, .page_size = page_size, .number = number } };
	uint8_t header[BH_HEADER_LEN], nonce[BH_NONCE_LEN];

	if (!page_size_is_valid(kind, page_size))
		return bh_fail(BH_E_INVALID, "page size %u does not fit a %s file", page_size, bh_file_kind_name(kind));
	BH_TRY(bh_random(key.header.salt, BH_SALT_LEN));
	memcpy(key.header.dek_id, bh_dek_id(dek), BH_ID_LEN);
	put_fields(&key.header, header);
	BH_TRY(derive_file_key(dek, header, &okm));
	BH_TRY(bh_aead_new(NULL, bh_view_of(okm.data, FILE_KEY_LEN), &key.aead));
	memcpy(header + AT_COMMITMENT, okm.data + FILE_KEY_LEN, COMMITMENT_LEN);
	bh_nonce(BH_NONCE_HEADER, 0, nonce);
	BH_TRY(bh_aead_seal(key.aead, nonce, bh_view_of(header, AT_TAG), NULL, 0, NULL, header + AT_TAG));
	bh_put_u64(header + AT_CHECKSUM, checksum(header));

	key.dek = bh_dek_ref(dek);
	*key_out = key;
	memset(&key, 0, sizeof(key));
	memcpy(header_out, header, BH_HEADER_LEN);
	return BH_OK;
}

bool bh_header_begins(bh_view bytes)
{
	return bytes.len >= AT_VERSION && memcmp(bytes.data, MAGIC, AT_VERSION) == 0;
}

bh_status bh_header_parse(bh_view bytes, bh_header *out)
{
	const uint8_t *p = bytes.data;
	bh_header h;

	if (bytes.len < BH_HEADER_LEN)
		return bh_fail(BH_E_TRUNCATED, "%zu bytes where a header of %u is due: cut off, or never finished", bytes.len,
			       BH_HEADER_LEN);
	if (memcmp(p, MAGIC, AT_VERSION) != 0)
		return bh_fail(BH_E_FORMAT,
			       "no Bulkhead header: not sealed, or its first bytes are damaged; it is not read as plaintext");
	if (bh_get_u16(p + AT_VERSION) != BH_FORMAT_VERSION)
		return bh_fail(BH_E_VERSION, "file format version %u; this build knows %u: use a newer build",
			       bh_get_u16(p + AT_VERSION), BH_FORMAT_VERSION);
	if (p[AT_SUITE] != BH_SUITE_AES256GCM)
		return bh_fail(BH_E_VERSION, "cipher suite %u; this build knows %u", p[AT_SUITE], BH_SUITE_AES256GCM);
	if (bh_get_u64(p + AT_CHECKSUM) != checksum(p))
		return bh_fail(BH_E_FORMAT, "the header is damaged (its checksum differs): restore the file from a backup");

	get_fields(p, &h);
	if (h.kind < BH_KIND_SST || h.kind > BH_KIND_OTHER || !page_size_is_valid(h.kind, h.page_size))
		return bh_fail(BH_E_FORMAT, "header of kind %u with page size %u", (unsigned)h.kind, h.page_size);
	if (!padding_is_zero(p, h.kind))
		return bh_fail(BH_E_FORMAT, "the header is damaged (its padding is not zero)");
	*out = h;
	return BH_OK;
}

/* The key that `dek` gives for this header, once the header has proved to be made under it. */
static bh_status open_with(const uint8_t *header, const bh_dek *dek, bh_aead **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret okm = { 0 };
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;
	uint8_t nonce[BH_NONCE_LEN];

	BH_TRY(derive_file_key(dek, header, &okm));
	if (!bh_equal_ct(okm.data + FILE_KEY_LEN, header + AT_COMMITMENT, COMMITMENT_LEN))
		return bh_fail(BH_E_NO_KEY, "wrong key: the header was not made under this DEK");
	BH_TRY(bh_aead_new(NULL, bh_view_of(okm.data, FILE_KEY_LEN), &aead));
	bh_nonce(BH_NONCE_HEADER, 0, nonce);
	BH_TRY(bh_aead_open(aead, nonce, bh_view_of(header, AT_TAG), NULL, 0, header + AT_TAG, NULL));
	*out = aead;
	aead = NULL;
	return BH_OK;
}

bh_status bh_header_open(bh_view bytes, const bh_scopes *scopes, bh_file_key *key_out)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	char dek_id[BH_ID_HEX_SIZE];
	bh_status status;

	BH_TRY(bh_header_parse(bytes, &key.header));
	status = scopes->dek_by_id(scopes->arg, key.header.dek_id, &key.dek);
	if (status == BH_OK)
		status = open_with(bytes.data, key.dek, &key.aead);
	if (status != BH_OK) {
		bh_hex(key.header.dek_id, BH_ID_LEN, dek_id);
		return bh_fail_prefix(status, "header of a %s file under DEK %s", bh_file_kind_name(key.header.kind), dek_id);
	}
	*key_out = key;
	memset(&key, 0, sizeof(key));
	return BH_OK;
}
