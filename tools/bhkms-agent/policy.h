/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.h: who may have what done with which key, and for whom: a file of rules, one a line, of which one has to allow a request.
 *
 *     # comment
 *     allow wrap,unwrap key=acme merchant=acme database=<32 hex> region=eu-west uid=1001
 *     allow destroy key=acme
 *
 * Fields that a rule does not name may be anything. `merchant=` without a name is the platform's own. What is compared is the
 * encryption context of the request, which the wrap is bound to: who claims another one unwraps nothing by it. A destruction has no
 * context, so it has a rule of its own. Whether a key is there, and in which state, is told to whom any rule of that key is for.
 *
 * The file is read once, before anybody is served. Thread-safety: immutable then.
 */
#ifndef BHKMS_POLICY_H
#define BHKMS_POLICY_H

#include <sys/types.h>

#include "keyring/kms/agent/wire.h"

typedef struct policy policy;

/* Reads the rules of the file `path`, which nobody but this user and root may be able to change. Errors: BH_E_INVALID (names the
 * file, the line and what is wrong there), BH_E_KMS_REFUSED (others can change it), BH_E_FORMAT (no regular file, too large),
 * BH_E_NOT_FOUND, BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status policy_read(const char *path, policy **out);
void policy_free(policy *p); /* NULL-safe */

/* Errors: BH_E_KMS_REFUSED (no rule allows it; names the user, the command and the key). */
BH_MUST_CHECK bh_status policy_check(const policy *p, const bh_agent_request *request, uid_t uid);

#endif
