/* SPDX-License-Identifier: Apache-2.0
 *
 * references.h: under which DEKs the bytes of a log lie, found in the log itself: its header and what is announced in its frames,
 * all of it authenticated. No key but the platform's is needed.
 */
#ifndef BH_REFERENCES_H
#define BH_REFERENCES_H

#include "env/stream/stream.h"

typedef void (*bh_dek_visitor)(void *arg, const uint8_t dek_id[BH_ID_LEN]);

/* Calls `visit` for each DEK, perhaps several times. The file may be written to meanwhile: what is in it when the call begins is
 * found. Errors: BH_E_NOT_FOUND, those of bh_stream_reader, BH_E_IO. */
BH_MUST_CHECK bh_status bh_file_references(const char *path, const bh_scopes *scopes, bh_dek_visitor visit, void *arg);

#endif
