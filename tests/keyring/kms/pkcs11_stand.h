/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11_stand.h: the table of conformance.h against pkcs11:, whatever token it is. The owner's console is the provider's own.
 */
#ifndef BH_TESTS_PKCS11_STAND_H
#define BH_TESTS_PKCS11_STAND_H

#include "conformance.h"

/* `uri` and `principal` are the token's; `merchants` come at once. Returns cmocka's count of failures. */
int pkcs11_stand_run(void (*uri)(const char *name, char out[STAND_URI_SIZE]), const char *principal, size_t merchants,
		     int (*setup)(void **state), int (*teardown)(void **state));

#endif
