/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11_pair.h: A's key in a token behind the shim, and B's beside it, in files, each with a DEK wrapped.
 */
#ifndef BH_TESTS_PKCS11_PAIR_H
#define BH_TESTS_PKCS11_PAIR_H

#include "pkcs11_fixture.h"

#define CONTEXT "class=data\nmerchant=acme\n"

typedef struct pair {
	char uri[2 * PATH_SIZE];
	bh_kms *a, *b;
	bh_buf wrapped, wrapped_b;
} pair;

bh_status wrap(bh_kms *kms, bh_buf *wrapped);
bh_status unwrap(bh_kms *kms, const bh_buf *wrapped);
bh_status try_open(const char *uri);
pair pair_new(const pkcs11_fixture *f, const char *name);
void pair_end(pair *p);
void both_served(const pair *p);
/* A ends so, and its message names `next`; B is served. */
void a_ends(const pair *p, bh_status want, const char *next);
/* The module as the host program has it. */
CK_FUNCTION_LIST_PTR pkcs11_functions(const pkcs11_fixture *f);
CK_SLOT_ID pkcs11_first_slot(CK_FUNCTION_LIST_PTR functions);

#endif
