/* SPDX-License-Identifier: Apache-2.0
 *
 * rivals.h: what else encrypts a RocksDB today, as Envs to compare with. For measuring alone: keys are fixed, nothing
 * authenticates.
 *
 * stock-ctr: RocksDB's own EncryptedEnv with its own CTREncryptionProvider over a BlockCipher of AES-256 by OpenSSL: what the
 * public headers offer (rocksdb/env_encryption.h). That interface hands over one block of 16 bytes at a time.
 * evp-ctr: the same EncryptedEnv with a provider that runs OpenSSL's AES-256-CTR over whole buffers: what TiKV- and
 * CockroachDB-style systems do.
 */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#include <rocksdb/c.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A new Env over RocksDB's default one; rocksdb_env_destroy() after the last database is closed. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bench_stock_ctr_env(rocksdb_env_t **out);
BH_MUST_CHECK bh_status bench_evp_ctr_env(rocksdb_env_t **out);

#ifdef __cplusplus
}
#endif
#endif
