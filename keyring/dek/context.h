/* SPDX-License-Identifier: Apache-2.0
 *
 * context.h: the encryption context, what a DEK is for.
 *
 * Canonical text, one line a field, sorted by name, each ending in '\n':
 *     class=<class>\ndatabase=<32 hex>\ndek=<32 hex>\nmerchant=<name>\nregion=<region>\n
 * The same bytes are the associated data of the wrap, part of HKDF's info for every key derived from the DEK, and the audit
 * record's subject. The platform's own DEK has merchant "" and class "". Names are checked (bh_name_check), so no value can contain
 * a newline.
 */
#ifndef BH_CONTEXT_H
#define BH_CONTEXT_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_ID_LEN 16                       /* bytes of a database id, which is random, and of a DEK id */
#define BH_ID_HEX_SIZE (2 * BH_ID_LEN + 1) /* its hex form with the NUL */

/* Whose bytes: all zero is the platform. */
typedef struct bh_scope {
	char merchant[BH_NAME_MAX + 1]; /* "" for the platform */
	char cls[BH_NAME_MAX + 1];      /* data class; "" for the platform */
} bh_scope;

static inline bool bh_scope_is_platform(const bh_scope *s)
{
	return s->merchant[0] == '\0';
}

static inline bool bh_scope_is_same(const bh_scope *a, const bh_scope *b)
{
	return strcmp(a->merchant, b->merchant) == 0 && strcmp(a->cls, b->cls) == 0;
}

/* Appends the canonical context to `out`. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_context_encode(const uint8_t database[BH_ID_LEN], const char *region, const bh_scope *scope,
					  const uint8_t dek_id[BH_ID_LEN], bh_buf *out);

#ifdef __cplusplus
}
#endif
#endif
