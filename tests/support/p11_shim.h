/* SPDX-License-Identifier: Apache-2.0
 *
 * p11_shim.h: a PKCS#11 module that stands before SoftHSM, and does what a token of hardware does: is taken out and put in again,
 * has no GCM, counts wrong PINs. A test finds `p11_shim` in it by dlsym().
 */
#ifndef BH_TESTS_P11_SHIM_H
#define BH_TESTS_P11_SHIM_H

#include <p11-kit/pkcs11.h>
#include <stdatomic.h>

typedef struct p11_shim_state {
	atomic_bool hide_gcm;      /* CKM_AES_GCM is not there */
	atomic_bool removed;       /* the token is out; it has lost its sessions when it comes back */
	atomic_ulong lose_login;   /* so many searches find that the login is lost, just before them */
	atomic_ulong add_flags;    /* to those of the token */
	atomic_ulong decrypt_says; /* in place of decrypting; 0: nothing */
	atomic_ulong logins;       /* so far */
} p11_shim_state;

#endif
