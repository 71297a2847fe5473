/* SPDX-License-Identifier: Apache-2.0
 *
 * pin.h: where a token's PIN comes from (RFC 7512's pin-source): "file:/PATH", "file:///PATH" or "/PATH", a file; "fd:N", a
 * descriptor of this process. No program is run for it ("|..."), and it never stands in a URI (pin-value).
 * Thread-safety: all calls.
 */
#ifndef BH_KMS_PKCS11_PIN_H
#define BH_KMS_PKCS11_PIN_H

#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Errors: BH_E_INVALID, with what can be. "" is well formed: there is none. */
BH_MUST_CHECK bh_status bh_p11_pin_source_check(const char *source);
/* A descriptor gives its PIN once. */
bool bh_p11_pin_source_is_fd(const char *source);
/* The first line, without its end; 1 to 255 bytes. Errors: BH_E_KMS_REFUSED (it cannot be read, or is empty), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_p11_pin_read(const char *source, bh_secret *out);

#ifdef __cplusplus
}
#endif
#endif
