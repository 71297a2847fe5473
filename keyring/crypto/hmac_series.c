/* SPDX-License-Identifier: Apache-2.0
 *
 * hmac_series.c: see hmac_series.h.
 *
 * This uses OpenSSL's SHA256_CTX, which 3.0 calls deprecated, because it is the only SHA-256 whose state is a struct of the
 * caller's: an EVP context lies on OpenSSL's heap, where swap and core files would have it, and copying one allocates. The hashing
 * is that of EVP, with the CPU's SHA instructions where there are any.
 *
 * Invariant: `common` has taken in the key's block and the first `common_len` bytes of `last`, whole blocks.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "hmac_series.h"

#include <openssl/sha.h>

#define BLOCK SHA256_CBLOCK

struct bh_hmac_series {
	SHA256_CTX inner, outer; /* have taken in the key's block */
	SHA256_CTX common;
	size_t common_len;
	uint8_t last[BH_HMAC_SERIES_MAX];
	size_t last_len;
};

static bool key_block(bh_view key, uint8_t pad, SHA256_CTX *out)
{
	uint8_t block[BLOCK] = { 0 };
	bool ok;

	if (key.len > 0)
		memcpy(block, key.data, key.len);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] ^= pad;
	ok = SHA256_Init(out) == 1 && SHA256_Update(out, block, BLOCK) == 1;
	bh_wipe(block, sizeof(block));
	return ok;
}

bh_status bh_hmac_series_new(bh_view key, bh_hmac_series **out)
{
	bh_hmac_series *series;

	if (key.len > BLOCK)
		return bh_fail(BH_E_INVALID, "a key of %zu bytes for a series of HMACs", key.len);
	series = bh_secret_alloc(sizeof(*series));
	if (series == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a series of HMACs");
	if (!key_block(key, 0x36, &series->inner) || !key_block(key, 0x5c, &series->outer)) {
		bh_hmac_series_free(series);
		return bh_fail(BH_E_CRYPTO, "SHA-256 failed in OpenSSL");
	}
	series->common = series->inner;
	*out = series;
	return BH_OK;
}

void bh_hmac_series_free(bh_hmac_series *series)
{
	if (series != NULL)
		bh_secret_free(series, sizeof(*series));
}

/* Whole blocks that `message` and the one before it begin with alike. */
static size_t alike(const bh_hmac_series *series, bh_view message)
{
	const size_t most = BH_MIN(message.len, series->last_len);
	size_t len = 0;

	while (most - len >= BLOCK && memcmp(message.data + len, series->last + len, BLOCK) == 0)
		len += BLOCK;
	return len;
}

/* `common` is made to fit `message`: what it has too much of cannot be taken out again, so it begins anew then. */
static bool settle(bh_hmac_series *series, bh_view message)
{
	const size_t len = alike(series, message);
	bool ok = true;

	if (series->common_len > len) {
		series->common = series->inner;
		series->common_len = 0;
	}
	if (series->common_len < len)
		ok = SHA256_Update(&series->common, message.data + series->common_len, len - series->common_len) == 1;
	series->common_len = len;
	return ok;
}

static bool compute(const bh_hmac_series *series, bh_view message, uint8_t mac[BH_SHA256_LEN])
{
	const bh_view rest = bh_view_of(message.data + series->common_len, message.len - series->common_len);
	SHA256_CTX inner = series->common, outer = series->outer;
	bool ok;

	ok = (rest.len == 0 || SHA256_Update(&inner, rest.data, rest.len) == 1) && SHA256_Final(mac, &inner) == 1 &&
	     SHA256_Update(&outer, mac, BH_SHA256_LEN) == 1 && SHA256_Final(mac, &outer) == 1;
	bh_wipe(&inner, sizeof(inner));
	bh_wipe(&outer, sizeof(outer));
	return ok;
}

bh_status bh_hmac_series_next(bh_hmac_series *series, bh_view message, uint8_t mac_out[BH_SHA256_LEN])
{
	uint8_t mac[BH_SHA256_LEN];

	if (message.len > BH_HMAC_SERIES_MAX)
		return bh_fail(BH_E_INVALID, "a message of %zu bytes in a series of HMACs", message.len);
	if (!settle(series, message) || !compute(series, message, mac))
		return bh_fail(BH_E_CRYPTO, "HMAC-SHA256 failed in OpenSSL");
	if (message.len > 0)
		memcpy(series->last, message.data, message.len);
	series->last_len = message.len;
	memcpy(mac_out, mac, sizeof(mac));
	bh_wipe(mac, sizeof(mac));
	return BH_OK;
}
