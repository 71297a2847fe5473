/* SPDX-License-Identifier: Apache-2.0
 *
 * provider.h: what is known of a thread's last call to a KMS, and the providers that this build has. What a provider is, is public:
 * <bulkhead/kms_provider.h>.
 */
#ifndef BH_KMS_PROVIDER_H
#define BH_KMS_PROVIDER_H

#include <bulkhead/kms_provider.h>

#include "keyring/base/secret.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KMS_PRINCIPAL_SIZE 256
#define BH_KMS_TIMEOUT_MS_DEFAULT 2000

/* The id of this thread's last call to a KMS as that KMS knows it, failed calls included; "" where it gives none. For the audit
 * log. Static: valid until the thread's next call. */
const char *bh_kms_request_id(void);
/* As whom that KMS was asked; "" where the provider does not say. Static, as above. */
const char *bh_kms_principal(void);

static inline uint32_t bh_kms_timeout_ms(const bh_kms_options *options)
{
	return options->timeout_ms != 0 ? options->timeout_ms : BH_KMS_TIMEOUT_MS_DEFAULT;
}

#ifdef __cplusplus
}
#endif
#endif
