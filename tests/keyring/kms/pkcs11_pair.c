/* SPDX-License-Identifier: Apache-2.0
 *
 * pkcs11_pair.c: see pkcs11_pair.h.
 */
#include "pkcs11_pair.h"

#include <dlfcn.h>

static const uint8_t dek[BH_DEK_LEN] = { 3, 1, 4, 1, 5 };

bh_status wrap(bh_kms *kms, bh_buf *wrapped)
{
	uint32_t version = 0;

	bh_buf_clear(wrapped);
	return bh_kms_wrap(kms, bh_view_of(dek, sizeof(dek)), bh_view_str(CONTEXT), wrapped, &version);
}

bh_status unwrap(bh_kms *kms, const bh_buf *wrapped)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(kms, bh_buf_view(wrapped), bh_view_str(CONTEXT), &out);
	if (status == BH_OK)
		test_check(memcmp(out.data, dek, sizeof(dek)) == 0);
	bh_secret_clear(&out);
	return status;
}

bh_status try_open(const char *uri)
{
	bh_kms *kms = NULL;

	bh_status status = bh_kms_open(uri, NULL, &kms);
	bh_kms_close(kms);
	return status;
}

pair pair_new(const pkcs11_fixture *f, const char *name)
{
	pair p = { 0 };

	pkcs11_uri(f, name, p.uri, sizeof(p.uri));
	pkcs11_key_make(p.uri);
	test_ok(bh_kms_open(p.uri, NULL, &p.a));
	test_ok(bh_kms_open(test_cmk(&f->ws, "b"), NULL, &p.b));
	test_ok(wrap(p.a, &p.wrapped));
	test_ok(wrap(p.b, &p.wrapped_b));
	return p;
}

void pair_end(pair *p)
{
	bh_kms_close(p->a);
	bh_kms_close(p->b);
	bh_buf_clear(&p->wrapped);
	bh_buf_clear(&p->wrapped_b);
}

void both_served(const pair *p)
{
	test_ok(unwrap(p->a, &p->wrapped));
	test_ok(unwrap(p->b, &p->wrapped_b));
}

void a_ends(const pair *p, bh_status want, const char *next)
{
	test_status(unwrap(p->a, &p->wrapped), want);
	test_message_names(next);
	test_check(strstr(bh_status_message(), PKCS11_PIN) == NULL);
	test_ok(unwrap(p->b, &p->wrapped_b));
}

CK_FUNCTION_LIST_PTR pkcs11_functions(const pkcs11_fixture *f)
{
	CK_C_GetFunctionList get = NULL;
	CK_FUNCTION_LIST_PTR functions = NULL;
	void *library = dlopen(f->module, RTLD_NOW | RTLD_LOCAL);

	test_check(library != NULL);
	void *found = dlsym(library, "C_GetFunctionList");
	memcpy(&get, &found, sizeof(get));
	test_check(get(&functions) == CKR_OK);
	return functions;
}

CK_SLOT_ID pkcs11_first_slot(CK_FUNCTION_LIST_PTR functions)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;

	test_check(functions->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK && count > 0);
	return slots[0];
}
