/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_local.c: the table of conformance.h against local:DIR#KEY.
 */
#include "conformance.h"
#include "local_owner.h"

static char away[PATH_SIZE];

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	snprintf(out, STAND_URI_SIZE, "local:%s#%s", owner_workspace.kms, name);
}

/* Its disk is not there; and is again. */
static void leave(void)
{
	path_join(away, owner_workspace.root, "away");
	test_check(rename(owner_workspace.kms, away) == 0);
}

static void start(void)
{
	test_check(rename(away, owner_workspace.kms) == 0);
}

static int setup(void **state)
{
	(void)state;
	workspace_open(&owner_workspace);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	workspace_close(&owner_workspace);
	return 0;
}

int main(void)
{
	static const char in_process[] = "it is files, and nothing that answers";
	static const kms_stand stand = {
		.scheme = "local",
		.can = STAND_DISABLE | STAND_SCHEDULE | STAND_DESTROY | STAND_ROTATE | STAND_STOP,
		.absent = { [5] = in_process, [6] = "whoever reads the directory has its keys" },
		.disabled = BH_E_KMS_REFUSED,
		.destroyed = BH_E_KMS_REFUSED,
		.region = "eu-1",
		.merchants = 1000,
		.uri = uri,
		.make = owner_make,
		.make_late = owner_make_late,
		.rotate = owner_rotate,
		.disable = owner_disable,
		.enable = owner_enable,
		.schedule = owner_schedule,
		.leave = leave,
		.start = start,
	};

	return conformance_run(&stand, setup, teardown);
}
