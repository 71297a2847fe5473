/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.h: the provider agent:SOCKET#KEY, whose CMKs another process holds (bhkms-agent).
 */
#ifndef BH_KMS_AGENT_H
#define BH_KMS_AGENT_H

#include "keyring/kms/provider/provider.h"

extern const bh_kms_provider bh_kms_provider_agent;

#endif
