/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.c: see sign.h.
 *
 * Invariants: outputs are written on success alone; OpenSSL's error queue, which belongs to the host as well, is left as it was
 * found. EVP_PKEY_free() wipes a private key, and a context that has hashed one is wiped with it.
 */
#include "sign.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "keyring/base/openssl.h"

struct bh_signer {
	bh_secret seed;
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
};

static const char algorithm[] = "ED25519";

static EVP_PKEY *private_key(const bh_secret *seed)
{
	return EVP_PKEY_new_raw_private_key_ex(NULL, algorithm, NULL, seed->data, seed->len);
}

static bool public_of(const bh_secret *seed, uint8_t out[BH_SIGN_PUBLIC_LEN])
{
	EVP_PKEY *key = private_key(seed);
	size_t len = BH_SIGN_PUBLIC_LEN;
	bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, out, &len) == 1 && len == BH_SIGN_PUBLIC_LEN;

	EVP_PKEY_free(key);
	return ok;
}

static bh_status signer_fill(bh_signer *signer, bh_view seed)
{
	bool ok;

	BH_TRY(bh_secret_copy(&signer->seed, seed));
	ERR_set_mark();
	ok = public_of(&signer->seed, signer->public_key);
	return bh_openssl_end(ok, "making an Ed25519 key");
}

bh_status bh_signer_new(bh_view seed, bh_signer **out)
{
	bh_signer *signer;
	bh_status status;

	if (seed.len != BH_SIGN_SEED_LEN)
		return bh_fail(BH_E_INVALID, "an Ed25519 key is made of %d bytes, not %zu", BH_SIGN_SEED_LEN, seed.len);
	signer = calloc(1, sizeof(*signer));
	if (signer == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a signing key");
	status = signer_fill(signer, seed);
	if (status != BH_OK) {
		bh_signer_free(signer);
		return status;
	}
	*out = signer;
	return BH_OK;
}

void bh_signer_free(bh_signer *signer)
{
	if (signer == NULL)
		return;
	bh_secret_clear(&signer->seed);
	free(signer);
}

void bh_signer_public(const bh_signer *signer, uint8_t out[BH_SIGN_PUBLIC_LEN])
{
	memcpy(out, signer->public_key, BH_SIGN_PUBLIC_LEN);
}

static bool sign(EVP_PKEY *key, bh_view message, uint8_t out[BH_SIGNATURE_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = BH_SIGNATURE_LEN;
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestSign(ctx, out, &len, message.data, message.len) == 1 && len == BH_SIGNATURE_LEN;

	EVP_MD_CTX_free(ctx);
	return ok;
}

bh_status bh_sign(const bh_signer *signer, bh_view message, uint8_t signature_out[BH_SIGNATURE_LEN])
{
	uint8_t signature[BH_SIGNATURE_LEN];
	EVP_PKEY *key;
	bool ok;

	if (bh_secret_is_wiped(&signer->seed))
		return bh_fail(BH_E_NO_KEY, "keys do not survive a fork: open the database again in the child");
	ERR_set_mark();
	key = private_key(&signer->seed);
	ok = key != NULL && sign(key, message, signature);
	EVP_PKEY_free(key);
	if (ok)
		memcpy(signature_out, signature, sizeof(signature));
	return bh_openssl_end(ok, "an Ed25519 signature");
}

/* 1: it is the signature, 0: it is not, below: could not be found out. */
static int verify(EVP_PKEY *key, bh_view message, const uint8_t signature[BH_SIGNATURE_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int result = -1;

	if (ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1)
		result = EVP_DigestVerify(ctx, signature, BH_SIGNATURE_LEN, message.data, message.len);
	EVP_MD_CTX_free(ctx);
	return result;
}

bh_status bh_sign_verify(const uint8_t public_key[BH_SIGN_PUBLIC_LEN], bh_view message, const uint8_t signature[BH_SIGNATURE_LEN])
{
	EVP_PKEY *key;
	int result;

	ERR_set_mark();
	key = EVP_PKEY_new_raw_public_key_ex(NULL, algorithm, NULL, public_key, BH_SIGN_PUBLIC_LEN);
	result = key != NULL ? verify(key, message, signature) : -1;
	EVP_PKEY_free(key);
	BH_TRY(bh_openssl_end(result >= 0, "checking an Ed25519 signature"));
	return result == 1 ? BH_OK : bh_fail(BH_E_TAG, "the signature does not belong to these bytes and this public key");
}
