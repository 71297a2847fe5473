/* SPDX-License-Identifier: Apache-2.0
 *
 * local_owner.h: the owner of keys in a local KMS, at its console: what the stands of local: and agent: share (conformance.h).
 */
#ifndef BH_TESTS_KMS_LOCAL_OWNER_H
#define BH_TESTS_KMS_LOCAL_OWNER_H

#include "tests/support/support.h"

extern workspace owner_workspace; /* its `kms` is the directory */

/* Of the key named `name`; each has to succeed. */
void owner_make(const char *name);
void owner_make_late(const char *name); /* with a deletion window of a day */
void owner_rotate(const char *name);
void owner_disable(const char *name);
void owner_enable(const char *name);
void owner_schedule(const char *name); /* its deletion */

#endif
