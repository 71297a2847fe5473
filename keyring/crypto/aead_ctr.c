/* SPDX-License-Identifier: Apache-2.0
 *
 * aead_ctr.c: AES-256-CTR addressed by byte position, by OpenSSL.
 *
 * Spans are mostly 8 to 100 bytes, where setting the counter of an EVP CTR context costs several times the cipher itself. So a
 * short span's keystream is made by encrypting its counter blocks with an ECB context, which has no counter to set; a long one goes
 * through CTR. The two cross between 512 bytes and 1 KiB. Both make the same bytes: CTR is defined as just that (SP 800-38A, 6.5).
 *
 * Invariants: a bh_ctr is in the arena, so after a fork the child reads its contexts as NULL and is refused; keystream on the stack
 * is wiped. Thread-safety: none, a bh_ctr is used by one thread at a time; so it has its two contexts for itself.
 */
#include "aead.h"

#include <endian.h>
#include <pthread.h>

#include <openssl/evp.h>

#define BLOCK_LEN 16
#define SHORT_BLOCKS 32              /* blocks of keystream that are made at once on the stack */
#define UPDATE_MAX ((size_t)1 << 30) /* EVP counts in int */

struct bh_ctr {
	EVP_CIPHER_CTX *ecb; /* short spans */
	EVP_CIPHER_CTX *ctr; /* long spans */
};

static EVP_CIPHER *ecb_cipher, *ctr_cipher;
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
	ecb_cipher = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
	ctr_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
}

static EVP_CIPHER_CTX *context_new(const EVP_CIPHER *cipher, bh_view key)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && EVP_EncryptInit_ex(ctx, cipher, NULL, key.data, NULL) > 0 && EVP_CIPHER_CTX_set_padding(ctx, 0) > 0)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static bh_status init(bh_ctr *ctr, bh_view key)
{
	pthread_once(&fetch_once, fetch_all);
	if (!ecb_cipher || !ctr_cipher)
		return bh_fail(BH_E_CRYPTO, "OpenSSL offers no AES-256-CTR or -ECB: check its providers and openssl.cnf");
	ctr->ecb = context_new(ecb_cipher, key);
	ctr->ctr = context_new(ctr_cipher, key);
	if (!ctr->ecb || !ctr->ctr)
		return bh_fail(BH_E_CRYPTO, "OpenSSL makes no cipher context: check its providers and openssl.cnf");
	return BH_OK;
}

bh_status bh_ctr_new(bh_view key, bh_ctr **out)
{
	BH_CLEANUP(bh_ctr_freep) bh_ctr *ctr = NULL;

	if (key.len != BH_DEK_LEN)
		return bh_fail(BH_E_INVALID, "an AES-256 key of %zu bytes", key.len);
	ctr = bh_secret_alloc(sizeof(*ctr));
	if (!ctr)
		return bh_fail(BH_E_NOMEM, "no memory for a cipher context");
	BH_TRY(init(ctr, key));
	*out = ctr;
	ctr = NULL;
	return BH_OK;
}

void bh_ctr_free(bh_ctr *ctr)
{
	if (!ctr)
		return;
	EVP_CIPHER_CTX_free(ctr->ecb);
	EVP_CIPHER_CTX_free(ctr->ctr);
	bh_secret_free(ctr, sizeof(*ctr));
}

void bh_ctr_freep(bh_ctr **ctr)
{
	bh_ctr_free(*ctr);
	*ctr = NULL;
}

/* Block number `n` as the 128-bit big-endian counter. */
static void counter_block(uint64_t n, uint8_t out[BLOCK_LEN])
{
	const uint64_t halves[2] = { 0, htobe64(n) };

	memcpy(out, halves, BLOCK_LEN);
}

static void xor_bytes(uint8_t *data, const uint8_t *stream, size_t len)
{
	uint64_t a, b;

	for (; len >= sizeof(a); len -= sizeof(a), data += sizeof(a), stream += sizeof(a)) {
		memcpy(&a, data, sizeof(a));
		memcpy(&b, stream, sizeof(b));
		a ^= b;
		memcpy(data, &a, sizeof(a));
	}
	for (; len != 0; len--)
		*data++ ^= *stream++;
}

/* `skip` keystream bytes of the first block, then `len`: at most SHORT_BLOCKS blocks in all. */
static bool xor_short(EVP_CIPHER_CTX *ecb, uint64_t first, size_t skip, uint8_t *data, size_t len)
{
	uint8_t stream[SHORT_BLOCKS * BLOCK_LEN];
	size_t blocks = (skip + len + BLOCK_LEN - 1) / BLOCK_LEN, i;
	bool ok;

	for (i = 0; i < blocks; i++)
		counter_block(first + i, stream + i * BLOCK_LEN);
	/* Whole blocks, so none of EVP_EncryptUpdate()'s care for what is left of one. */
	ok = EVP_Cipher(ecb, stream, stream, (unsigned)(blocks * BLOCK_LEN)) > 0;
	if (ok)
		xor_bytes(data, stream + skip, len);
	bh_wipe(stream, blocks * BLOCK_LEN);
	return ok;
}

static bool xor_long(EVP_CIPHER_CTX *ctr, uint64_t first, size_t skip, uint8_t *data, size_t len)
{
	uint8_t counter[BLOCK_LEN], skipped[BLOCK_LEN] = { 0 };
	int written;
	bool ok;

	counter_block(first, counter);
	ok = EVP_EncryptInit_ex(ctr, NULL, NULL, NULL, counter) > 0 &&
	     (skip == 0 || EVP_EncryptUpdate(ctr, skipped, &written, skipped, (int)skip) > 0);
	bh_wipe(skipped, sizeof(skipped));
	while (ok && len != 0) {
		size_t step = BH_MIN(len, UPDATE_MAX);

		ok = EVP_EncryptUpdate(ctr, data, &written, data, (int)step) > 0;
		data += step;
		len -= step;
	}
	return ok;
}

bh_status bh_ctr_xor(bh_ctr *ctr, uint64_t pos, uint8_t *data, size_t len)
{
	uint64_t first = pos / BLOCK_LEN;
	size_t skip = (size_t)(pos % BLOCK_LEN);
	bool is_short = len <= SHORT_BLOCKS * BLOCK_LEN - skip;
	EVP_CIPHER_CTX *ctx = is_short ? ctr->ecb : ctr->ctr;

	if (len == 0)
		return BH_OK;
	if (!ctx)
		return bh_fail(BH_E_CRYPTO, "a cipher context of the parent process: open the database again after fork");
	if ((is_short ? xor_short : xor_long)(ctx, first, skip, data, len))
		return BH_OK;
	return bh_fail(BH_E_CRYPTO, "AES-256-CTR failed in OpenSSL");
}
