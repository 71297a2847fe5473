/* SPDX-License-Identifier: Apache-2.0
 *
 * evening.c: two merchants in one database; one is suspended, resumed, and shredded. The other notices nothing.
 * cc -o evening evening.c $(pkg-config --cflags --libs bulkhead)
 */
#include <bulkhead/bulkhead.h>

#include <stdio.h>
#include <stdlib.h>

/* Ends the program unless the call was done. The message says which merchant, file or key, and what to do next. */
static void must(bh_status status)
{
	if (status == BH_OK)
		return;
	fprintf(stderr, "%s: %s\n", bh_status_name(status), bh_status_message());
	exit(bh_status_exit_code(status));
}

/* Adds a merchant under a key of its own, with one class of data and one row in it. */
static bh_cf *add(bh_db *db, const char *name, const char *key_uri, const char *row)
{
	const char *const classes[] = { "profile" };
	const bh_merchant_options options = { .classes = classes, .class_count = 1 };
	const bh_write_options durable = { .sync = true };
	bh_cf *cf;

	must(bh_kms_create(key_uri, "eu", NULL)); /* the customer does this, in a KMS of its own */
	must(bh_merchant_add(db, name, key_uri, &options));
	must(bh_cf_open(db, name, "profile", &cf));
	must(bh_put(cf, &durable, bh_view_str("user:17"), bh_view_str(row)));
	return cf;
}

static void show(const char *when, bh_cf *cf)
{
	bh_buf value = { 0 };
	bh_status status = bh_get(cf, NULL, bh_view_str("user:17"), &value);

	if (status == BH_OK)
		printf("%s: user:17 is %.*s\n", when, (int)value.len, (const char *)value.data);
	else
		printf("%s: %s\n", when, bh_status_name(status));
	bh_buf_clear(&value);
}

static void shred(bh_db *db, const char *name)
{
	bh_certificate_info info;
	bh_buf certificate = { 0 };

	must(bh_merchant_shred(db, name, &certificate));
	must(bh_certificate_verify(bh_buf_view(&certificate), NULL, &info));
	printf("the certificate of %s is %s\n", info.merchant, info.is_final ? "FINAL" : "PENDING");
	bh_buf_clear(&certificate);
}

int main(void)
{
	bh_cf *acme, *blue;
	bh_db *db;

	must(bh_kms_create("local:evening-kms#platform", "eu", NULL));
	must(bh_db_create("evening-db", "eu", "local:evening-kms#platform", NULL));
	must(bh_db_open("evening-db", NULL, &db));
	acme = add(db, "acme", "local:evening-kms#acme", "Ada");
	blue = add(db, "blue", "local:evening-kms#blue", "Grace");
	show("acme", acme);
	must(bh_merchant_suspend(db, "acme", NULL));
	show("acme, suspended", acme);
	show("blue meanwhile", blue);
	must(bh_merchant_resume(db, "acme", NULL));
	show("acme, resumed", acme);
	shred(db, "acme");
	show("acme, shredded", acme);
	show("blue still", blue);
	bh_cf_close(acme);
	bh_cf_close(blue);
	bh_db_close(db);
	return 0;
}
