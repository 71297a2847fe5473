/* SPDX-License-Identifier: Apache-2.0
 *
 * conformance.c: see conformance.h. Beside every trouble with merchant A's key, B's is used and works.
 */
#include "conformance.h"

#include <stdatomic.h>
#include <unistd.h>

#include "keyring/dek/lease.h"

#define CONTEXT_A "class=data\ndatabase=00\ndek=11\nmerchant=a\nregion=eu\n"
#define CONTEXT_B "class=data\ndatabase=00\ndek=22\nmerchant=b\nregion=eu\n"
#define PATIENT_MS 60000 /* a deadline that is not waited for */

static const kms_stand *stand;
static unsigned serial; /* keys have names of their own in each row */

static const uint8_t dek_a[BH_DEK_LEN] = { 3, 1, 4, 1, 5 }, dek_b[BH_DEK_LEN] = { 2, 7, 1, 8 };

/* ---- one merchant: its key, open, with a DEK wrapped */

typedef struct merchant {
	char name[32], uri[STAND_URI_SIZE];
	const uint8_t *dek;
	const char *context;
	bh_kms *kms;
	bh_buf wrapped;
	uint32_t version;
} merchant;

static bh_status wrap(merchant *m)
{
	bh_buf_clear(&m->wrapped);
	return bh_kms_wrap(m->kms, bh_view_of(m->dek, BH_DEK_LEN), bh_view_str(m->context), &m->wrapped, &m->version);
}

static bh_status unwrap_with(const merchant *m, bh_view wrapped, const char *context)
{
	bh_secret out = { 0 };

	bh_status status = bh_kms_unwrap(m->kms, wrapped, bh_view_str(context), &out);
	test_check((status == BH_OK) == (out.data != NULL));
	if (status == BH_OK)
		test_check(out.len == BH_DEK_LEN && memcmp(out.data, m->dek, BH_DEK_LEN) == 0);
	bh_secret_clear(&out);
	return status;
}

static bh_status unwrap(const merchant *m)
{
	return unwrap_with(m, bh_buf_view(&m->wrapped), m->context);
}

static void open_within(merchant *m, uint32_t timeout_ms)
{
	const bh_kms_options options = { .timeout_ms = timeout_ms };

	bh_kms_close(m->kms);
	m->kms = NULL;
	test_ok(bh_kms_open(m->uri, &options, &m->kms));
}

static merchant merchant_made(bool is_a, void (*make)(const char *name))
{
	merchant m = { .dek = is_a ? dek_a : dek_b, .context = is_a ? CONTEXT_A : CONTEXT_B };

	snprintf(m.name, sizeof(m.name), "%s%u", is_a ? "a" : "b", ++serial);
	make(m.name);
	stand->uri(m.name, m.uri);
	open_within(&m, PATIENT_MS);
	test_ok(wrap(&m));
	return m;
}

static merchant merchant_new(bool is_a)
{
	return merchant_made(is_a, stand->make);
}

static void merchant_end(merchant *m)
{
	bh_kms_close(m->kms);
	bh_buf_clear(&m->wrapped);
}

/* It is served, in full. */
static void served(merchant *m)
{
	merchant again = *m;

	again.wrapped = (bh_buf){ 0 };
	test_ok(unwrap(m));
	test_ok(wrap(&again));
	test_ok(unwrap(&again));
	bh_buf_clear(&again.wrapped);
}

static void is_no(bh_status status)
{
	if (bh_lease_answer_of(status) != BH_LEASE_NO)
		test_fail_at(__FILE__, __LINE__, "'%s' is no refusal: %s", bh_status_name(status), bh_status_message());
}

static void is_wrong(bh_status status)
{
	if (bh_lease_answer_of(status) != BH_LEASE_WRONG)
		test_fail_at(__FILE__, __LINE__, "'%s' is no alarm: %s", bh_status_name(status), bh_status_message());
}

/* ---- the rows */

static void makes_wraps_and_unwraps(void)
{
	merchant a = merchant_new(true), b = merchant_new(false);
	bh_kms_key_info info;

	served(&a);
	served(&b);
	test_check(a.version == 1 && a.wrapped.len <= BH_KMS_WRAPPED_MAX);
	if (stand->principal != NULL && strstr(bh_kms_principal(), stand->principal) == NULL)
		test_fail_at(__FILE__, __LINE__, "the principal is '%s'", bh_kms_principal());
	test_ok(bh_kms_describe(a.kms, &info));
	test_check(info.state == BH_KMS_ENABLED && info.version == 1 && strcmp(info.region, stand->region) == 0);
	/* A DEK is not in its wrap, nor are two wraps of it the same. */
	test_check(memmem(a.wrapped.data, a.wrapped.len, dek_a, 5) == NULL);
	bh_buf first = a.wrapped;
	a.wrapped = (bh_buf){ 0 };
	test_ok(wrap(&a));
	test_check(first.len != a.wrapped.len || memcmp(first.data, a.wrapped.data, first.len) != 0);
	test_ok(unwrap_with(&a, bh_buf_view(&first), a.context));
	bh_buf_clear(&first);
	merchant_end(&a);
	merchant_end(&b);
}

static void there_is_no_such_key(void)
{
	char uri[STAND_URI_SIZE];
	bh_kms *kms = NULL;

	stand->uri("nobody", uri);
	test_status(bh_kms_open(uri, NULL, &kms), BH_E_NOT_FOUND);
	test_check(kms == NULL && strstr(bh_status_message(), "nobody") != NULL);
}

static void another_context_is_wrong(void)
{
	merchant a = merchant_new(true);

	is_wrong(unwrap_with(&a, bh_buf_view(&a.wrapped), CONTEXT_B));
	is_wrong(unwrap_with(&a, bh_buf_view(&a.wrapped), CONTEXT_A "x=y\n"));
	is_wrong(unwrap_with(&a, bh_buf_view(&a.wrapped), "class=data\n"));
	served(&a);
	merchant_end(&a);
}

static void another_key_is_wrong(void)
{
	merchant a = merchant_new(true), b = merchant_new(false);

	is_wrong(unwrap_with(&b, bh_buf_view(&a.wrapped), CONTEXT_A));
	is_wrong(unwrap_with(&a, bh_buf_view(&b.wrapped), CONTEXT_B));
	served(&a);
	served(&b);
	merchant_end(&a);
	merchant_end(&b);
}

/* Each byte changed, each length cut, and one more. */
static void a_damaged_wrap_is_wrong(void)
{
	merchant a = merchant_new(true);
	uint8_t bytes[BH_KMS_WRAPPED_MAX + 1] = { 0 };
	size_t len = a.wrapped.len;

	memcpy(bytes, a.wrapped.data, len);
	for (size_t i = 0; i < len; i++) {
		bytes[i] ^= (uint8_t)(1u << (i % 8));
		is_wrong(unwrap_with(&a, bh_view_of(bytes, len), a.context));
		bytes[i] = a.wrapped.data[i];
	}
	for (size_t cut = 0; cut < len; cut++)
		is_wrong(unwrap_with(&a, bh_view_of(bytes, cut), a.context));
	is_wrong(unwrap_with(&a, bh_view_of(bytes, len + 1), a.context));
	served(&a);
	merchant_end(&a);
}

static void an_old_version_still_unwraps(void)
{
	merchant a = merchant_new(true);
	merchant old = a;
	bh_kms_key_info info;

	a.wrapped = (bh_buf){ 0 };
	stand->rotate(a.name);
	test_ok(wrap(&a));
	test_check(a.version == 2 && old.version == 1);
	test_ok(unwrap(&old));
	served(&a);
	test_ok(bh_kms_describe(a.kms, &info));
	test_check(info.version == 2);
	bh_buf_clear(&old.wrapped);
	merchant_end(&a);
}

/* Neither wraps nor unwraps, while B is served. */
static void refuses(merchant *a, merchant *b, bh_status want)
{
	merchant other = *a;

	other.wrapped = (bh_buf){ 0 };
	test_status(unwrap(a), want);
	is_no(want);
	test_check(strstr(bh_status_message(), a->name) != NULL);
	is_no(wrap(&other));
	bh_buf_clear(&other.wrapped);
	served(b);
}

static void disabled_refuses_until_enabled(void)
{
	merchant a = merchant_new(true), b = merchant_new(false);
	bh_kms_key_info info;

	stand->disable(a.name);
	refuses(&a, &b, stand->disabled);
	test_ok(bh_kms_describe(a.kms, &info));
	test_check(info.state == BH_KMS_DISABLED);
	open_within(&a, PATIENT_MS); /* its state is not looked at */
	refuses(&a, &b, stand->disabled);
	stand->enable(a.name);
	served(&a);
	merchant_end(&a);
	merchant_end(&b);
}

static void pending_deletion_refuses(void)
{
	merchant a = merchant_made(true, stand->make_late != NULL ? stand->make_late : stand->make), b = merchant_new(false);
	bh_kms_key_info info;

	stand->schedule(a.name);
	refuses(&a, &b, stand->disabled);
	test_ok(bh_kms_describe(a.kms, &info));
	test_check(info.state == BH_KMS_PENDING_DELETION && info.scheduled_s > 0);
	merchant_end(&a);
	merchant_end(&b);
}

static void destroyed_refuses_for_good(void)
{
	merchant a = merchant_new(true), b = merchant_new(false);
	bh_kms_evidence evidence = { 0 };

	if (stand->destroy != NULL) {
		stand->destroy(a.name);
	} else {
		test_ok(bh_kms_destroy(a.kms, &evidence));
		test_check(evidence.state == BH_KMS_DESTROYED || evidence.state == BH_KMS_PENDING_DELETION);
		test_check(evidence.at_s > 0);
	}
	refuses(&a, &b, stand->destroyed);
	merchant_end(&a);
	merchant_end(&b);
}

static void a_stopped_server_gives_no_answer(void)
{
	merchant a = merchant_new(true);
	bh_kms *kms = NULL;

	stand->leave();
	test_status(unwrap(&a), BH_E_KMS_UNREACHABLE);
	test_status(bh_kms_open(a.uri, NULL, &kms), BH_E_KMS_UNREACHABLE);
	stand->start();
	served(&a);
	merchant_end(&a);
}

static int64_t elapsed_ms(int64_t began_ns)
{
	return (bh_kms_meter_now_ns() - began_ns) / 1000000;
}

/* Within its deadline, or a machine that is busy with something else. */
static void slow_is_no_answer_in_time(void)
{
	static const proxy_mode modes[] = { PROXY_SILENT, PROXY_SLOW };
	merchant a = merchant_new(true);

	open_within(&a, STAND_SHORT_MS);
	for (size_t i = 0; i < 2; i++) {
		kms_proxy_set(stand->proxy, modes[i], 0, NULL);
		int64_t began_ns = bh_kms_meter_now_ns();
		test_status(unwrap(&a), BH_E_KMS_UNREACHABLE);
		test_check(elapsed_ms(began_ns) >= STAND_SHORT_MS / 2 && elapsed_ms(began_ns) < 30000);
	}
	kms_proxy_set(stand->proxy, PROXY_PASS, 0, NULL);
	open_within(&a, PATIENT_MS);
	served(&a);
	merchant_end(&a);
}

static void cut_off_is_told(void)
{
	static const size_t cuts[] = { 1, 3, 9, 17, 30, 60 };
	merchant a = merchant_new(true);

	kms_proxy_set(stand->proxy, PROXY_HANG_UP, 0, NULL);
	test_status(unwrap(&a), BH_E_KMS_UNREACHABLE);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		kms_proxy_set(stand->proxy, PROXY_CUT, cuts[i], NULL);
		bh_status status = unwrap(&a);
		if (status != stand->cut)
			test_fail_at(__FILE__, __LINE__, "cut after %zu bytes: '%s' (%s)", cuts[i], bh_status_name(status),
				     bh_status_message());
	}
	kms_proxy_set(stand->proxy, PROXY_PASS, 0, NULL);
	served(&a);
	merchant_end(&a);
}

static void garbage_is_told(void)
{
	merchant a = merchant_new(true);

	kms_proxy_set(stand->proxy, PROXY_GARBAGE, 0, NULL);
	test_status(unwrap(&a), stand->garbage);
	kms_proxy_set(stand->proxy, PROXY_PASS, 0, NULL);
	served(&a);
	merchant_end(&a);
}

static void credentials_end_and_come_again(void)
{
	merchant a = merchant_new(true);

	stand->expire();
	test_status(unwrap(&a), stand->expired);
	stand->renew();
	served(&a);
	merchant_end(&a);
}

/* ---- many at once: each with a handle and a context of its own; keys are shared by some */

#define CROWD_KEYS 20
#define CROWD_THREADS 24

typedef struct crowd {
	char uris[CROWD_KEYS][STAND_URI_SIZE];
	atomic_size_t next, done;
} crowd;

static void crowd_one(crowd *c, size_t index)
{
	char context[128];
	merchant m = { .dek = dek_a, .context = context };

	snprintf(context, sizeof(context), "class=data\ndatabase=00\ndek=%zx\nmerchant=m%zu\nregion=eu\n", index, index);
	memcpy(m.uri, c->uris[index % CROWD_KEYS], sizeof(m.uri));
	open_within(&m, PATIENT_MS);
	test_ok(wrap(&m));
	test_ok(unwrap(&m));
	merchant_end(&m);
	atomic_fetch_add(&c->done, 1);
}

static void *crowd_main(void *arg)
{
	crowd *c = arg;

	for (;;) {
		size_t index = atomic_fetch_add(&c->next, 1);
		if (index >= stand->merchants)
			return NULL;
		crowd_one(c, index);
	}
}

static void many_merchants_at_once(void)
{
	static crowd c;
	pthread_t threads[CROWD_THREADS];
	char name[32];

	atomic_store(&c.next, 0);
	atomic_store(&c.done, 0);
	for (size_t i = 0; i < CROWD_KEYS; i++) {
		snprintf(name, sizeof(name), "crowd%zu", i);
		stand->make(name);
		stand->uri(name, c.uris[i]);
	}
	for (size_t i = 0; i < CROWD_THREADS; i++)
		test_check(pthread_create(&threads[i], NULL, crowd_main, &c) == 0);
	for (size_t i = 0; i < CROWD_THREADS; i++)
		pthread_join(threads[i], NULL);
	test_check(atomic_load(&c.done) == stand->merchants);
}

/* ---- the table */

static const struct {
	const char *name;
	void (*run)(void);
	unsigned needs;
} rows[] = {
	{ "makes, wraps and unwraps", makes_wraps_and_unwraps, 0 },
	{ "there is no such key", there_is_no_such_key, 0 },
	{ "another context is wrong", another_context_is_wrong, 0 },
	{ "another key is wrong", another_key_is_wrong, 0 },
	{ "a damaged wrap is wrong", a_damaged_wrap_is_wrong, 0 },
	{ "an old version still unwraps", an_old_version_still_unwraps, STAND_ROTATE },
	{ "disabled refuses until enabled", disabled_refuses_until_enabled, STAND_DISABLE },
	{ "pending deletion refuses", pending_deletion_refuses, STAND_SCHEDULE },
	{ "destroyed refuses for good", destroyed_refuses_for_good, STAND_DESTROY },
	{ "a stopped server gives no answer", a_stopped_server_gives_no_answer, STAND_STOP },
	{ "slow is no answer in time", slow_is_no_answer_in_time, STAND_FAULTS },
	{ "cut off is told", cut_off_is_told, STAND_FAULTS },
	{ "garbage is told", garbage_is_told, STAND_FAULTS },
	{ "credentials end and come again", credentials_end_and_come_again, STAND_EXPIRE },
	{ "many merchants at once", many_merchants_at_once, 0 },
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const char *absent_reason(unsigned need)
{
	for (size_t bit = 0; bit < 8; bit++)
		if (need == 1u << bit)
			return stand->absent[bit];
	return NULL;
}

static void run_row(void **state)
{
	const size_t row = *(const size_t *)*state;

	if ((rows[row].needs & ~stand->can) == 0) {
		rows[row].run();
		return;
	}
	const char *reason = absent_reason(rows[row].needs);
	test_check(reason != NULL); /* a row is left out for a reason alone */
	print_message("%s: none, since %s\n", rows[row].name, reason);
}

int conformance_run(const kms_stand *of, int (*setup)(void **state), int (*teardown)(void **state))
{
	static size_t numbers[ROW_COUNT];
	static struct CMUnitTest tests[ROW_COUNT];

	stand = of;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		numbers[i] = i;
		tests[i] = (struct CMUnitTest){ .name = rows[i].name, .test_func = run_row, .initial_state = &numbers[i] };
	}
	return _cmocka_run_group_tests(stand->scheme, tests, ROW_COUNT, setup, teardown);
}
