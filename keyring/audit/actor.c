/* SPDX-License-Identifier: Apache-2.0
 *
 * actor.c: see actor.h.
 */
#include "actor.h"

#include <pwd.h>
#include <stdio.h>

static _Thread_local const char *acting;

void bh_audit_actor_of(uid_t uid, char out[BH_NAME_MAX + 1])
{
	char buffer[4096];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found != NULL)
		snprintf(out, BH_NAME_MAX + 1, "uid:%s", found->pw_name);
	else
		snprintf(out, BH_NAME_MAX + 1, "uid:%lu", (unsigned long)uid);
}

void bh_audit_act_as(const char *actor)
{
	acting = actor;
}

const char *bh_audit_acting(void)
{
	return acting;
}
