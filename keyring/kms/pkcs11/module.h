/* SPDX-License-Identifier: Apache-2.0
 *
 * module.h: PKCS#11 modules: shared libraries that a CMK's URI names, and that then run in this process.
 *
 * A URI comes out of KEYRING before anything has authenticated it. So a module is loaded only from where the system's own programs
 * are: below /usr, /opt or /lib, in folders and as a file that root alone can write; or from where BULKHEAD_PKCS11_MODULES says, a
 * list of absolute paths with ':' between them, and then from nowhere else.
 *
 * A module is loaded and initialised once for its path and its own parameters, and stays. That the host program has initialised it
 * before is no matter; that it ends it is mended by initialising it again.
 *
 * Thread-safety: all calls.
 */
#ifndef BH_KMS_PKCS11_MODULE_H
#define BH_KMS_PKCS11_MODULE_H

#include <sys/types.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_P11_TEXT_MAX 512

typedef struct bh_p11_module {
	struct bh_p11_module *next;
	char path[BH_P11_TEXT_MAX], init[BH_P11_TEXT_MAX];
	CK_FUNCTION_LIST_PTR functions;
	pid_t pid; /* who initialised it: a child after a fork has one of its own */
} bh_p11_module;

/* `init`: what the module wants in C_Initialize's pReserved, or "". Errors: BH_E_KMS_REFUSED (not from there), BH_E_KMS_UNREACHABLE
 * (no such file, no module, it does not start), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_p11_module_get(const char *path, const char *init, const bh_p11_module **out);
/* It says CKR_CRYPTOKI_NOT_INITIALIZED: somebody has ended it. */
BH_MUST_CHECK bh_status bh_p11_module_again(const bh_p11_module *m);

#ifdef __cplusplus
}
#endif
#endif
