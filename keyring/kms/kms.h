/* SPDX-License-Identifier: Apache-2.0
 *
 * kms.h (internal): the provider interface, and wrap and unwrap, which only the keyring calls.
 *
 * A provider is a const table, called only through the bh_kms_* wrappers, which check arguments and clear outputs.
 */
#ifndef BH_KMS_INTERNAL_H
#define BH_KMS_INTERNAL_H

#include <bulkhead/kms.h>

#include "keyring/base/secret.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_KMS_URI_MAX 2048     /* bytes of a CMK URI, without the NUL */
#define BH_KMS_WRAPPED_MAX 1024 /* bytes of a wrapped DEK, of any provider */

typedef struct bh_kms_session bh_kms_session; /* kms_session.h */

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

extern const bh_kms_provider bh_kms_provider_agent;
extern const bh_kms_provider bh_kms_provider_local;

typedef struct bh_kms_meter bh_kms_meter; /* kms_meter.h */

/* bh_kms_open() for one who opens many: `session`, and `meter`, which the calls are counted in, have to live as long as the CMK is
 * open. Either may be NULL; the meter then is the handle's own. */
BH_MUST_CHECK bh_status bh_kms_open_in(bh_kms_session *session, bh_kms_meter *meter, const char *uri, const bh_kms_options *options,
				       bh_kms **out);
bh_kms *bh_kms_ref(bh_kms *kms);           /* another one to be closed */
bool bh_kms_has_failed(const bh_kms *kms); /* whether its last call did */

/* The id of this thread's last call to a KMS as that KMS knows it, in hex, failed calls included; "" where it gives none. For the
 * audit log. Static: valid until the thread's next call. */
const char *bh_kms_request_id(void);
/* For providers: the call under way has this id. */
void bh_kms_request_id_set(const char *id);

/* Wraps `plaintext` (BH_DEK_LEN bytes) under the CMK's newest version, with `context` as associated data; appends to `wrapped_out`.
 * Errors: BH_E_KMS_REFUSED (disabled, destroyed), BH_E_NOT_FOUND (the key is no longer there), BH_E_KMS_UNREACHABLE, BH_E_TAG and
 * BH_E_FORMAT (what the KMS keeps or answers is damaged), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_kms_wrap(bh_kms *kms, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out);
/* Unwraps. Further errors: BH_E_TAG (wrong context, key or damaged blob), BH_E_FORMAT, BH_E_VERSION. */
BH_MUST_CHECK bh_status bh_kms_unwrap(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *out);
/* Whether both name the same CMK, however they are spelled. What cannot be found out counts as another CMK; so does a URI that is
 * no URI. */
bool bh_kms_same_key(const char *uri, const char *other);
/* bh_kms_close() for BH_CLEANUP. */
void bh_kms_closep(bh_kms **kms);

#ifdef __cplusplus
}
#endif
#endif
