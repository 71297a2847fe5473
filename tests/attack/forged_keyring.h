/* SPDX-License-Identifier: Apache-2.0
 *
 * forged_keyring.h: a KEYRING that somebody made who can write the directory: of the same database and the same merchants, with
 * their real wraps, but with a root secret and a platform DEK of his own, or with a platform DEK that he has got hold of.
 */
#ifndef BH_TESTS_FORGED_KEYRING_H
#define BH_TESTS_FORGED_KEYRING_H

#include "keyring/dek/dek.h"
#include "tests/support/support.h"

typedef struct forged_keyring {
	const char *cmk_uri; /* that wraps the attacker's keys, and that the head names */
	bool real_key;       /* the head names the real signing key, which is not that of this root */
	const bh_dek *
		log_key; /* the platform's DEK, whose real wrap takes the root's place; everything is made from it. NULL: his own */
} forged_keyring;
/* Puts it in the place of DIR's, whose real CMK has to work; AUDIT goes. The database is closed. */
void forge_keyring(const char *dir, const forged_keyring *forged);

#endif
