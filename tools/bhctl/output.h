/* SPDX-License-Identifier: Apache-2.0
 *
 * output.h: what goes to standard output: one JSON document, or text for people.
 *
 * Bytes of a merchant never reach a terminal as they are: in text they are escaped as `load` reads them (backslash, tab, newline,
 * other control characters and what is not UTF-8); in JSON a member NAME holds UTF-8, NAME_hex anything else. Thread-safety: none.
 */
#ifndef BHCTL_OUTPUT_H
#define BHCTL_OUTPUT_H

#include <jansson.h>
#include <stdio.h>

#include "keyring/base/base.h"
#include "keyring/dek/context.h"

/* Prints the document and releases it. NULL (no memory) and a failing write are errors. */
BH_MUST_CHECK bh_status out_json(json_t *document);
/* Flushes standard output. Errors: BH_E_IO, when not all of it could be written. */
BH_MUST_CHECK bh_status out_finish(void);

/* A document whose one long array is printed item by item: {members..., "name":[items...], members...}. */
typedef struct out_array {
	bool open;
	size_t count; /* items */
} out_array;
/* Prints the members of `head` (released; may be empty) and begins the array `name`. */
BH_MUST_CHECK bh_status out_array_begin(out_array *array, json_t *head, const char *name);
/* Prints an item and releases it. */
BH_MUST_CHECK bh_status out_array_item(out_array *array, json_t *item);
/* Ends the array, adds the members of `tail` (released), ends the document. */
BH_MUST_CHECK bh_status out_array_end(out_array *array, json_t *tail);

/* {"code": exit code, "name": ..., "message": ...} of this thread's last failure, its message as out_sentence() makes it. */
json_t *out_error(bh_status status);

/* Sets `name`, or `name`_hex where `hex` or the bytes are not UTF-8. */
void out_set_bytes(json_t *object, const char *name, bh_view bytes, bool hex);
/* The same for a path, a URI, or what else the system lets be any bytes. */
void out_set_text(json_t *object, const char *name, const char *text);
/* {`name`: text}, likewise. */
json_t *out_with_text(const char *name, const char *text);
/* What out_set_text() has set, as text or in hex; "" where there is nothing. Borrowed from `object`. */
const char *out_text_of(const json_t *object, const char *name);
/* A JSON string for people to read: what is not UTF-8 in it is escaped. */
json_t *out_sentence(const char *text);
/* Sets `name` to the id in hex. */
void out_set_id(json_t *object, const char *name, const uint8_t id[BH_ID_LEN]);
/* Sets `name` to the time as 2026-01-31T12:00:00Z. */
void out_set_time(json_t *object, const char *name, int64_t at_s);
#define OUT_TIME_SIZE 32
void out_time(int64_t at_s, char out[OUT_TIME_SIZE]);

/* Appends the bytes in the escaped form, or in hex. */
BH_MUST_CHECK bh_status out_escape(bh_view bytes, bool hex, bh_buf *out);
/* Prints them; of more than `max` bytes (0: no limit) the first ones, dots and the length. */
void out_bytes(bh_view bytes, bool hex, size_t max);

#endif
