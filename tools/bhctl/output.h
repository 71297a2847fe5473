/* SPDX-License-Identifier: Apache-2.0
 *
 * output.h: what goes to standard output: one JSON document, or text for people.
 *
 * Bytes of a merchant never reach a terminal as they are: in text they are escaped as `load` reads them (backslash, tab, newline,
 * other control characters and what is not UTF-8); in JSON a member NAME holds UTF-8, NAME_hex anything else. Thread-safety: none.
 */
#ifndef BHCTL_OUTPUT_H
#define BHCTL_OUTPUT_H

#include <stdio.h>

#include "engine/report/json.h"

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

/* Prints bytes as bh_escape() writes them; of more than `max` bytes (0: no limit) the first ones, dots and the length. */
void out_bytes(bh_view bytes, bool hex, size_t max);

#endif
