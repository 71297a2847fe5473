/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate.c: makes the certificate of a shred. The table of fields is in README.md.
 *
 * A part that could not be made is NULL, and so is whatever it is put into: one look at the end is enough, and a certificate that
 * lacks something for want of memory is never signed.
 */
#include "certificate.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SALTS_LABEL "bulkhead file salts v1"

/* ---- salts */

void bh_salts_clear(bh_salts *salts)
{
	free(salts->items);
	*salts = (bh_salts){ 0 };
}

/* Where `salt` is, or where it would be. */
static size_t salt_place(const bh_salts *salts, const uint8_t salt[BH_SALT_LEN], bool *there)
{
	size_t from = 0, to = salts->count;

	*there = false;
	while (from < to && !*there) {
		size_t middle = from + (to - from) / 2;
		int order = memcmp(salts->items[middle], salt, BH_SALT_LEN);

		*there = order == 0;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return *there ? to : from;
}

bh_status bh_salts_add(bh_salts *salts, const uint8_t salt[BH_SALT_LEN])
{
	bool there;
	size_t at = salt_place(salts, salt, &there);

	if (there)
		return BH_OK;
	if (salts->count == salts->cap) {
		size_t cap = salts->cap > 0 ? 2 * salts->cap : 64;
		void *items = realloc(salts->items, cap * sizeof(*salts->items));

		if (items == NULL)
			return bh_fail(BH_E_NOMEM, "no memory for the salts of %zu files", cap);
		salts->items = items;
		salts->cap = cap;
	}
	memmove(&salts->items[at + 1], &salts->items[at], (salts->count - at) * sizeof(*salts->items));
	memcpy(salts->items[at], salt, BH_SALT_LEN);
	salts->count++;
	return BH_OK;
}

bh_status bh_salts_digest(const bh_salts *salts, uint8_t out[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	BH_TRY(bh_buf_append(&bytes, SALTS_LABEL, strlen(SALTS_LABEL)));
	BH_TRY(bh_buf_append(&bytes, salts->items, salts->count * sizeof(*salts->items)));
	return bh_sha256(bh_buf_view(&bytes), out);
}

/* ---- values */

void bh_time_format(int64_t at_ms, char out[BH_TIME_SIZE])
{
	time_t at = (time_t)(at_ms / 1000);
	char date[24];
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(out, BH_TIME_SIZE, "%lld", (long long)at_ms);
	else
		snprintf(out, BH_TIME_SIZE, "%s.%03dZ", date, (int)(at_ms % 1000));
}

static void fail(json_t **part)
{
	json_decref(*part);
	*part = NULL;
}

/* These take `value` over. */
static void set(json_t **object, const char *name, json_t *value)
{
	if (json_object_set_new(*object, name, value) != 0)
		fail(object);
}

static void append(json_t **array, json_t *value)
{
	if (json_array_append_new(*array, value) != 0)
		fail(array);
}

static void set_time(json_t **object, const char *name, int64_t at_ms)
{
	char text[BH_TIME_SIZE];

	if (at_ms == 0)
		return;
	bh_time_format(at_ms, text);
	set(object, name, json_string(text));
}

static json_t *hex(const uint8_t *bytes, size_t len)
{
	char text[2 * 64 + 1];

	bh_hex(bytes, len, text);
	return json_string(text);
}

static void set_any_text(json_t **object, const char *name, const char *text)
{
	BH_CLEANUP(bh_buf_clear) bh_buf digits = { 0 };
	json_t *value = json_string(text);
	char name_hex[64];

	if (value != NULL) {
		set(object, name, value);
		return;
	}
	snprintf(name_hex, sizeof(name_hex), "%s_hex", name);
	if (bh_buf_reserve(&digits, 2 * strlen(text) + 1) != BH_OK) {
		fail(object);
		return;
	}
	bh_hex((const uint8_t *)text, strlen(text), (char *)digits.data);
	set(object, name_hex, json_string((const char *)digits.data));
}

/* Nothing for an empty text. A path or a message may be no UTF-8: then it is in NAME_hex. */
static void set_text(json_t **object, const char *name, const char *text)
{
	if (text[0] != '\0')
		set_any_text(object, name, text);
}

/* ---- the parts */

static json_t *database_json(const bh_certificate_facts *facts)
{
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];

	bh_signer_public(bh_keyring_signer(facts->keyring), public_key);
	return json_pack("{s:o, s:s, s:o}", "id", hex(bh_keyring_database_id(facts->keyring), BH_ID_LEN), "region",
			 bh_keyring_region(facts->keyring), "public_key", hex(public_key, sizeof(public_key)));
}

static json_t *merchant_json(const bh_certificate_facts *facts)
{
	return json_pack("{s:s, s:o, s:s}", "name", facts->merchant->name, "id", hex(facts->merchant->id, BH_ID_LEN), "region",
			 facts->merchant->region);
}

static json_t *families_json(const bh_merchant_info *merchant)
{
	json_t *families = json_array();

	for (size_t i = 0; i < merchant->class_count; i++)
		append(&families, json_sprintf("%s/%s", merchant->name, merchant->classes[i]));
	return families;
}

static json_t *dek_json(const bh_dek_info *dek)
{
	json_t *item = json_pack("{s:o, s:s, s:I, s:I, s:o}", "id", hex(dek->id, BH_ID_LEN), "class", dek->scope.cls, "generation",
				 (json_int_t)dek->generation, "cmk_version", (json_int_t)dek->cmk_version, "fingerprint",
				 hex(dek->fingerprint, sizeof(dek->fingerprint)));

	set_time(&item, "created", dek->created_at_s * 1000);
	return item;
}

/* Also tells the newest CMK version that wrapped one of them. */
static bh_status deks_json(const bh_certificate_facts *facts, uint32_t *cmk_version_out, json_t **out)
{
	bh_dek_info *deks = NULL;
	size_t count = 0;

	BH_TRY(bh_keyring_deks(facts->keyring, &deks, &count));
	*out = json_array();
	*cmk_version_out = 0;
	for (size_t i = 0; i < count; i++) {
		if (memcmp(deks[i].merchant_id, facts->merchant->id, BH_ID_LEN) != 0)
			continue;
		append(out, dek_json(&deks[i]));
		*cmk_version_out = BH_MAX(*cmk_version_out, deks[i].cmk_version);
	}
	free(deks);
	return BH_OK;
}

static json_t *files_json(const bh_certificate_facts *facts)
{
	json_t *files = json_pack("{s:I, s:o}", "count", (json_int_t)facts->shred->file_count, "salts_sha256",
				  hex(facts->shred->salts, sizeof(facts->shred->salts)));
	json_t *salts;

	if (facts->salts == NULL)
		return files;
	salts = json_array();
	for (size_t i = 0; i < facts->salts->count; i++)
		append(&salts, hex(facts->salts->items[i], BH_SALT_LEN));
	set(&files, "salts", salts);
	return files;
}

static json_t *times_json(const bh_shred_record *shred)
{
	json_t *times = json_object();

	set_time(&times, "asked", shred->asked_at_ms);
	set_time(&times, "unreadable", shred->unreadable_at_ms);
	set_time(&times, "finished", shred->destroyed_at_ms);
	return times;
}

/* What a KMS said of its CMK. */
static void set_answer(json_t **cmk, const bh_shred_answer *answer)
{
	set_time(cmk, "asked", answer->at_ms);
	if (answer->state != 0)
		set_text(cmk, "state", bh_kms_key_state_name(answer->state));
	set_time(cmk, "destroyed", answer->destroyed_at_s * 1000);
	set_time(cmk, "scheduled_for", answer->scheduled_s * 1000);
	set_text(cmk, "request_id", answer->request_id);
	if (answer->status != BH_OK) {
		set_text(cmk, "error", bh_status_name(answer->status));
		set_text(cmk, "message", answer->message);
	}
}

static json_t *cmk_json(const bh_certificate_facts *facts, uint32_t version)
{
	json_t *cmk = json_pack("{s:I}", "version", (json_int_t)version);

	set_text(&cmk, "uri", facts->merchant->cmk_uri);
	set_answer(&cmk, &facts->shred->cmk);
	return cmk;
}

static void add_probe(json_t **proof, const char *operation, const bh_shred_probe *probe)
{
	json_t *item;

	if (probe->at_ms == 0)
		return;
	item = json_pack("{s:s, s:s}", "operation", operation, "result", bh_status_name(probe->status));
	set_time(&item, "at", probe->at_ms);
	append(proof, item);
}

static json_t *proof_json(const bh_shred_record *shred)
{
	json_t *proof = json_array();

	add_probe(&proof, "unwrap", &shred->unwrap);
	add_probe(&proof, "wrap", &shred->wrap);
	return proof;
}

/* The CMKs that wrapped its DEKs before that one: who has an older keyring can ask them. */
static json_t *former_json(const bh_former_cmk *former, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *cmk = json_object(), *proof = json_array();

		set_text(&cmk, "uri", former[i].uri);
		set_time(&cmk, "left", former[i].left_at_s * 1000);
		set_answer(&cmk, &former[i].answer);
		add_probe(&proof, "wrap", &former[i].wrap);
		set(&cmk, "proof", proof);
		append(&array, cmk);
	}
	return array;
}

/* How far the audit log had come: what the certificate says is in it by then, and in no other place. */
static json_t *audit_json(const bh_certificate_facts *facts)
{
	bh_audit_position position;

	bh_audit_position_get(bh_keyring_audit(facts->keyring), &position);
	return json_pack("{s:I, s:o}", "size", (json_int_t)position.size, "root", hex(position.root, sizeof(position.root)));
}

/* ---- what the certificate promises */

static const char *const covered[] = {
	"every file that the merchant had in this database: they are removed, and the DEKs that opened them are destroyed",
	"records of the merchant in logs that it shared with others: they are encrypted under the same DEKs",
	("backups and older copies of this database: their DEKs are wrapped under the CMKs that are named here, the former ones "
	 "included, and do not unwrap once these are gone"),
};

static const char *const not_covered[] = {
	"copies of the CMK's material outside of the KMS that is named here",
	"data that left this database in plaintext, such as what was read, exported or logged by applications",
	"names of merchant and classes, sizes and times of files, numbers of records: they were never encrypted",
};

static json_t *texts_json(const char *const *texts, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		append(&array, json_string(texts[i]));
	return array;
}

/* Why a CMK does not count as destroyed, and what can be done. */
static const char *why_pending(const bh_shred_answer *answer)
{
	if (answer->at_ms == 0)
		return "its KMS was not asked yet: 'merchant shred NAME --finalize' does";
	if (bh_kms_gave_no_answer(answer->status))
		return "the KMS gave no answer: ask it again with 'merchant shred NAME --finalize'";
	if (answer->status != BH_OK)
		return "the KMS did not destroy the CMK: only its owner, the merchant, can; then 'merchant shred NAME --finalize'";
	if (answer->state != BH_KMS_DESTROYED)
		return "the KMS has not destroyed the CMK yet: ask it again with 'merchant shred NAME --finalize'";
	return "the KMS says that the CMK is destroyed, but it did not refuse to use it afterwards";
}

static void append_pending(json_t **keys, const char *uri, const bh_shred_answer *answer)
{
	json_t *key = json_pack("{s:s}", "why", why_pending(answer));

	set_text(&key, "uri", uri);
	append(keys, key);
}

/* The CMKs that are not known to be destroyed. */
static json_t *pending_keys_json(const bh_certificate_facts *facts, const bh_former_cmk *former, size_t count)
{
	json_t *keys = json_array();

	if (!bh_shred_is_final(facts->shred))
		append_pending(&keys, facts->merchant->cmk_uri, &facts->shred->cmk);
	for (size_t i = 0; i < count; i++)
		if (!bh_former_cmk_is_gone(&former[i]))
			append_pending(&keys, former[i].uri, &former[i].answer);
	return keys;
}

/* In one sentence: the first of the keys, and how many others there are. */
static void set_pending(json_t **body, const bh_certificate_facts *facts, json_t *keys)
{
	const json_t *first = json_array_get(keys, 0);
	json_t *text;

	if (facts->shred->destroyed_at_ms == 0)
		text = json_string("the shred is under way");
	else if (json_array_size(keys) > 1)
		text = json_sprintf("%s (and %zu other CMKs, in pending_cmks)", json_string_value(json_object_get(first, "why")),
				    json_array_size(keys) - 1);
	else
		text = json_copy(json_object_get(first, "why"));
	set(body, "pending", text);
	set(body, "pending_cmks", keys);
}

static bh_status body_json(const bh_certificate_facts *facts, const bh_former_cmk *former, size_t former_count, json_t **out)
{
	json_t *keys = pending_keys_json(facts, former, former_count), *deks = NULL;
	bool is_final = keys != NULL && json_array_size(keys) == 0 && facts->shred->destroyed_at_ms != 0;
	uint32_t cmk_version = 0;
	bh_status status = deks_json(facts, &cmk_version, &deks);

	if (status != BH_OK || keys == NULL) {
		json_decref(keys);
		json_decref(deks);
		return status != BH_OK ? status : bh_fail(BH_E_NOMEM, "no memory for a certificate");
	}
	*out = json_pack("{s:s, s:i, s:s, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "format",
			 BH_CERTIFICATE_FORMAT, "version", BH_CERTIFICATE_VERSION, "status", is_final ? "FINAL" : "PENDING",
			 "merchant", merchant_json(facts), "database", database_json(facts), "scope", "column_families",
			 families_json(facts->merchant), "deks", deks, "files", files_json(facts), "times",
			 times_json(facts->shred), "cmk", cmk_json(facts, cmk_version), "former_cmks",
			 former_json(former, former_count), "proof", proof_json(facts->shred), "audit", audit_json(facts),
			 "covered", texts_json(covered, sizeof(covered) / sizeof(covered[0])), "not_covered",
			 texts_json(not_covered, sizeof(not_covered) / sizeof(not_covered[0])));
	if (*out != NULL && !is_final)
		set_pending(out, facts, keys);
	else
		json_decref(keys);
	return *out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "no memory for a certificate");
}

/* ---- signature */

static bh_status sign(const bh_certificate_facts *facts, json_t *body)
{
	uint8_t signature[BH_SIGNATURE_LEN];
	char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	bh_status status = text != NULL ? bh_sign(bh_keyring_signer(facts->keyring), bh_view_str(text), signature)
					: bh_fail(BH_E_NOMEM, "no memory for a certificate");

	free(text);
	BH_TRY(status);
	return json_object_set_new(body, "signature", hex(signature, sizeof(signature))) == 0
		       ? BH_OK
		       : bh_fail(BH_E_NOMEM, "no memory for a certificate");
}

static bh_status print(const json_t *certificate, bh_buf *out)
{
	char *text = json_dumps(certificate, JSON_INDENT(2));
	bh_status status = text != NULL ? bh_buf_printf(out, "%s\n", text) : bh_fail(BH_E_NOMEM, "no memory for a certificate");

	free(text);
	return status;
}

bh_status bh_certificate_make(const bh_certificate_facts *facts, bh_buf *out)
{
	json_t *certificate = NULL;
	bh_former_cmk *former = NULL;
	size_t former_count = 0;

	BH_TRY(bh_keyring_former_cmks(facts->keyring, facts->merchant->id, &former, &former_count));
	bh_status status = body_json(facts, former, former_count, &certificate);

	free(former);
	if (status == BH_OK)
		status = sign(facts, certificate);
	if (status == BH_OK)
		status = print(certificate, out);
	json_decref(certificate);
	return status;
}
