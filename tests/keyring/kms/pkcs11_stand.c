/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11_stand.c: see pkcs11_stand.h.
 */
#include "pkcs11_stand.h"

static void (*uri_of)(const char *name, char out[STAND_URI_SIZE]);

static bh_kms *console(const char *name)
{
	char text[STAND_URI_SIZE];
	bh_kms *kms = NULL;

	uri_of(name, text);
	test_ok(bh_kms_open(text, NULL, &kms));
	return kms;
}

static void make(const char *name)
{
	char text[STAND_URI_SIZE];

	uri_of(name, text);
	test_ok(bh_kms_create(text, "eu-1", NULL));
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

int pkcs11_stand_run(void (*uri)(const char *name, char out[STAND_URI_SIZE]), const char *principal, size_t merchants,
		     int (*setup)(void **state), int (*teardown)(void **state))
{
	static kms_stand stand = {
		.scheme = "pkcs11",
		.can = STAND_DISABLE | STAND_DESTROY | STAND_ROTATE,
		.absent = { [1] = "a token destroys at once",
			    [4] = "a token that is taken out is test_kms_pkcs11's",
			    [5] = "a module is called in this process",
			    [6] = "PINs that are no good are test_kms_pkcs11's" },
		.disabled = BH_E_KMS_REFUSED,
		.destroyed = BH_E_NOT_FOUND,
		.region = "eu-1",
		.make = make,
		.rotate = rotate,
		.disable = disable,
		.enable = enable,
	};

	uri_of = uri;
	stand.uri = uri;
	stand.principal = principal;
	stand.merchants = merchants;
	return conformance_run(&stand, setup, teardown);
}
