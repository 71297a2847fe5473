/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h: what KMSs answer, in JSON, and base64 (RFC 4648, 4, with padding, and in no other spelling). Pure. Thread-safety: as for
 * plain data.
 */
#ifndef BH_KMS_JSON_H
#define BH_KMS_JSON_H

#include <jansson.h>

#include "http.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The object in an answer's body. Errors: BH_E_FORMAT (no object, anything after it, a name twice). `json_decref` it. */
BH_MUST_CHECK bh_status bh_json_parse(const bh_http_answer *answer, json_t **out);
void bh_json_clear(json_t **json); /* for BH_CLEANUP */
/* Members of `object` by a path such as "data.key_version"; "", 0 and NULL where there are none of that kind. */
const char *bh_json_text(const json_t *object, const char *path);
int64_t bh_json_number(const json_t *object, const char *path);
bool bh_json_true(const json_t *object, const char *path);
const json_t *bh_json_at(const json_t *object, const char *path);

#define BH_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1) /* with the NUL */
void bh_base64(const uint8_t *data, size_t len, char *out);
/* Exactly `len` bytes. Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_unbase64(const char *text, uint8_t *out, size_t len);

#ifdef __cplusplus
}
#endif
#endif
