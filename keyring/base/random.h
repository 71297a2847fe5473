/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h: random bytes, of which salts, DEKs, ids and nonces are made. Thread-safety: all calls.
 */
#ifndef BH_RANDOM_H
#define BH_RANDOM_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* OpenSSL's private DRBG, XOR getrandom(2), at every call. The DRBG's state is this process's memory: where an image of a virtual
 * machine or process is continued twice, both would take the same bytes out of it until it reseeds. The kernel's generator is not
 * in that memory, and one that is told of a new virtual machine (vmgenid, Linux 5.18) reseeds at once. The two are independent, so
 * the XOR is as good as the better of them, also where the kernel's is a clone's for a moment.
 * Errors: BH_E_CRYPTO, and then `out` is undefined. */
BH_MUST_CHECK bh_status bh_random(uint8_t *out, size_t len);

#ifdef __cplusplus
}
#endif
#endif
