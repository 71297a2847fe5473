/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11_fixture.h: a SoftHSM of this test's own, with the token "shop", and the shim that stands before it.
 */
#ifndef BH_TESTS_PKCS11_FIXTURE_H
#define BH_TESTS_PKCS11_FIXTURE_H

#include "keyring/kms/kms.h"
#include "tests/support/harness.h"
#include "tests/support/p11_shim.h"

#define PKCS11_PIN "8364-pin"

typedef struct pkcs11_fixture {
	workspace ws;
	char pin_file[PATH_SIZE];
	const char *module; /* what pkcs11_uri() names: SoftHSM itself, if nothing else is set */
} pkcs11_fixture;

void pkcs11_text_write(const char *path, const char *text);
/* A test that finds no SoftHSM fails. */
void pkcs11_token_make(const char *label);
void pkcs11_fixture_begin(pkcs11_fixture *f);
void pkcs11_fixture_end(pkcs11_fixture *f);
/* From now on the shim is named. Returns what it is told by. */
p11_shim_state *pkcs11_shim(pkcs11_fixture *f);
void pkcs11_uri(const pkcs11_fixture *f, const char *name, char *out, size_t size);
void pkcs11_key_make(const char *uri);

#endif
