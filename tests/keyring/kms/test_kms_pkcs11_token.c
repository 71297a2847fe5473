/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_pkcs11_token.c: what happens to a token while its keys are in use: the host program uses the same module, or forks; it
 * is taken out and put in again, loses its login, answers with errors; and that no DEK stays in memory. Against SoftHSM behind a
 * shim. Beside A's key in the token stands B's, in files.
 */
#include <unistd.h>

#include "keyring/dek/lease.h"
#include "pkcs11_pair.h"
#include "tests/support/slow_build.h"
#include "tests/support/traces.h"

static pkcs11_fixture f;
static p11_shim_state *shim;

static int setup_all(void **state)
{
	(void)state;
	pkcs11_fixture_begin(&f);
	shim = pkcs11_shim(&f);
	return 0;
}

static int teardown_all(void **state)
{
	(void)state;
	pkcs11_fixture_end(&f);
	return 0;
}

/* ---- the host program, and its children */

/* It ends the module, begins it itself, is logged in, and logs out: the next call goes on in each case. */
static void a_host_that_uses_the_module_too(void **state)
{
	CK_FUNCTION_LIST_PTR functions = pkcs11_functions(&f);
	CK_SESSION_HANDLE session;
	pair p = pair_new(&f, "host");

	(void)state;
	test_check(functions->C_Finalize(NULL) == CKR_OK);
	both_served(&p);
	test_check(functions->C_Finalize(NULL) == CKR_OK);
	test_check(functions->C_Initialize(NULL) == CKR_OK);
	test_check(functions->C_OpenSession(pkcs11_first_slot(functions), CKF_SERIAL_SESSION, NULL, NULL, &session) == CKR_OK);
	test_check(functions->C_Login(session, CKU_USER, (CK_UTF8CHAR_PTR)(uintptr_t)PKCS11_PIN, strlen(PKCS11_PIN)) == CKR_OK);
	both_served(&p);
	test_check(functions->C_Logout(session) == CKR_OK);
	both_served(&p);
	test_check(functions->C_CloseAllSessions(pkcs11_first_slot(functions)) == CKR_OK);
	both_served(&p);
	pair_end(&p);
}

/* The parent's handles give no answer; a child that opens the key anew is served. */
static void in_the_child(void *arg)
{
	const pair *p = arg;
	bh_kms *own = NULL;

	test_status(unwrap(p->a, &p->wrapped), BH_E_KMS_UNREACHABLE);
	test_message_names("after a fork");
	test_ok(bh_kms_open(p->uri, NULL, &own));
	test_ok(unwrap(own, &p->wrapped));
	bh_kms_close(own);
	bh_kms_close(p->a);
}

static void a_child_after_a_fork(void **state)
{
	pair p = pair_new(&f, "forked");

	(void)state;
	test_child_ok(in_the_child, &p);
	both_served(&p);
	pair_end(&p);
}

/* ---- tokens */

static void a_token_that_is_taken_out(void **state)
{
	pair p = pair_new(&f, "removed");

	(void)state;
	for (int i = 0; i < 2; i++) {
		shim->removed = true;
		a_ends(&p, BH_E_KMS_UNREACHABLE, "is not there");
		test_status(try_open(p.uri), BH_E_KMS_UNREACHABLE);
		shim->removed = false;
		both_served(&p);
	}
	pair_end(&p);
}

/* Without a login private keys cannot be seen: that is no word of their owner's. */
static void a_login_that_is_lost_is_no_missing_key(void **state)
{
	pair p = pair_new(&f, "lost");

	(void)state;
	shim->lose_login = 1;
	a_ends(&p, BH_E_KMS_UNREACHABLE, "lost its login");
	test_check(shim->lose_login == 0);
	both_served(&p);
	pair_end(&p);
}

/* ---- return values */

static void what_return_values_mean(void **state)
{
	static const struct {
		CK_RV rv;
		bh_lease_answer means;
		bh_status status;
	} rows[] = {
		{ CKR_KEY_FUNCTION_NOT_PERMITTED, BH_LEASE_NO, BH_E_KMS_REFUSED },
		{ CKR_ACTION_PROHIBITED, BH_LEASE_NO, BH_E_KMS_REFUSED },
		{ CKR_KEY_HANDLE_INVALID, BH_LEASE_NO, BH_E_NOT_FOUND },
		{ CKR_USER_NOT_LOGGED_IN, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_SESSION_HANDLE_INVALID, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_DEVICE_REMOVED, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_DEVICE_ERROR, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_GENERAL_ERROR, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_FUNCTION_FAILED, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_VENDOR_DEFINED | 77, BH_LEASE_NO_ANSWER, BH_E_KMS_UNREACHABLE },
		{ CKR_SESSION_COUNT, BH_LEASE_NO_ANSWER, BH_E_KMS_THROTTLED },
		{ CKR_DEVICE_MEMORY, BH_LEASE_NO_ANSWER, BH_E_KMS_THROTTLED },
		{ CKR_HOST_MEMORY, BH_LEASE_NO_ANSWER, BH_E_NOMEM },
	};
	pair p = pair_new(&f, "values");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		shim->decrypt_says = rows[i].rv;
		bh_status status = unwrap(p.a, &p.wrapped);
		if (status != rows[i].status || bh_lease_answer_of(status) != rows[i].means)
			test_fail_at(__FILE__, __LINE__, "0x%lx is '%s': %s", rows[i].rv, bh_status_name(status),
				     bh_status_message());
		test_ok(unwrap(p.b, &p.wrapped_b));
	}
	shim->decrypt_says = CKR_OK;
	both_served(&p);
	pair_end(&p);
}

#ifndef BH_SLOW_BUILD /* a sanitizer keeps what was freed */
/* By either mechanism. */
static void no_dek_stays_in_memory(void **state)
{
	(void)state;
	for (int kwp = 0; kwp < 2; kwp++) {
		bh_secret key = { 0 }, again = { 0 };
		bh_buf wrapped = { 0 };
		uint32_t version;
		traced_key traced;

		shim->hide_gcm = kwp == 1;
		pair p = pair_new(&f, kwp == 1 ? "traced1" : "traced0");
		test_ok(bh_secret_random(&key, BH_DEK_LEN));
		traced = trace_of(key.data);
		test_ok(bh_kms_wrap(p.a, bh_secret_view(&key), bh_view_str(CONTEXT), &wrapped, &version));
		test_ok(bh_kms_unwrap(p.a, bh_buf_view(&wrapped), bh_view_str(CONTEXT), &again));
		test_check(traces_count(&traced, 1) >= 2);
		bh_secret_clear(&key);
		bh_secret_clear(&again);
		unsigned left = traces_count(&traced, 1);
		if (left != 0)
			test_fail_at(__FILE__, __LINE__, "%u traces are left, by mechanism %d", left, kwp + 1);
		bh_buf_clear(&wrapped);
		both_served(&p);
		pair_end(&p);
		shim->hide_gcm = false;
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_that_uses_the_module_too), cmocka_unit_test(a_child_after_a_fork),
		cmocka_unit_test(a_token_that_is_taken_out),       cmocka_unit_test(a_login_that_is_lost_is_no_missing_key),
		cmocka_unit_test(what_return_values_mean),
#ifndef BH_SLOW_BUILD
		cmocka_unit_test(no_dek_stays_in_memory),
#endif
	};

	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
