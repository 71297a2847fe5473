/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog_rules.h: what the info LOG may say; see infolog.h.
 *
 * A string's kind is one letter, in the tables of infolog_rules.c and in infolog.c:
 *     C  name of a column family: "default" or merchant/class
 *     F  source file
 *     L  text made of fixed words and numbers, such as a level summary; no quotes, no control characters
 *     N  a number (templates only)
 *     O  configuration: as it is
 *     P  path in the database or next to it
 *     S  status: its code is kept, its text withheld
 *     T  printable text from RocksDB itself, such as a version or a compression type
 *     X  withheld
 */
#ifndef BH_INFOLOG_RULES_H
#define BH_INFOLOG_RULES_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends `text` if it has the shape of its kind, "<withheld N bytes>" otherwise. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_infolog_string(char kind, bh_view text, bh_buf *out);
bool bh_infolog_fits(char kind, bh_view text);

/* The kinds of the strings of a format, whose leading [file], [family] and [JOB] are off; NULL: no rule, all are withheld. */
const char *bh_infolog_kinds(const char *format);

/* Appends a line that came ready-made (without its time), if it is an instance of a template; "<withheld N bytes>" otherwise. */
BH_MUST_CHECK bh_status bh_infolog_line(bh_view line, bh_buf *out);

/* Appends the JSON object of an event, reduced to the fields that are known; "<withheld N bytes>" if it does not parse. */
BH_MUST_CHECK bh_status bh_infolog_event(bh_view json, bh_buf *out);

#ifdef __cplusplus
}
#endif
#endif
