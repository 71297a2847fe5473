/* SPDX-License-Identifier: Apache-2.0
 *
 * infolog.h: renders what RocksDB wants to write into its info LOG, without key or value bytes.
 *
 * LOG is plain text on the platform's disk, yet RocksDB prints user keys there (manual compaction names its range, a corruption its
 * key, an edit that failed its files' boundaries). So: literal text and numbers pass; a string passes only where a rule says that
 * the call site's argument cannot hold tenant bytes, and only if it has the shape that the rule expects. Everything else is written
 * as "<withheld N bytes>". [file.cc:123] and [family]   at the start of a format, if they look like a source file and a family of
 * ours Options. and kin             configuration dumps infolog_rules.c              formats by their text, with the kind of each
 * string; and templates for lines that come ready-made (RocksDB's LogBuffer renders before it logs) EVENT_LOG_v1 parsed as JSON;
 * fields by name, the others are left out and counted A status keeps its code ("IO error: <withheld 41 bytes>").
 *
 * Thread-safety: pure.
 */
#ifndef BH_INFOLOG_H
#define BH_INFOLOG_H

#include <stdarg.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the line that `format` and `ap` make, redacted, to `out` (no NUL). `ap` is left as it was. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_infolog_render(const char *format, va_list ap, bh_buf *out);

#ifdef __cplusplus
}
#endif
#endif
