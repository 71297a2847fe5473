/* SPDX-License-Identifier: Apache-2.0
 *
 * verify.h: proves an audit log offline: a file, the public key, and floors if there are any. No keyring, no lock, no change.
 *
 * Thread-safety: pure but for reading the file.
 */
#ifndef BH_AUDIT_VERIFY_H
#define BH_AUDIT_VERIFY_H

#include "scan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A log is the files at `paths`, in order: those of its archive that are at hand, then what the database has. Each but the first
 * has to go on from the one before it.
 *
 * Scans them all, and demands that the last ends in a checkpoint, that what is not at hand of the log's beginning was archived by
 * who may, and that every floor can be looked at. A log that is being written may end in half an append for a moment: so one that
 * ends badly is looked at again, for up to a second, as long as it changes. *out is of the last file, but for `first`, `base`,
 * `lines` and `checkpoints`, which are of them all. Errors: those of bh_audit_scan(), BH_E_NOT_FOUND (a file; a floor lies in what
 * was archived), BH_E_FORMAT (no file), BH_E_TAG (the beginning was cut off), BH_E_TRUNCATED (empty, or ends in an append that was
 * not finished). `options->before` is ignored. */
BH_MUST_CHECK bh_status bh_audit_verify(const char *const *paths, size_t count, const bh_audit_scan_options *options,
					bh_audit_scan_result *out);

/* Hands out the entries of a log, in order, without looking at signatures: to be read, not to be believed. A torn tail is left out
 * with the entries in it handed out all the same. Errors: those of bh_audit_scan() that need no key, BH_E_NOT_FOUND, BH_E_FORMAT.
 */
BH_MUST_CHECK bh_status bh_audit_read(const char *const *paths, size_t count, bh_audit_each each, void *arg,
				      bh_audit_scan_result *out);

#ifdef __cplusplus
}
#endif
#endif
