/* SPDX-License-Identifier: Apache-2.0
 *
 * vault.h: the providers of vault://HOST[:PORT]/MOUNT/keys/NAME[?region=R] and of vault+http:// (loopback alone): the transit
 * engine of HashiCorp Vault and OpenBao. keyring/README.md says how they sign in and what their answers mean.
 */
#ifndef BH_KMS_VAULT_H
#define BH_KMS_VAULT_H

#include "keyring/kms/provider/provider.h"

extern const bh_kms_provider bh_kms_provider_vault, bh_kms_provider_vault_http;

#endif
