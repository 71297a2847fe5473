/* SPDX-License-Identifier: Apache-2.0
 *
 * evp_pool.h (internal to aead_openssl.c): OpenSSL cipher contexts with one key, shared by threads.
 *
 * An EVP context serves one thread at a time and costs a key schedule to make. A pool hands out contexts whose key is set already,
 * one to each thread that is inside, and keeps up to BH_EVP_POOL_SLOTS of them for the next calls. The key schedule in an EVP
 * context lies in OpenSSL's heap: wiped by OpenSSL when freed, but neither locked nor kept out of core dumps.
 *
 * Thread-safety: get and put may come from many threads; they take no lock.
 */
#ifndef BH_EVP_POOL_H
#define BH_EVP_POOL_H

#include <openssl/evp.h>

#include "keyring/base/secret.h"

#define BH_EVP_POOL_SLOTS 32

typedef struct bh_evp_pool bh_evp_pool;

/* A pool for `cipher` under the 32 bytes of `key`, both borrowed for the life of the pool; makes the first context.
 * Errors: BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_evp_pool_new(const EVP_CIPHER *cipher, const uint8_t *key, bh_evp_pool **out);
/* Frees the contexts; none may be out. NULL-safe. */
void bh_evp_pool_free(bh_evp_pool *pool);
/* A context with the key set and padding off; NULL if none can be made. */
EVP_CIPHER_CTX *bh_evp_pool_get(bh_evp_pool *pool);
void bh_evp_pool_put(bh_evp_pool *pool, EVP_CIPHER_CTX *ctx);

#endif
