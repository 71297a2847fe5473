/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h: what modules' return values mean; keyring/README.md has the table in words. Those of a decryption that are about the
 * wrap are with it, in mechanism.c. Thread-safety: all calls.
 */
#ifndef BH_KMS_PKCS11_ERROR_H
#define BH_KMS_PKCS11_ERROR_H

#include <p11-kit/pkcs11.h>

#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The status of a return value that is not CKR_OK, of a call named `what`; sets the message. Never BH_OK. */
bh_status bh_p11_error(CK_RV rv, const char *what);

#ifdef __cplusplus
}
#endif
#endif
