/* SPDX-License-Identifier: Apache-2.0
 *
 * document_live.c: see document.h.
 */
#include "document.h"
#include "json.h"

#include <string.h>

static json_t *kms_json(const bh_kms_statistics *kms)
{
	const uint64_t failed =
		kms->refused + kms->not_found + kms->unreachable + kms->throttled + kms->sealed + kms->damaged + kms->other;
	json_t *item =
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "calls", (json_int_t)kms->calls, "failed", (json_int_t)failed,
			  "refused", (json_int_t)kms->refused, "not_found", (json_int_t)kms->not_found, "unreachable",
			  (json_int_t)kms->unreachable, "damaged", (json_int_t)kms->damaged, "other", (json_int_t)kms->other);

	json_object_set_new(item, "throttled", json_integer((json_int_t)kms->throttled));
	json_object_set_new(item, "sealed", json_integer((json_int_t)kms->sealed));
	json_object_set_new(item, "average_us", json_integer(kms->calls > 0 ? (json_int_t)(kms->latency_sum_us / kms->calls) : 0));
	json_object_set_new(item, "slowest_us", json_integer((json_int_t)kms->latency_max_us));
	if (kms->last_success_at_s != 0)
		bh_json_set_time(item, "last_success", kms->last_success_at_s);
	return item;
}

static json_t *lease_json(const bh_merchant_report *report)
{
	json_t *lease = json_pack("{s:s}", "state", report->lease);

	if (report->lease_age_ms < 0)
		return lease;
	json_object_set_new(lease, "age_ms", json_integer((json_int_t)report->lease_age_ms));
	json_object_set_new(lease, "left_ms", json_integer((json_int_t)report->lease_left_ms));
	json_object_set_new(lease, "limit_ms", json_integer((json_int_t)report->lease_limit_ms));
	return lease;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

/* A shredded merchant may have had the same name. */
static json_t *living(json_t *merchants, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(merchants, i, item)
	{
		if (strcmp(text_of(item, "name"), name) == 0 && strcmp(text_of(item, "state"), "shredded") != 0)
			return item;
	}
	return NULL;
}

void bh_document_add_live(json_t *document, const bh_db_report *report)
{
	json_t *database = json_object_get(document, "database");

	json_object_set_new(database, "background_errors", json_integer((json_int_t)report->background_errors));
	json_object_set_new(database, "platform_kms", kms_json(&report->platform_kms));
	for (size_t i = 0; i < report->merchant_count; i++) {
		json_t *item = living(json_object_get(document, "merchants"), report->merchants[i].name);

		if (item == NULL)
			continue;
		json_object_set_new(item, "lease", lease_json(&report->merchants[i]));
		json_object_set_new(item, "kms", kms_json(&report->merchants[i].kms));
		json_object_set_new(item, "suppressed_prefixes", json_integer((json_int_t)report->merchants[i].suppressed));
	}
}
