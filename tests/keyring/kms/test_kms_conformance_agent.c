/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_agent.c: the table of conformance.h against agent:SOCKET#KEY, a real bhkms-agent behind a proxy.
 */
#include "conformance.h"
#include "local_owner.h"
#include "tests/support/kms_process.h"
#include "tests/support/slow_build.h"

static kms_process agent;
static kms_proxy proxy;

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	snprintf(out, STAND_URI_SIZE, "agent:%s#%s", proxy.path, name);
}

static void leave(void)
{
	kms_process_kill(&agent);
}

static void start(void)
{
	kms_process_restart(&agent);
}

static int setup(void **state)
{
	char path[PATH_SIZE], served[PATH_SIZE];

	(void)state;
	workspace_open(&owner_workspace);
	path_join(served, owner_workspace.root, "sock");
	path_join(path, owner_workspace.root, "proxy");
	owner_make("first");
	kms_process_start(&agent, owner_workspace.kms, served, true);
	kms_proxy_start_unix(&proxy, path, served);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kms_proxy_end(&proxy);
	kms_process_kill(&agent);
	workspace_close(&owner_workspace);
	return 0;
}

int main(void)
{
	static const kms_stand stand = {
		.scheme = "agent",
		.can = STAND_DISABLE | STAND_SCHEDULE | STAND_DESTROY | STAND_ROTATE | STAND_STOP | STAND_FAULTS,
		.absent = { [6] = "its clients are users, as the kernel says" },
		.proxy = &proxy,
		.disabled = BH_E_KMS_REFUSED,
		.destroyed = BH_E_KMS_REFUSED,
		.cut = BH_E_FORMAT,
		.garbage = BH_E_FORMAT,
		.region = "eu-1",
		.principal = "uid:",
#ifdef BH_SLOW_BUILD
		.merchants = 200,
#else
		.merchants = 1000,
#endif
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
