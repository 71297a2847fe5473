/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_softhsm.c: the table of conformance.h against pkcs11: and SoftHSM.
 */
#include "pkcs11_fixture.h"
#include "pkcs11_stand.h"
#include "tests/support/slow_build.h"

#ifdef BH_SLOW_BUILD
#define MERCHANTS 200
#else
#define MERCHANTS 1000
#endif

static pkcs11_fixture f;

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	pkcs11_uri(&f, name, out, STAND_URI_SIZE);
}

static int setup(void **state)
{
	(void)state;
	pkcs11_fixture_begin(&f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pkcs11_fixture_end(&f);
	return 0;
}

int main(void)
{
	return pkcs11_stand_run(uri, "token=shop", MERCHANTS, setup, teardown);
}
