/* SPDX-License-Identifier: Apache-2.0
 *
 * load_line.h: one line of an input file of `load`: a key and a value.
 *
 * tsv: KEY<tab>VALUE, where \t \n \r \\ and \xHH stand for a tab, a newline, a carriage return, a backslash, any byte; what `scan`
 * prints. jsonl: an object with "key" or "key_hex" and "value" or "value_hex", strings all of them, and nothing else.
 * Thread-safety: pure.
 */
#ifndef BHCTL_LOAD_LINE_H
#define BHCTL_LOAD_LINE_H

#include "keyring/base/base.h"

/* Reads a line without its newline into `key` and `value`, whose content is replaced. Errors: BH_E_INVALID, saying what is wrong.
 */
typedef bh_status (*load_line_fn)(bh_view line, bh_buf *key, bh_buf *value);
bh_status load_line_tsv(bh_view line, bh_buf *key, bh_buf *value);
bh_status load_line_jsonl(bh_view line, bh_buf *key, bh_buf *value);

#endif
