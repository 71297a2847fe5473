/* SPDX-License-Identifier: Apache-2.0
 *
 * format.c: see format.h. Each structure's encode and decode stand side by side under its byte table.
 */
#include "format.h"

#include <xxhash.h>

#define MAGIC "BHKEYRNG"
#define MAGIC_LEN 8

static bh_status labelled_mac(const bh_secret *mac_key, const char *label, bh_view a, bh_view b, uint8_t out[BH_SHA256_LEN])
{
	bh_view parts[] = { bh_view_str(label), a, b };

	return bh_hmac(bh_secret_view(mac_key), parts, 3, out);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < len; i++)
		seen |= p[i];
	return seen == 0;
}

bh_status bh_keyring_mac_key(bh_view root, const uint8_t database_id[BH_ID_LEN], bh_secret *out)
{
	return bh_hkdf_secret(root, bh_view_of(database_id, BH_ID_LEN), bh_view_str("bulkhead/1/keyring"), BH_SHA256_LEN, out);
}

bh_status bh_keyring_signer_make(bh_view root, const uint8_t database_id[BH_ID_LEN], bh_signer **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret seed = { 0 };

	BH_TRY(bh_hkdf_secret(root, bh_view_of(database_id, BH_ID_LEN), bh_view_str("bulkhead/1/ed25519"), BH_SIGN_SEED_LEN,
			      &seed));
	return bh_signer_new(bh_secret_view(&seed), out);
}

/* Head:
 *     0     8  magic "BHKEYRNG"
 *     8     2  version = 5
 *    10     2  length R of the region
 *    12     2  length U of the platform CMK's URI
 *    14     2  length W of the wrapped root
 *    16    16  database id
 *    32    16  root id
 *    48     8  created at, seconds since 1970
 *    56     4  version of the platform CMK
 *    60     4  zero
 *    64    32  public key
 *    96     R  region, then U bytes of URI, then W bytes of wrapped root, then zero up to 3544
 *  3544     8  XXH3-64 of bytes 0..3543
 *  3552    32  HMAC(K, "head" || bytes 0..3551)
 */
#define HEAD_FIXED_LEN 96u
#define HEAD_SUM_OFF (BH_KEYRING_HEAD_LEN - BH_SHA256_LEN - 8u)
#define HEAD_MAC_OFF (BH_KEYRING_HEAD_LEN - BH_SHA256_LEN)

_Static_assert(HEAD_FIXED_LEN + BH_NAME_MAX + BH_KMS_URI_MAX + BH_KMS_WRAPPED_MAX <= HEAD_SUM_OFF, "the longest fields fit");

bh_status bh_keyring_head_encode(const bh_keyring_head *head, const bh_secret *mac_key, uint8_t out[BH_KEYRING_HEAD_LEN],
				 uint8_t mac_out[BH_SHA256_LEN])
{
	size_t region_len = strlen(head->region), uri_len = strlen(head->cmk_uri);

	memset(out, 0, BH_KEYRING_HEAD_LEN);
	memcpy(out, MAGIC, MAGIC_LEN);
	bh_put_u16(out + 8, BH_KEYRING_VERSION);
	bh_put_u16(out + 10, (uint16_t)region_len);
	bh_put_u16(out + 12, (uint16_t)uri_len);
	bh_put_u16(out + 14, (uint16_t)head->wrapped_len);
	memcpy(out + 16, head->database_id, BH_ID_LEN);
	memcpy(out + 32, head->root_id, BH_ID_LEN);
	bh_put_u64(out + 48, (uint64_t)head->created_at_s);
	bh_put_u32(out + 56, head->cmk_version);
	memcpy(out + 64, head->public_key, BH_SIGN_PUBLIC_LEN);
	memcpy(out + HEAD_FIXED_LEN, head->region, region_len);
	memcpy(out + HEAD_FIXED_LEN + region_len, head->cmk_uri, uri_len);
	memcpy(out + HEAD_FIXED_LEN + region_len + uri_len, head->wrapped, head->wrapped_len);
	bh_put_u64(out + HEAD_SUM_OFF, XXH3_64bits(out, HEAD_SUM_OFF));
	BH_TRY(labelled_mac(mac_key, "head", bh_view_of(out, HEAD_MAC_OFF), bh_view_of(NULL, 0), out + HEAD_MAC_OFF));
	memcpy(mac_out, out + HEAD_MAC_OFF, BH_SHA256_LEN);
	return BH_OK;
}

static bool text_read(bh_reader *r, size_t len, size_t max_len, char *out)
{
	bh_view text = bh_read_bytes(r, len);

	if (!bh_reader_ok(r) || len > max_len || (len > 0 && memchr(text.data, 0, len) != NULL))
		return false;
	if (len > 0)
		memcpy(out, text.data, len);
	out[len] = '\0';
	return true;
}

static bool head_fields(const uint8_t *bytes, bh_keyring_head *out)
{
	bh_reader r = bh_reader_of(bh_view_of(bytes + HEAD_FIXED_LEN, HEAD_SUM_OFF - HEAD_FIXED_LEN));

	out->wrapped_len = bh_get_u16(bytes + 14);
	if (!text_read(&r, bh_get_u16(bytes + 10), BH_NAME_MAX, out->region) ||
	    !text_read(&r, bh_get_u16(bytes + 12), BH_KMS_URI_MAX, out->cmk_uri) || out->wrapped_len > BH_KMS_WRAPPED_MAX)
		return false;
	bh_view wrapped = bh_read_bytes(&r, out->wrapped_len);
	if (!bh_reader_ok(&r) || !all_zero(r.rest.data, r.rest.len) || bh_get_u32(bytes + 60) != 0)
		return false;
	if (wrapped.len > 0)
		memcpy(out->wrapped, wrapped.data, wrapped.len);
	memcpy(out->database_id, bytes + 16, BH_ID_LEN);
	memcpy(out->root_id, bytes + 32, BH_ID_LEN);
	memcpy(out->public_key, bytes + 64, BH_SIGN_PUBLIC_LEN);
	out->created_at_s = (int64_t)bh_get_u64(bytes + 48);
	out->cmk_version = bh_get_u32(bytes + 56);
	return bh_name_check("region", out->region) == BH_OK;
}

bh_status bh_keyring_head_decode(const uint8_t bytes[BH_KEYRING_HEAD_LEN], bh_keyring_head *out)
{
	bh_keyring_head head = { 0 };

	if (memcmp(bytes, MAGIC, MAGIC_LEN) != 0)
		return bh_fail(BH_E_FORMAT, "is no keyring: it does not begin with " MAGIC);
	if (bh_get_u16(bytes + 8) != BH_KEYRING_VERSION)
		return bh_fail(BH_E_VERSION, "is of version %u; this build knows %d", bh_get_u16(bytes + 8), BH_KEYRING_VERSION);
	if (bh_get_u64(bytes + HEAD_SUM_OFF) != XXH3_64bits(bytes, HEAD_SUM_OFF))
		return bh_fail(BH_E_TAG, "its head is damaged (checksum differs); restore the file from a backup");
	if (!head_fields(bytes, &head))
		return bh_fail(BH_E_FORMAT, "its head has the wrong form");
	*out = head;
	return BH_OK;
}

bh_status bh_keyring_head_verify(const uint8_t bytes[BH_KEYRING_HEAD_LEN], const bh_secret *mac_key, uint8_t mac_out[BH_SHA256_LEN])
{
	uint8_t mac[BH_SHA256_LEN];

	BH_TRY(labelled_mac(mac_key, "head", bh_view_of(bytes, HEAD_MAC_OFF), bh_view_of(NULL, 0), mac));
	if (!bh_equal_ct(mac, bytes + HEAD_MAC_OFF, BH_SHA256_LEN))
		return bh_fail(BH_E_TAG, "its head was changed (HMAC differs); restore the file from a backup");
	memcpy(mac_out, mac, BH_SHA256_LEN);
	return BH_OK;
}

/* Commit mark:
 *     0     8  generation
 *     8     8  committed length
 *    16    32  chain MAC
 *    48     8  entries of AUDIT
 *    56    32  root of AUDIT's tree
 *    88   368  ledger (ledger.c), of which the unused slots of WALs are zeros
 *   456     8  sequence
 *   464    32  HMAC(K, "mark" || bytes 0.. up to the end of the last WAL || bytes 456..463)
 *   496    16  zero
 */
#define MARK_LEDGER_OFF 88u
#define MARK_WALS_OFF (MARK_LEDGER_OFF + BH_LEDGER_LEN - BH_LEDGER_WALS * BH_LEDGER_LOG_LEN)
#define MARK_SEQUENCE_OFF (MARK_LEDGER_OFF + BH_LEDGER_LEN)
#define MARK_SEQUENCE_LEN 8u
#define MARK_MAC_OFF (MARK_SEQUENCE_OFF + MARK_SEQUENCE_LEN)
#define MARK_USED (MARK_MAC_OFF + BH_SHA256_LEN)
#define MARK_LABEL "mark"
#define MARK_LABEL_LEN (sizeof(MARK_LABEL) - 1)

static void mark_put(const bh_keyring_mark *mark, uint8_t out[BH_KEYRING_MARK_LEN])
{
	memset(out, 0, BH_KEYRING_MARK_LEN);
	bh_put_u64(out, mark->generation);
	bh_put_u64(out + 8, mark->committed_len);
	memcpy(out + 16, mark->chain, BH_SHA256_LEN);
	bh_put_u64(out + 48, mark->audit.size);
	memcpy(out + 56, mark->audit.root, BH_SHA256_LEN);
	bh_ledger_put(&mark->ledger, out + MARK_LEDGER_OFF);
	bh_put_u64(out + MARK_SEQUENCE_OFF, mark->sequence);
}

/* What the MAC is over, in the order in which it changes: what each sync changes, the newest WAL and the sequence, comes last, and
 * unused slots are left out, so that little is hashed anew (hmac_series.h). */
static size_t mark_message(const uint8_t bytes[BH_KEYRING_MARK_LEN], uint8_t out[BH_HMAC_SERIES_MAX])
{
	const size_t wals = BH_MIN(bh_ledger_wal_count(bytes + MARK_LEDGER_OFF), (size_t)BH_LEDGER_WALS);
	const size_t len = MARK_WALS_OFF + wals * BH_LEDGER_LOG_LEN;

	memcpy(out, MARK_LABEL, MARK_LABEL_LEN);
	memcpy(out + MARK_LABEL_LEN, bytes, len);
	memcpy(out + MARK_LABEL_LEN + len, bytes + MARK_SEQUENCE_OFF, MARK_SEQUENCE_LEN);
	return MARK_LABEL_LEN + len + MARK_SEQUENCE_LEN;
}

_Static_assert(MARK_LABEL_LEN + MARK_MAC_OFF <= BH_HMAC_SERIES_MAX, "the longest message fits");

static bh_status mark_mac(const uint8_t bytes[BH_KEYRING_MARK_LEN], const bh_secret *mac_key, uint8_t out[BH_SHA256_LEN])
{
	uint8_t message[BH_HMAC_SERIES_MAX];
	const bh_view part = bh_view_of(message, mark_message(bytes, message));

	return bh_hmac(bh_secret_view(mac_key), &part, 1, out);
}

bh_status bh_keyring_mark_encode(const bh_keyring_mark *mark, const bh_secret *mac_key, uint8_t out[BH_KEYRING_MARK_LEN])
{
	mark_put(mark, out);
	return mark_mac(out, mac_key, out + MARK_MAC_OFF);
}

bh_status bh_keyring_mark_encode_next(const bh_keyring_mark *mark, bh_hmac_series *series, uint8_t out[BH_KEYRING_MARK_LEN])
{
	uint8_t message[BH_HMAC_SERIES_MAX];

	mark_put(mark, out);
	return bh_hmac_series_next(series, bh_view_of(message, mark_message(out, message)), out + MARK_MAC_OFF);
}

bh_status bh_keyring_mark_decode(const uint8_t bytes[BH_KEYRING_MARK_LEN], const bh_secret *mac_key, bh_keyring_mark *out)
{
	uint8_t mac[BH_SHA256_LEN];

	BH_TRY(mark_mac(bytes, mac_key, mac));
	if (!bh_equal_ct(mac, bytes + MARK_MAC_OFF, BH_SHA256_LEN))
		return bh_fail(BH_E_TAG, "its commit mark was changed (HMAC differs); restore the file from a backup");
	if (!all_zero(bytes + MARK_USED, BH_KEYRING_MARK_LEN - MARK_USED))
		return bh_fail(BH_E_FORMAT, "bytes behind its commit mark are not zero; restore the file from a backup");
	if (bh_get_u64(bytes + 8) < BH_KEYRING_RECORDS_OFF)
		return bh_fail(BH_E_FORMAT, "its commit mark covers no record");
	out->generation = bh_get_u64(bytes);
	out->committed_len = bh_get_u64(bytes + 8);
	memcpy(out->chain, bytes + 16, BH_SHA256_LEN);
	out->audit.size = bh_get_u64(bytes + 48);
	memcpy(out->audit.root, bytes + 56, BH_SHA256_LEN);
	out->sequence = bh_get_u64(bytes + MARK_SEQUENCE_OFF);
	return bh_fail_prefix(bh_ledger_get(bytes + MARK_LEDGER_OFF, &out->ledger), "its commit mark");
}

/* Record:
 *     0     4  length P of the payload
 *     4     1  type
 *     5     8  generation
 *    13     P  payload
 *  13+P    32  chain MAC = HMAC(K, "record" || chain MAC before it || bytes 0..13+P-1)
 *  45+P     8  XXH3-64 of bytes 0..45+P-1
 */
#define RECORD_HEAD_LEN 13u

bh_status bh_keyring_record_encode(bh_keyring_record_type type, uint64_t generation, bh_view payload, const bh_secret *mac_key,
				   uint8_t chain[BH_SHA256_LEN], bh_buf *out)
{
	if (payload.len > UINT32_MAX)
		return bh_fail(BH_E_INVALID, "keyring record of %zu bytes; 4 GiB are the most", payload.len);
	BH_TRY(bh_buf_reserve(out, payload.len + BH_KEYRING_RECORD_OVERHEAD));

	uint8_t *p = out->data + out->len;
	uint8_t *mac = p + RECORD_HEAD_LEN + payload.len;
	bh_put_u32(p, (uint32_t)payload.len);
	p[4] = (uint8_t)type;
	bh_put_u64(p + 5, generation);
	if (payload.len > 0)
		memcpy(p + RECORD_HEAD_LEN, payload.data, payload.len);
	BH_TRY(labelled_mac(mac_key, "record", bh_view_of(chain, BH_SHA256_LEN), bh_view_of(p, RECORD_HEAD_LEN + payload.len),
			    mac));
	bh_put_u64(mac + BH_SHA256_LEN, XXH3_64bits(p, RECORD_HEAD_LEN + payload.len + BH_SHA256_LEN));
	memcpy(chain, mac, BH_SHA256_LEN);
	out->len += payload.len + BH_KEYRING_RECORD_OVERHEAD;
	return BH_OK;
}

bh_status bh_keyring_record_decode(bh_view bytes, const bh_secret *mac_key, const uint8_t chain[BH_SHA256_LEN],
				   bh_keyring_record *out)
{
	uint8_t mac[BH_SHA256_LEN];

	if (bytes.len < BH_KEYRING_RECORD_OVERHEAD || bytes.len - BH_KEYRING_RECORD_OVERHEAD < bh_get_u32(bytes.data))
		return bh_fail(BH_E_TRUNCATED, "ends within a record; restore the file from a backup");

	const uint8_t *p = bytes.data;
	size_t covered = RECORD_HEAD_LEN + bh_get_u32(p);
	if (bh_get_u64(p + covered + BH_SHA256_LEN) != XXH3_64bits(p, covered + BH_SHA256_LEN))
		return bh_fail(BH_E_FORMAT, "a record is damaged (checksum differs); restore the file from a backup");
	BH_TRY(labelled_mac(mac_key, "record", bh_view_of(chain, BH_SHA256_LEN), bh_view_of(p, covered), mac));
	if (!bh_equal_ct(mac, p + covered, BH_SHA256_LEN))
		return bh_fail(BH_E_TAG, "a record was changed, moved or put there (HMAC differs); restore the file from a backup");
	out->type = p[4];
	out->generation = bh_get_u64(p + 5);
	out->payload = bh_view_of(p + RECORD_HEAD_LEN, covered - RECORD_HEAD_LEN);
	memcpy(out->chain, mac, BH_SHA256_LEN);
	out->len = covered + BH_SHA256_LEN + 8;
	return BH_OK;
}
