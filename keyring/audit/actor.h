/* SPDX-License-Identifier: Apache-2.0
 *
 * actor.h: who acts, for the audit log: the process's user, or somebody for whom a thread of it works.
 */
#ifndef BH_AUDIT_ACTOR_H
#define BH_AUDIT_ACTOR_H

#include <sys/types.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "uid:<login name>", or the number where it has none. */
void bh_audit_actor_of(uid_t uid, char out[BH_NAME_MAX + 1]);

/* From now on this thread's entries name `actor`, in place of whom the log was opened with; NULL: no longer. Borrowed until then.
 */
void bh_audit_act_as(const char *actor);
const char *bh_audit_acting(void); /* NULL: nobody in particular */

#ifdef __cplusplus
}
#endif
#endif
