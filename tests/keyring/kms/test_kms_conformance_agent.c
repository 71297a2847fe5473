/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_agent.c: the table of conformance.h against agent:SOCKET#KEY, a real bhkms-agent behind a proxy.
 */
#include "conformance.h"
#include "tests/support/kms_process.h"
#include "tests/support/slow_build.h"

static workspace ws;
static kms_process agent;
static kms_proxy proxy;

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	snprintf(out, STAND_URI_SIZE, "agent:%s#%s", proxy.path, name);
}

static void make(const char *name)
{
	test_ok(bh_kms_create(workspace_cmk(&ws, name), "eu-1", NULL));
}

static void make_late(const char *name)
{
	const bh_kms_options window = { .deletion_window_s = 86400 };

	test_ok(bh_kms_create(workspace_cmk(&ws, name), "eu-1", &window));
}

static bh_kms *console(const char *name)
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(&ws, name), NULL, &kms));
	return kms;
}

static void rotate(const char *name)
{
	uint32_t version = 0;
	bh_kms *kms = console(name);

	test_ok(bh_kms_rotate(kms, &version));
	bh_kms_close(kms);
}

static void disable(const char *name)
{
	bh_kms *kms = console(name);

	test_ok(bh_kms_disable(kms));
	bh_kms_close(kms);
}

static void enable(const char *name)
{
	bh_kms *kms = console(name);

	test_ok(bh_kms_enable(kms));
	bh_kms_close(kms);
}

static void schedule(const char *name)
{
	bh_kms *kms = console(name);

	test_ok(bh_kms_destroy(kms, NULL));
	bh_kms_close(kms);
}

static void stop(void)
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
	workspace_open(&ws);
	path_join(served, ws.root, "sock");
	path_join(path, ws.root, "proxy");
	make("first");
	kms_process_start(&agent, ws.kms, served, true);
	kms_proxy_start_unix(&proxy, path, served);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kms_proxy_end(&proxy);
	kms_process_kill(&agent);
	workspace_close(&ws);
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
		.make = make,
		.make_late = make_late,
		.rotate = rotate,
		.disable = disable,
		.enable = enable,
		.schedule = schedule,
		.stop = stop,
		.start = start,
	};

	return conformance_run(&stand, setup, teardown);
}
