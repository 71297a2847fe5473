/* SPDX-License-Identifier: Apache-2.0
 *
 * archive.h: moves the beginning of DB/AUDIT to another directory, so that a log which is kept for years does not fill the
 * database's disk. Nothing of it is lost, and all of it can still be proved: the file that leaves ends in an anchor, with which the
 * file that stays begins, and the anchor is signed.
 *
 * Crash points: a kill leaves the file in the archive under a name ending in ".tmp", or whole; then an entry that says so; then
 * AUDIT.tmp, which the next writable open removes; then the shorter AUDIT. After each of them the log is whole, the archive's file
 * and AUDIT may both have the same entries, and archiving again goes on from there.
 *
 * Thread-safety: one call at a time for a log; appends go on beside it, and wait for its last step alone, a copy of what stays.
 */
#ifndef BH_AUDIT_ARCHIVE_H
#define BH_AUDIT_ARCHIVE_H

#include <bulkhead/audit.h>

#include "audit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Moves what lies before the last anchor that `known`, a position which is durable, has passed, into the directory `to`, which is
 * none of the database's. Where there is nothing to be moved yet, out->last is 0. Errors: BH_E_NOT_FOUND (there is no such
 * directory), BH_E_INVALID (within the database's), BH_E_EXISTS (another file of that name is there), BH_E_FULL, BH_E_IO, those of
 * bh_audit_scan() and bh_audit_append().
 */
BH_MUST_CHECK bh_status bh_audit_archive(bh_audit *audit, const bh_io_dir *dir, const bh_signer *signer,
					 const bh_audit_position *known, const char *to, bh_audit_archived *out);

#ifdef __cplusplus
}
#endif
#endif
