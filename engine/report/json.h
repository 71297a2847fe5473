/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h: values of the documents that tell of a database: what bhctl prints with --json, and what is said through the door.
 *
 * JSON is UTF-8 (RFC 8259); bytes that are none stand in hex, in a member NAME_hex in place of NAME. Thread-safety: as for plain
 * data.
 */
#ifndef BH_ENGINE_JSON_H
#define BH_ENGINE_JSON_H

#include <jansson.h>

#include "keyring/base/base.h"
#include "keyring/dek/context.h"
#include "keyring/kms/kms.h"

/* {"code": exit code, "name": ..., "message": ...} of this thread's last failure, its message as bh_json_sentence() makes it. */
json_t *bh_json_error(bh_status status);

/* Sets `name`, or `name`_hex where `hex` or the bytes are not UTF-8. */
void bh_json_set_bytes(json_t *object, const char *name, bh_view bytes, bool hex);
/* The same for a path, a URI, or what else the system lets be any bytes. */
void bh_json_set_text(json_t *object, const char *name, const char *text);
/* {`name`: text}, likewise. */
json_t *bh_json_with_text(const char *name, const char *text);
/* What bh_json_set_text() has set, as text or in hex; "" where there is nothing. Borrowed from `object`. */
const char *bh_json_text_of(const json_t *object, const char *name);
/* Appends the bytes of the member `name`, or of `name`_hex; none where there is neither. Errors: BH_E_FORMAT (no text, no hex). */
BH_MUST_CHECK bh_status bh_json_get_bytes(const json_t *object, const char *name, bh_buf *out);
/* A JSON string for people to read: what is not UTF-8 in it is escaped. */
json_t *bh_json_sentence(const char *text);
/* Sets `name` to the id in hex. */
void bh_json_set_id(json_t *object, const char *name, const uint8_t id[BH_ID_LEN]);
/* Sets `name` to the time as 2026-01-31T12:00:00Z. */
void bh_json_set_time(json_t *object, const char *name, int64_t at_s);
#define BH_TIME_TEXT_SIZE 32
void bh_time_text(int64_t at_s, char out[BH_TIME_TEXT_SIZE]);

/* Appends the bytes in the escaped form, or in hex. */
BH_MUST_CHECK bh_status bh_escape(bh_view bytes, bool hex, bh_buf *out);

/* What a KMS says of a CMK. NULL: no memory. */
json_t *bh_json_kms_key(const bh_kms_key_info *info);

#endif
