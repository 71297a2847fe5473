/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11.h: the provider of pkcs11:token=...;object=...?module-path=...&pin-source=file:... (RFC 7512): keys in an HSM, or in what
 * answers like one. keyring/README.md has the whole URI, and what each return value of a module means.
 */
#ifndef BH_KMS_PKCS11_H
#define BH_KMS_PKCS11_H

#include "keyring/kms/provider/provider.h"

extern const bh_kms_provider bh_kms_provider_pkcs11;

#endif
