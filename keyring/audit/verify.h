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

/* Scans the file at `path`, and demands that it ends in a checkpoint. A log that is being written may end in half an append for a
 * moment: so one that ends badly is looked at again, for up to a second, as long as it changes. Errors: those of bh_audit_scan(),
 * BH_E_NOT_FOUND, BH_E_FORMAT (no file), BH_E_TRUNCATED (empty, or ends in an append that was not finished). */
BH_MUST_CHECK bh_status bh_audit_verify(const char *path, const bh_audit_scan_options *options, bh_audit_scan_result *out);

/* Hands out the entries of a log, in order, without looking at signatures: to be read, not to be believed. A torn tail is left out
 * with the entries in it handed out all the same. Errors: as above, but for BH_E_TRUNCATED. */
BH_MUST_CHECK bh_status bh_audit_read(const char *path, bh_audit_each each, void *arg, bh_audit_scan_result *out);

#ifdef __cplusplus
}
#endif
#endif
