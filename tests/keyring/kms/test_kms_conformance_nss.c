/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_nss.c: the table of conformance.h against pkcs11: and NSS's software token, which wants parameters of its
 * own.
 */
#include <sys/stat.h>

#include "pkcs11_stand.h"

static workspace ws;
static char pin_file[PATH_SIZE], home[PATH_SIZE];

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	static const char init[] = "configdir%%3D%%27sql%%3A%.200s%%27%%20certPrefix%%3D%%27%%27%%20keyPrefix%%3D%%27%%27"
				   "%%20secmod%%3D%%27secmod.db%%27%%20flags%%3D%%20";
	char parameters[PATH_SIZE];

	snprintf(parameters, sizeof(parameters), init, home);
	snprintf(out, STAND_URI_SIZE,
		 "pkcs11:token=NSS%%20Certificate%%20DB;object=%s?module-path=%s&pin-source=file:%.200s&region=eu-1&bh-init=%.400s",
		 name, BH_TEST_SOFTOKN, pin_file, parameters);
}

/* A test that finds no NSS fails. */
static int setup(void **state)
{
	char command[2 * PATH_SIZE + 64];

	(void)state;
	workspace_open(&ws);
	path_join(pin_file, ws.root, "pin");
	path_join(home, ws.root, "nss");
	FILE *file = fopen(pin_file, "w");
	test_check(file != NULL && fputs("8364-pin\n", file) >= 0 && fclose(file) == 0);
	test_check(mkdir(home, 0700) == 0);
	snprintf(command, sizeof(command), "certutil -N -d sql:%s -f %s", home, pin_file);
	test_check(system(command) == 0);
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
	return pkcs11_stand_run(uri, "token=NSS Certificate DB", 100, setup, teardown);
}
