/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_conformance_keywrap.c: the table of conformance.h against pkcs11: and a token that has CKM_AES_KEY_WRAP_PAD and no GCM:
 * a SoftHSM of which the latter is hidden.
 */
#include "pkcs11_fixture.h"
#include "pkcs11_stand.h"

static pkcs11_fixture f;

static void uri(const char *name, char out[STAND_URI_SIZE])
{
	pkcs11_uri(&f, name, out, STAND_URI_SIZE);
}

static int setup(void **state)
{
	(void)state;
	pkcs11_fixture_begin(&f);
	pkcs11_shim(&f)->hide_gcm = true;
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
	return pkcs11_stand_run(uri, "token=shop", 100, setup, teardown);
}
