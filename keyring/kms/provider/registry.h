/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.h: the provider of a URI: this build's own ones, then those that the process has registered.
 *
 * Thread-safety: all calls may come from many threads. A provider that is registered stays.
 */
#ifndef BH_KMS_REGISTRY_H
#define BH_KMS_REGISTRY_H

#include "provider.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One that this build knows of. */
typedef struct bh_kms_known {
	const char *scheme;
	const bh_kms_provider *provider; /* NULL: it was built without */
	const char *needs;               /* what was missing then */
} bh_kms_known;

/* The URI as it may be written down and shown: one with a PIN or a password in it is not, whatever its scheme. NULL stays NULL. */
const char *bh_kms_uri_shown(const char *uri);

/* Looks in `known` first. Errors: BH_E_INVALID (no URI, too long, control characters, a PIN or a password, no such scheme),
 * BH_E_UNSUPPORTED (built without it; names what was missing). */
BH_MUST_CHECK bh_status bh_kms_provider_find(const bh_kms_known *known, size_t count, const char *uri, const bh_kms_provider **out);
/* bh_kms_provider_register(), with the schemes that are taken. */
BH_MUST_CHECK bh_status bh_kms_provider_add(const bh_kms_known *known, size_t count, const bh_kms_provider *provider);

#ifdef __cplusplus
}
#endif
#endif
