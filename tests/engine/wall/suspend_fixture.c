/* SPDX-License-Identifier: Apache-2.0
 *
 * suspend_fixture.c: see suspend_fixture.h.
 */
#include <bulkhead/rotation.h>
#include "suspend_fixture.h"

#include "keyring/base/crashpoint.h"
#include "engine/wall/detach.h"

bh_view row_key(char out[16], int i)
{
	return bh_view_of(out, (size_t)snprintf(out, 16, "row%06d", i));
}

void put_row(bh_cf *cf, int i, size_t len)
{
	char key[16];
	uint8_t value[600];

	memset(value, 'a' + i % 26, sizeof(value));
	test_ok(bh_put(cf, NULL, row_key(key, i), bh_view_of(value, len)));
}

void expect_put_row(bh_cf *cf, int i, size_t len)
{
	bh_buf value = { 0 };
	char key[16];

	test_ok(bh_get(cf, NULL, row_key(key, i), &value));
	test_check(value.len == len);
	for (size_t at = 0; at < len; at++)
		test_check(value.data[at] == 'a' + i % 26);
	bh_buf_clear(&value);
}

size_t row_len(int i)
{
	return i % 7 == 0 ? 500 : 40;
}

void switch_off(bh_db *db, const char *name, way how)
{
	const bh_suspend_options why = { .reason = "unpaid", .operator_name = "alice" };

	if (how == BY_OPERATOR)
		test_ok(bh_merchant_suspend(db, name, &why));
	else
		test_ok(bh_merchant_detach(db, name, BH_SUSPEND_KMS_REFUSED, "its CMK is disabled"));
}

bh_status off_status(way how)
{
	return how == BY_OPERATOR ? BH_E_SUSPENDED : BH_E_KMS_REFUSED;
}

void arm(int at)
{
	char spec[32];

	snprintf(spec, sizeof(spec), "*:%d", at);
	bh_crash_arm(spec);
}

void expect_numbered(bh_db *db, int first, int last)
{
	static const char *const names[] = { "a", "b" };

	for (int m = 0; m < 2; m++) {
		bh_cf *cf = test_cf(db, names[m], "events");

		for (int i = first; i <= last; i++) {
			char key[8], value[8];

			snprintf(key, sizeof(key), "k%d", i);
			snprintf(value, sizeof(value), "%s%d", names[m], i);
			test_expect(cf, key, value);
		}
		bh_cf_close(cf);
	}
}

void expect_both(bh_db *db, bool last)
{
	bh_cf *a = test_cf(db, "a", "events"), *p = test_cf(db, "a", "profile"), *b = test_cf(db, "b", "events");

	test_expect(a, "k1", "a1");
	test_expect(a, "k2", "a2");
	test_expect(b, "k1", "b1");
	test_expect(b, "k2", "b2");
	if (last)
		test_expect(p, "last", "word");
	bh_cf_close(a);
	bh_cf_close(p);
	bh_cf_close(b);
}

void make_two(const workspace *ws)
{
	bh_cf *a, *b;
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "a", "events", "profile");
	test_merchant_add(ws, db, "b", "events", NULL);
	a = test_cf(db, "a", "events");
	b = test_cf(db, "b", "events");
	test_put(a, "k1", "a1");
	test_put(b, "k1", "b1");
	test_ok(bh_flush(a));
	test_put(a, "k2", "a2");
	test_put(b, "k2", "b2");
	bh_cf_close(a);
	bh_cf_close(b);
	bh_db_close(db);
}

void make_two_child(void *arg)
{
	make_two(arg);
}
