/* SPDX-License-Identifier: Apache-2.0
 *
 * kms.h (internal): CMKs, whoever provides them; wrap and unwrap, which only the keyring calls.
 */
#ifndef BH_KMS_INTERNAL_H
#define BH_KMS_INTERNAL_H

#include <bulkhead/kms.h>

#include "keyring/kms/provider/provider.h"
#include "keyring/kms/provider/session.h"
#include "meter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* bh_kms_open() for one who opens many: `session`, and `meter`, which the calls are counted in, have to live as long as the CMK is
 * open. Either may be NULL; the meter then is the handle's own. */
BH_MUST_CHECK bh_status bh_kms_open_in(bh_kms_session *session, bh_kms_meter *meter, const char *uri, const bh_kms_options *options,
				       bh_kms **out);
bh_kms *bh_kms_ref(bh_kms *kms);           /* another one to be closed */
bool bh_kms_has_failed(const bh_kms *kms); /* whether its last call did */

/* Wraps `plaintext` (BH_DEK_LEN bytes) under the CMK's newest version, with `context` as associated data; appends to `wrapped_out`.
 * Errors: BH_E_KMS_REFUSED (disabled, destroyed), BH_E_NOT_FOUND (the key is no longer there), BH_E_KMS_UNREACHABLE, BH_E_TAG and
 * BH_E_FORMAT (what the KMS keeps or answers is damaged), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_kms_wrap(bh_kms *kms, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out);
/* Unwraps. Further errors: BH_E_TAG (wrong context, key or damaged blob), BH_E_FORMAT, BH_E_VERSION. */
BH_MUST_CHECK bh_status bh_kms_unwrap(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *out);
/* The URI by which the CMK is recorded, if it is another one: what an alias in `uri` stands for now, in BH_KMS_URI_MAX + 1 bytes;
 * else
 * "". A URI that is none is found out by its use. Errors: those of bh_kms_open(). */
BH_MUST_CHECK bh_status bh_kms_resolve(const char *uri, const bh_kms_options *options, char *out);
/* Whether both name the same CMK, however they are spelled. What cannot be found out counts as another CMK; so does a URI that is
 * no URI. */
bool bh_kms_same_key(const char *uri, const char *other);
/* bh_kms_close() for BH_CLEANUP. */
void bh_kms_closep(bh_kms **kms);

#ifdef __cplusplus
}
#endif
#endif
