/* SPDX-License-Identifier: Apache-2.0
 *
 * local.h: the provider local:DIR#KEY, whose CMKs are files.
 */
#ifndef BH_KMS_LOCAL_H
#define BH_KMS_LOCAL_H

#include "keyring/kms/provider/provider.h"

extern const bh_kms_provider bh_kms_provider_local;

#endif
