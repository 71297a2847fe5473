/* SPDX-License-Identifier: Apache-2.0
 *
 * provider.h: what a KMS provider is: a const table, called only through the bh_kms_* wrappers (keyring/kms/kms.h), which check
 * arguments and clear outputs.
 */
#ifndef BH_KMS_PROVIDER_H
#define BH_KMS_PROVIDER_H

#include <bulkhead/kms.h>

#include "keyring/base/secret.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KMS_URI_MAX 2048     /* bytes of a CMK URI, without the NUL */
#define BH_KMS_WRAPPED_MAX 1024 /* bytes of a wrapped DEK, of any provider */

typedef struct bh_kms_session bh_kms_session; /* session.h */

typedef struct bh_kms_provider {
	const char *scheme; /* "local" */
	bh_status (*open)(const char *uri, const bh_kms_options *options, bh_kms_session *session, void **self_out);
	void (*close)(void *self);
	bh_status (*create)(const char *uri, const char *region, const bh_kms_options *options);
	bh_status (*describe)(void *self, bh_kms_key_info *out);
	bh_status (*wrap)(void *self, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out);
	bh_status (*unwrap)(void *self, bh_view wrapped, bh_view context, bh_secret *out);
	bh_status (*rotate)(void *self, uint32_t *version_out);
	bh_status (*set_state)(void *self, bh_kms_key_state state); /* ENABLED or DISABLED */
	bh_status (*destroy)(void *self, bh_kms_evidence *out);
	bh_status (*list)(const char *uri, const bh_kms_options *options, bh_status (*each)(void *arg, const bh_kms_key_info *info),
			  void *arg);
	bool (*same_key)(const char *uri, const char *other); /* two URIs of its scheme, well formed */
} bh_kms_provider;

/* The id of this thread's last call to a KMS as that KMS knows it, in hex, failed calls included; "" where it gives none. For the
 * audit log. Static: valid until the thread's next call. */
const char *bh_kms_request_id(void);
/* For providers: the call under way has this id. */
void bh_kms_request_id_set(const char *id);

#ifdef __cplusplus
}
#endif
#endif
