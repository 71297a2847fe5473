/* SPDX-License-Identifier: Apache-2.0
 *
 * aead_openssl.c: AES-256-GCM by OpenSSL's EVP, the engine that works everywhere.
 *
 * Invariant: a message sets only the nonce; the key schedule is made once per EVP context (evp_pool.h).
 * OpenSSL's error queue belongs to the host as well: a refused tag leaves nothing in it.
 */
#include "aead_engine.h"

#include <pthread.h>

#include <openssl/err.h>

#include "evp_pool.h"

#define UPDATE_MAX ((size_t)1 << 30) /* EVP counts in int */

typedef struct openssl_aead {
	bh_aead base;
	bh_evp_pool *pool;
	uint8_t key[BH_DEK_LEN]; /* for contexts that the pool makes later */
} openssl_aead;

static EVP_CIPHER *gcm;
static pthread_once_t gcm_once = PTHREAD_ONCE_INIT;

static void gcm_fetch(void)
{
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static bh_status openssl_init(bh_aead *self, const uint8_t key[BH_DEK_LEN])
{
	openssl_aead *aead = (openssl_aead *)self;

	pthread_once(&gcm_once, gcm_fetch);
	if (!gcm)
		return bh_fail(BH_E_CRYPTO, "OpenSSL offers no AES-256-GCM: check its providers and openssl.cnf");
	memcpy(aead->key, key, sizeof(aead->key));
	return bh_evp_pool_new(gcm, aead->key, &aead->pool);
}

static void openssl_clear(bh_aead *self)
{
	bh_evp_pool_free(((openssl_aead *)self)->pool);
}

/* Feeds `len` bytes in steps that fit an int. `out` NULL: they are associated data. */
static bool update(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
	int written;

	while (len != 0) {
		size_t step = BH_MIN(len, UPDATE_MAX);

		if (EVP_CipherUpdate(ctx, out, &written, in, (int)step) <= 0)
			return false;
		in += step;
		out = out ? out + step : NULL;
		len -= step;
	}
	return true;
}

static bool seal(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, bh_view aad, const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	uint8_t none[1];
	int written;

	return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 1) > 0 && update(ctx, aad.data, aad.len, NULL) &&
	       update(ctx, in, len, out) && EVP_CipherFinal_ex(ctx, none, &written) > 0 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, BH_TAG_LEN, tag) > 0;
}

static bh_status open_(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, bh_view aad, const uint8_t *in, size_t len, const uint8_t *tag,
		       uint8_t *out)
{
	uint8_t due[BH_TAG_LEN], none[1];
	int written;

	memcpy(due, tag, sizeof(due));
	if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 0) <= 0 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, BH_TAG_LEN, due) <= 0 || !update(ctx, aad.data, aad.len, NULL) ||
	    !update(ctx, in, len, out))
		return BH_E_CRYPTO;
	return EVP_CipherFinal_ex(ctx, none, &written) > 0 ? BH_OK : BH_E_TAG;
}

static bh_status end(bh_status status)
{
	ERR_pop_to_mark();
	return status == BH_E_CRYPTO ? bh_fail(BH_E_CRYPTO, "AES-256-GCM failed in OpenSSL") : status;
}

static bh_status openssl_seal(const bh_aead *self, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      uint8_t *out, uint8_t tag[BH_TAG_LEN])
{
	bh_evp_pool *pool = ((const openssl_aead *)self)->pool;
	EVP_CIPHER_CTX *ctx;
	bool ok;

	ERR_set_mark();
	ctx = bh_evp_pool_get(pool);
	ok = ctx && seal(ctx, nonce, aad, in, len, out, tag);
	if (ctx)
		bh_evp_pool_put(pool, ctx);
	return end(ok ? BH_OK : BH_E_CRYPTO);
}

static bh_status openssl_open(const bh_aead *self, const uint8_t nonce[BH_NONCE_LEN], bh_view aad, const uint8_t *in, size_t len,
			      const uint8_t tag[BH_TAG_LEN], uint8_t *out)
{
	bh_evp_pool *pool = ((const openssl_aead *)self)->pool;
	EVP_CIPHER_CTX *ctx;
	bh_status status;

	ERR_set_mark();
	ctx = bh_evp_pool_get(pool);
	status = ctx ? open_(ctx, nonce, aad, in, len, tag, out) : BH_E_CRYPTO;
	if (ctx)
		bh_evp_pool_put(pool, ctx);
	return end(status);
}

const bh_aead_engine bh_aead_engine_openssl = {
	.name = "openssl",
	.size = sizeof(openssl_aead),
	.init = openssl_init,
	.clear = openssl_clear,
	.seal = openssl_seal,
	.open = openssl_open,
};
