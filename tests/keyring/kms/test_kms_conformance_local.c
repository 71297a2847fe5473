/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_local.c: the table of conformance.h against local:DIR#KEY.
 */
#include "conformance.h"

static workspace ws;
static char away[PATH_SIZE];

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	snprintf(out, STAND_URI_SIZE, "local:%s#%s", ws.kms, name);
}

static bh_kms *console(const char *name)
{
	char text[STAND_URI_SIZE];
	bh_kms *kms = NULL;

	uri(name, text);
	test_ok(bh_kms_open(text, NULL, &kms));
	return kms;
}

static void make_with(const char *name, uint32_t window_s)
{
	const bh_kms_options options = { .deletion_window_s = window_s };
	char text[STAND_URI_SIZE];

	uri(name, text);
	test_ok(bh_kms_create(text, "eu-1", &options));
}

static void make(const char *name)
{
	make_with(name, 0);
}

static void make_late(const char *name)
{
	make_with(name, 86400);
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

/* Its disk is not there; and is again. */
static void stop(void)
{
	path_join(away, ws.root, "away");
	test_check(rename(ws.kms, away) == 0);
}

static void start(void)
{
	test_check(rename(away, ws.kms) == 0);
}

static int setup(void **state)
{
	(void)state;
	workspace_open(&ws);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	workspace_close(&ws);
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
