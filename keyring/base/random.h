/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h: random bytes, by OpenSSL. Thread-safety: all calls.
 */
#ifndef BH_RANDOM_H
#define BH_RANDOM_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes from the operating system's generator by OpenSSL's private DRBG. Errors: BH_E_CRYPTO, and then `out` is undefined. */
BH_MUST_CHECK bh_status bh_random(uint8_t *out, size_t len);

#ifdef __cplusplus
}
#endif
#endif
