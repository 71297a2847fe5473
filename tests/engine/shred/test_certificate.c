/* SPDX-License-Identifier: Apache-2.0
 *
 * test_certificate.c: a certificate holds as it was signed, however it is printed, and in no other form: every member changed,
 * removed or added, every truncation, the signature cut, another key. What makes one FINAL. Where it is kept.
 */
#include <jansson.h>

#include "engine/shred/certificate.h"
#include "tests/keyring/ring/keyring_fixture.h"

typedef struct certified {
	keyring_fixture f;
	bh_keyring *keyring;
	bh_merchant_info merchant;
	bh_shred_record shred;
	bh_salts salts;
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
} certified;

static void add_salt(certified *c, uint8_t first)
{
	uint8_t salt[BH_SALT_LEN] = { first };

	assert_done(bh_salts_add(&c->salts, salt));
}

static int setup(void **state)
{
	certified *c = calloc(1, sizeof(*c));

	c->f = fixture_make_keyring();
	c->keyring = fixture_open(&c->f);
	fixture_add(&c->f, c->keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(c->keyring, "acme", BH_MERCHANT_SHREDDING));
	assert_done(bh_keyring_merchant_destroy(c->keyring, "acme"));
	assert_done(bh_keyring_merchant(c->keyring, "acme", &c->merchant));
	assert_done(bh_keyring_shred(c->keyring, c->merchant.id, &c->shred));
	assert_done(bh_keyring_shred_ask(c->keyring, c->merchant.id, &c->shred));
	add_salt(c, 2);
	add_salt(c, 1);
	add_salt(c, 2);
	c->shred.file_count = c->salts.count;
	c->shred.unreadable_at_ms = c->shred.asked_at_ms + 1;
	assert_done(bh_salts_digest(&c->salts, c->shred.salts));
	bh_signer_public(bh_keyring_signer(c->keyring), c->public_key);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	certified *c = *state;

	bh_salts_clear(&c->salts);
	bh_merchant_info_clear(&c->merchant);
	bh_keyring_close(c->keyring);
	fixture_remove(&c->f);
	free(c);
	return 0;
}

static bh_buf make(const certified *c, const bh_salts *salts)
{
	const bh_certificate_facts facts = { c->keyring, &c->merchant, &c->shred, salts };
	bh_buf text = { 0 };

	assert_done(bh_certificate_make(&facts, &text));
	return text;
}

static json_t *parse(const bh_buf *text)
{
	json_t *json = json_loadb((const char *)text->data, text->len, 0, NULL);

	assert_non_null(json);
	return json;
}

static bh_status verify_text(const certified *c, const char *text)
{
	return bh_certificate_verify(bh_view_str(text), c->public_key, NULL);
}

static bh_status verify_json(const certified *c, const json_t *json, size_t flags)
{
	char *text = json_dumps(json, flags);

	assert_non_null(text);
	bh_status status = verify_text(c, text);
	free(text);
	return status;
}

/* ---- as it was signed */

static void it_holds_and_says_what_happened(void **state)
{
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	char id[BH_ID_HEX_SIZE];
	bh_certificate_info info;

	assert_done(bh_certificate_verify(bh_buf_view(&text), NULL, &info));
	assert_done(bh_certificate_verify(bh_buf_view(&text), c->public_key, &info));
	assert_memory_equal(info.public_key, c->public_key, sizeof(info.public_key));
	assert_true(info.is_final);
	assert_string_equal(info.merchant, "acme");
	bh_hex(c->merchant.id, BH_ID_LEN, id);
	assert_string_equal(info.merchant_id, id);
	bh_hex(bh_keyring_database_id(c->keyring), BH_ID_LEN, id);
	assert_string_equal(info.database_id, id);

	json_t *json = parse(&text);
	const json_t *scope = json_object_get(json, "scope"), *files = json_object_get(scope, "files");
	assert_int_equal(json_array_size(json_object_get(scope, "deks")), 2);
	assert_string_equal(json_string_value(json_array_get(json_object_get(scope, "column_families"), 1)), "acme/events");
	assert_int_equal(json_integer_value(json_object_get(files, "count")), 2);
	assert_int_equal(json_array_size(json_object_get(files, "salts")), 2);
	const json_t *audit = json_object_get(json, "audit");
	bh_audit_position position;
	char root[2 * BH_SHA256_LEN + 1];
	bh_audit_position_get(bh_keyring_audit(c->keyring), &position);
	bh_hex(position.root, sizeof(position.root), root);
	assert_true(position.size > 0);
	assert_int_equal(json_integer_value(json_object_get(audit, "size")), position.size);
	assert_string_equal(json_string_value(json_object_get(audit, "root")), root);
	json_decref(json);
	bh_buf_clear(&text);
}

static void how_it_is_printed_counts_for_nothing(void **state)
{
	static const size_t styles[] = { JSON_COMPACT, JSON_INDENT(7), JSON_SORT_KEYS | JSON_INDENT(1), JSON_ENSURE_ASCII };
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	json_t *json = parse(&text);

	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		assert_done(verify_json(c, json, styles[i]));
	json_decref(json);
	bh_buf_clear(&text);
}

/* ---- in no other form */

static bool is_refused(bh_status status)
{
	return status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_VERSION;
}

static void expect_refused(const certified *c, const json_t *root, const char *what)
{
	bh_status status = verify_json(c, root, 0);

	if (!is_refused(status))
		fail_msg("%s: %s", what, bh_status_name(status));
}

/* Another value of the same kind. */
static json_t *altered(const json_t *value)
{
	if (json_is_string(value))
		return json_sprintf("%s!", json_string_value(value));
	if (json_is_integer(value))
		return json_integer(json_integer_value(value) + 1);
	return json_string("something else");
}

static unsigned alter_each(const certified *c, json_t *root, json_t *part);

static unsigned alter_members(const certified *c, json_t *root, json_t *object)
{
	unsigned leaves = 0;
	json_t *names = json_array(), *name_json;
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach(object, name, value) json_array_append_new(names, json_string(name));
	json_array_foreach(names, i, name_json)
	{
		name = json_string_value(name_json);
		json_t *kept = json_incref(json_object_get(object, name));
		leaves += alter_each(c, root, kept);
		json_object_set_new(object, name, altered(kept));
		expect_refused(c, root, name);
		json_object_del(object, name);
		expect_refused(c, root, name);
		json_object_set_new(object, name, kept);
	}
	json_decref(names);
	json_object_set_new(object, "added", json_true());
	expect_refused(c, root, "added");
	json_object_del(object, "added");
	return leaves;
}

static unsigned alter_items(const certified *c, json_t *root, json_t *array)
{
	unsigned leaves = 0;

	for (size_t i = 0; i < json_array_size(array); i++) {
		json_t *kept = json_incref(json_array_get(array, i));
		leaves += alter_each(c, root, kept);
		json_array_set_new(array, i, altered(kept));
		expect_refused(c, root, "an item");
		json_array_remove(array, i);
		expect_refused(c, root, "no item");
		json_array_insert_new(array, i, kept);
	}
	json_array_append_new(array, json_string("added"));
	expect_refused(c, root, "one more item");
	json_array_remove(array, json_array_size(array) - 1);
	return leaves;
}

static unsigned alter_each(const certified *c, json_t *root, json_t *part)
{
	if (json_is_object(part))
		return alter_members(c, root, part);
	if (json_is_array(part))
		return alter_items(c, root, part);
	return 1;
}

static void every_change_is_refused(void **state)
{
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	json_t *json = parse(&text);

	unsigned leaves = alter_each(c, json, json);
	print_message("%u values\n", leaves);
	assert_true(leaves > 40);
	assert_done(verify_json(c, json, 0));
	json_decref(json);
	bh_buf_clear(&text);
}

static void every_truncation_is_refused(void **state)
{
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);

	assert_done(bh_certificate_verify(bh_view_of(text.data, text.len - 1), c->public_key, NULL)); /* the newline */
	for (size_t len = 0; len + 1 < text.len; len++)
		assert_status(bh_certificate_verify(bh_view_of(text.data, len), c->public_key, NULL), BH_E_FORMAT);
	bh_buf_clear(&text);
}

static void every_flipped_bit_is_refused_or_means_the_same(void **state)
{
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	json_t *json = parse(&text);

	for (size_t bit = 0; bit < 8 * text.len; bit++) {
		text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		bh_status status = bh_certificate_verify(bh_buf_view(&text), c->public_key, NULL);
		if (status == BH_OK) { /* white space for other white space, hex digits in capitals: of the signature alone */
			json_t *flipped = parse(&text);
			json_object_set_new(flipped, "signature", json_incref(json_object_get(json, "signature")));
			assert_true(json_equal(json, flipped));
			json_decref(flipped);
		} else {
			assert_true(is_refused(status));
		}
		text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	json_decref(json);
	bh_buf_clear(&text);
}

static void a_signature_that_is_cut_is_refused(void **state)
{
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	json_t *json = parse(&text);
	char hex[2 * BH_SIGNATURE_LEN + 1];

	text_format(hex, sizeof(hex), "%s", json_string_value(json_object_get(json, "signature")));
	for (size_t len = strlen(hex); len-- > 0;) {
		hex[len] = '\0';
		json_object_set_new(json, "signature", json_string(hex));
		assert_status(verify_json(c, json, 0), BH_E_FORMAT);
	}
	json_decref(json);
	bh_buf_clear(&text);
}

static void another_key_is_refused(void **state)
{
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	uint8_t key[BH_PUBLIC_KEY_LEN];
	char hex[2 * BH_PUBLIC_KEY_LEN + 1];

	for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
		memcpy(key, c->public_key, sizeof(key));
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_status(bh_certificate_verify(bh_buf_view(&text), key, NULL), BH_E_TAG);
	}
	bh_hex(c->public_key, sizeof(c->public_key), hex);
	assert_non_null(strstr(bh_status_message(), hex));
	bh_buf_clear(&text);
}

/* Whoever signs a changed certificate with a key of his own has a certificate of that key, and of no other. */
static void a_certificate_signed_by_somebody_else_is_theirs(void **state)
{
	static const uint8_t seed[BH_SIGN_SEED_LEN] = { 7 };
	const certified *c = *state;
	bh_buf text = make(c, &c->salts);
	json_t *json = parse(&text);
	uint8_t theirs[BH_SIGN_PUBLIC_LEN], signature[BH_SIGNATURE_LEN];
	char hex[2 * BH_SIGNATURE_LEN + 1];
	bh_signer *signer = NULL;
	bh_certificate_info info;

	assert_done(bh_signer_new(bh_view_of(seed, sizeof(seed)), &signer));
	bh_signer_public(signer, theirs);
	bh_hex(theirs, sizeof(theirs), hex);
	json_object_set_new(json_object_get(json, "database"), "public_key", json_string(hex));
	json_object_del(json, "signature");
	char *body = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	assert_done(bh_sign(signer, bh_view_str(body), signature));
	bh_hex(signature, sizeof(signature), hex);
	json_object_set_new(json, "signature", json_string(hex));
	assert_status(verify_json(c, json, 0), BH_E_TAG);
	free(body);
	body = json_dumps(json, 0);
	assert_done(bh_certificate_verify(bh_view_str(body), NULL, &info));
	assert_memory_equal(info.public_key, theirs, sizeof(theirs));
	free(body);
	bh_signer_free(signer);
	json_decref(json);
	bh_buf_clear(&text);
}

static void what_is_no_certificate_is_refused(void **state)
{
	static const struct {
		const char *text;
		bh_status status;
	} cases[] = {
		{ "", BH_E_FORMAT },
		{ "[]", BH_E_FORMAT },
		{ "{}", BH_E_FORMAT },
		{ "{\"format\": \"another\", \"version\": 1}", BH_E_FORMAT },
		{ "{\"format\": \"bulkhead-shred-certificate\"}", BH_E_FORMAT },
		{ "{\"format\": \"bulkhead-shred-certificate\", \"version\": \"1\"}", BH_E_FORMAT },
		{ "{\"format\": \"bulkhead-shred-certificate\", \"version\": 2}", BH_E_VERSION },
		{ "{\"format\": \"bulkhead-shred-certificate\", \"version\": 1}", BH_E_FORMAT },
		{ "{\"format\": \"bulkhead-shred-certificate\", \"format\": \"bulkhead-shred-certificate\", \"version\": 1}",
		  BH_E_FORMAT },
		{ "{\"format\": \"bulkhead-shred-certificate\", \"version\": 1, \"database\": 5}", BH_E_FORMAT },
	};
	const certified *c = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_status(verify_text(c, cases[i].text), cases[i].status);
}

/* ---- FINAL or PENDING */

static bool says_final(const certified *c)
{
	bh_buf text = make(c, &c->salts);
	bh_certificate_info info;

	assert_done(bh_certificate_verify(bh_buf_view(&text), c->public_key, &info));
	json_t *json = parse(&text);
	assert_int_equal(json_object_get(json, "pending") != NULL, !info.is_final);
	json_decref(json);
	bh_buf_clear(&text);
	return info.is_final;
}

static void final_needs_all_of_it(void **state)
{
	certified *c = *state;
	const bh_shred_record whole = c->shred;

	assert_true(says_final(c));
	c->shred.destroyed_at_ms = 0;
	assert_false(says_final(c));
	c->shred = whole;
	c->shred.cmk.state = BH_KMS_PENDING_DELETION;
	c->shred.cmk.scheduled_s = 2000000000;
	assert_false(says_final(c));
	c->shred = whole;
	c->shred.cmk.status = BH_E_KMS_REFUSED;
	assert_false(says_final(c));
	c->shred.cmk.status = BH_E_KMS_UNREACHABLE;
	assert_false(says_final(c));
	c->shred = whole;
	c->shred.wrap.status = BH_OK;
	assert_false(says_final(c));
	c->shred = whole;
}

static void what_is_lost_or_no_text_is_left_out(void **state)
{
	certified *c = *state;
	char *uri = c->merchant.cmk_uri, strange[] = "local:/k\xff#a";
	bh_buf text;

	c->merchant.cmk_uri = strange;
	text = make(c, NULL);
	c->merchant.cmk_uri = uri;
	assert_done(bh_certificate_verify(bh_buf_view(&text), c->public_key, NULL));
	json_t *json = parse(&text);
	const json_t *files = json_object_get(json_object_get(json, "scope"), "files"), *cmk = json_object_get(json, "cmk");
	assert_null(json_object_get(files, "salts"));
	assert_int_equal(json_integer_value(json_object_get(files, "count")), 2);
	assert_null(json_object_get(cmk, "uri"));
	assert_string_equal(json_string_value(json_object_get(cmk, "uri_hex")), "6c6f63616c3a2f6bff2361");
	json_decref(json);
	bh_buf_clear(&text);
}

static void times_are_rfc_3339(void **state)
{
	char text[BH_TIME_SIZE];
	(void)state;

	bh_time_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	bh_time_format(INT64_C(1795485955216), text);
	assert_string_equal(text, "2026-11-24T02:05:55.216Z");
}

/* ---- where it is kept */

static void it_is_kept_and_made_anew_where_it_is_lost(void **state)
{
	certified *c = *state;
	bh_buf text = make(c, &c->salts), got = { 0 };
	bh_salts salts = { 0 };
	char name[BH_CERTIFICATE_NAME_SIZE], path[512];

	assert_status(bh_certificate_load(c->f.db, c->keyring, &c->merchant, &got), BH_E_NOT_FOUND);
	assert_done(bh_certificate_store(c->f.db, &c->merchant, bh_buf_view(&text)));
	assert_done(bh_certificate_load(c->f.db, c->keyring, &c->merchant, &got));
	assert_int_equal(got.len, text.len);
	assert_memory_equal(got.data, text.data, text.len);
	assert_done(bh_certificate_salts(bh_buf_view(&got), &salts));
	assert_int_equal(salts.count, 2);
	assert_memory_equal(salts.items, c->salts.items, 2 * sizeof(*salts.items));

	bh_certificate_name(&c->merchant, name);
	text_format(path, sizeof(path), "%s/certificates/%s", c->f.db, name);
	text.data[text.len / 2] ^= 1;
	file_store(path, bh_buf_view(&text));
	assert_true(is_refused(bh_certificate_load(c->f.db, c->keyring, &c->merchant, &got)));
	assert_int_equal(unlink(path), 0);
	c->shred.issued = true;
	assert_done(bh_keyring_shred_note(c->keyring, c->merchant.id, &c->shred));
	got.len = 0;
	assert_done(bh_certificate_get(c->f.db, c->keyring, &c->merchant, &got));
	assert_done(bh_certificate_verify(bh_buf_view(&got), c->public_key, NULL));
	assert_false(bytes_contain(bh_buf_view(&got), bh_view_str("\"salts\"")));
	bh_salts_clear(&salts);
	bh_buf_clear(&got);
	bh_buf_clear(&text);
}

static void one_of_another_merchant_is_not_taken(void **state)
{
	certified *c = *state;
	bh_buf text = make(c, &c->salts), got = { 0 };
	bh_merchant_info other = c->merchant;

	other.id[0] ^= 1;
	assert_done(bh_certificate_store(c->f.db, &other, bh_buf_view(&text)));
	assert_status(bh_certificate_load(c->f.db, c->keyring, &other, &got), BH_E_TAG);
	assert_int_equal(got.len, 0);
	bh_buf_clear(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_holds_and_says_what_happened),
		cmocka_unit_test(how_it_is_printed_counts_for_nothing),
		cmocka_unit_test(every_change_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_flipped_bit_is_refused_or_means_the_same),
		cmocka_unit_test(a_signature_that_is_cut_is_refused),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(a_certificate_signed_by_somebody_else_is_theirs),
		cmocka_unit_test(what_is_no_certificate_is_refused),
		cmocka_unit_test(final_needs_all_of_it),
		cmocka_unit_test(what_is_lost_or_no_text_is_left_out),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(it_is_kept_and_made_anew_where_it_is_lost),
		cmocka_unit_test(one_of_another_merchant_is_not_taken),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
