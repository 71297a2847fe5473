/* SPDX-License-Identifier: Apache-2.0
 *
 * kdf.c: HKDF, HMAC and SHA-256 by OpenSSL.
 *
 * Invariants: algorithms are fetched once a process; outputs are written on success alone; OpenSSL's error queue, which belongs to
 * the host as well, is left as it was found.
 * Thread-safety: the fetched algorithms are immutable after `pthread_once`.
 */
#include "kdf.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "keyring/base/openssl.h"

#define HKDF_MAX (255 * BH_SHA256_LEN) /* RFC 5869, 2.3 */

static struct {
	EVP_KDF *hkdf;
	EVP_MAC *hmac;
	EVP_MD *sha256;
} fetched;
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static char sha256_name[] = "SHA256";

static void fetch_all(void)
{
	fetched.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	fetched.sha256 = EVP_MD_fetch(NULL, sha256_name, NULL);
}

static OSSL_PARAM octets(const char *name, bh_view v)
{
	/* OSSL_PARAM is const-less for both directions; setting parameters only reads. */
	return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)v.data, v.len);
}

static bool hkdf(bh_view ikm, bh_view salt, bh_view info, uint8_t *okm_out, size_t len)
{
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(fetched.hkdf);
	OSSL_PARAM params[5];
	OSSL_PARAM *p = params;
	bool ok;

	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256_name, 0);
	*p++ = octets(OSSL_KDF_PARAM_KEY, ikm);
	if (salt.len != 0)
		*p++ = octets(OSSL_KDF_PARAM_SALT, salt);
	if (info.len != 0)
		*p++ = octets(OSSL_KDF_PARAM_INFO, info);
	*p = OSSL_PARAM_construct_end();
	ok = ctx && EVP_KDF_derive(ctx, okm_out, len, params) > 0;
	EVP_KDF_CTX_free(ctx);
	return ok;
}

bh_status bh_hkdf(bh_view ikm, bh_view salt, bh_view info, uint8_t *okm_out, size_t len)
{
	bool ok;

	if (ikm.len == 0 || len == 0 || len > HKDF_MAX)
		return bh_fail(BH_E_INVALID, "HKDF of %zu bytes from a key of %zu bytes", len, ikm.len);
	pthread_once(&fetch_once, fetch_all);
	ERR_set_mark();
	ok = fetched.hkdf && hkdf(ikm, salt, info, okm_out, len);
	if (!ok)
		bh_wipe(okm_out, len);
	return bh_openssl_end(ok, "HKDF-SHA256");
}

bh_status bh_hkdf_secret(bh_view ikm, bh_view salt, bh_view info, size_t len, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret okm = { 0 };

	BH_TRY(bh_secret_init(&okm, len));
	BH_TRY(bh_hkdf(ikm, salt, info, okm.data, len));
	*out = bh_secret_take(&okm);
	return BH_OK;
}

static bool hmac_init(EVP_MAC_CTX *ctx, bh_view key)
{
	static const uint8_t empty[1];
	OSSL_PARAM params[2] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, sha256_name, 0),
		OSSL_PARAM_construct_end(),
	};

	/* A NULL key would mean "the key of before". */
	return EVP_MAC_init(ctx, key.len != 0 ? key.data : empty, key.len, params) > 0;
}

static bool hmac(bh_view key, const bh_view *parts, size_t n, uint8_t mac_out[BH_SHA256_LEN])
{
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(fetched.hmac);
	bool ok = ctx && hmac_init(ctx, key);
	size_t i, len;

	for (i = 0; ok && i < n; i++)
		ok = parts[i].len == 0 || EVP_MAC_update(ctx, parts[i].data, parts[i].len) > 0;
	ok = ok && EVP_MAC_final(ctx, mac_out, &len, BH_SHA256_LEN) > 0 && len == BH_SHA256_LEN;
	EVP_MAC_CTX_free(ctx);
	return ok;
}

bh_status bh_hmac(bh_view key, const bh_view *parts, size_t n, uint8_t mac_out[BH_SHA256_LEN])
{
	uint8_t mac[BH_SHA256_LEN];
	bool ok;

	pthread_once(&fetch_once, fetch_all);
	ERR_set_mark();
	ok = fetched.hmac && hmac(key, parts, n, mac);
	if (ok)
		memcpy(mac_out, mac, sizeof(mac));
	bh_wipe(mac, sizeof(mac));
	return bh_openssl_end(ok, "HMAC-SHA256");
}

static bool sha256(const bh_view *parts, size_t n, uint8_t digest[BH_SHA256_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex2(ctx, fetched.sha256, NULL) > 0;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) > 0;
	ok = ok && EVP_DigestFinal_ex(ctx, digest, NULL) > 0;
	EVP_MD_CTX_free(ctx);
	return ok;
}

bh_status bh_sha256(bh_view data, uint8_t out[BH_SHA256_LEN])
{
	return bh_sha256_parts(&data, 1, out);
}

bh_status bh_sha256_parts(const bh_view *parts, size_t n, uint8_t out[BH_SHA256_LEN])
{
	uint8_t digest[BH_SHA256_LEN];
	bool ok;

	pthread_once(&fetch_once, fetch_all);
	ERR_set_mark();
	ok = fetched.sha256 && sha256(parts, n, digest);
	if (ok)
		memcpy(out, digest, sizeof(digest));
	return bh_openssl_end(ok, "SHA-256");
}
