/* SPDX-License-Identifier: Apache-2.0
 *
 * report_gather.c: the document of a report; see report.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "holdings.h"
#include "keyring/dek/lease.h"
#include "live.h"
#include "report.h"

typedef struct gathering {
	const char *merchant; /* NULL: all */
	holdings held;
	uint64_t seen; /* the last entry: the end of a log that is being written may be looked at again */
	json_t *names; /* name -> {"lives": how many merchant.added, "entries": [[life, entry]]} */
} gathering;

static void gathering_clear(gathering *g)
{
	holdings_clear(&g->held);
	json_decref(g->names);
}

/* ---- the log */

static const char *const told[] = {
	BH_AUDIT_MERCHANT_ADDED,    BH_AUDIT_STATE_CHANGED,        BH_AUDIT_MERCHANT_ROTATED,   BH_AUDIT_MERCHANT_MOVED,
	BH_AUDIT_DEK_RETIRED,       BH_AUDIT_DEK_DESTROYED,        BH_AUDIT_DEK_REWRAPPED,      BH_AUDIT_KEYS_DENIED,
	BH_AUDIT_CMK_DESTROY_ASKED, BH_AUDIT_CMK_DESTROY_ANSWERED, BH_AUDIT_CERTIFICATE_ISSUED, BH_AUDIT_ERASE_BEGUN,
	BH_AUDIT_ERASE_ENDED,       BH_AUDIT_ERASE_SUPPRESSED,     BH_AUDIT_ERASE_LIFTED,
};

static bool is_told(bh_view line)
{
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (audit_entry_may_have(line, "action", told[i]))
			return true;
	return false;
}

/* "active to suspending, ...": a step on the way. */
static bool is_step(const json_t *event)
{
	const char *to = strstr(audit_text(event, "what"), " to ");
	size_t len = to != NULL ? strcspn(to + 4, ", ") : 0;

	return len > 3 && memcmp(to + 4 + len - 3, "ing", 3) == 0;
}

static json_t *event_of(const json_t *entry)
{
	static const char *const same[] = { "seq", "action", "outcome", "class", "dek", "deks", "cmk", "cmk_version" };
	char by[512];
	json_t *event = json_object();

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (json_object_get(entry, same[i]) != NULL)
			json_object_set(event, same[i], json_object_get(entry, same[i]));
	snprintf(by, sizeof(by), "%.200s@%.200s", audit_text(entry, "actor"), audit_text(entry, "host"));
	json_object_set_new(event, "by", bh_json_sentence(by));
	json_object_set(event, "at", json_object_get(entry, "time"));
	json_object_set(event, "what", json_object_get(entry, "detail"));
	return event;
}

/* A name that was shredded may be another merchant's later: each addition begins a life. */
static bh_status keep(gathering *g, const json_t *entry)
{
	const char *name = audit_text(entry, "merchant");
	json_t *of = json_object_get(g->names, name);
	json_int_t lives;

	if (of == NULL && json_object_set_new(g->names, name, of = json_pack("{s:i, s:[]}", "lives", 0, "entries")) != 0)
		return bh_fail(BH_E_NOMEM, "no memory for what the audit log says");
	lives = json_integer_value(json_object_get(of, "lives"));
	if (strcmp(audit_text(entry, "action"), BH_AUDIT_MERCHANT_ADDED) == 0)
		json_object_set_new(of, "lives", json_integer(++lives));
	json_array_append_new(json_object_get(of, "entries"), json_pack("[I, o]", lives, event_of(entry)));
	return BH_OK;
}

static bh_status take_line(void *arg, uint64_t seq, bh_view line)
{
	gathering *g = arg;
	json_t *entry = NULL;
	int64_t at_ms;
	bh_status status = BH_OK;

	if (seq <= g->seen)
		return BH_OK;
	g->seen = seq;
	BH_TRY(holdings_take(&g->held, seq, line));
	if (!is_told(line) || (g->merchant != NULL && !audit_entry_may_have(line, "merchant", g->merchant)))
		return BH_OK;
	BH_TRY(audit_entry_parse(seq, line, &entry, &at_ms));
	if (audit_text(entry, "merchant")[0] != '\0' &&
	    (g->merchant == NULL || strcmp(audit_text(entry, "merchant"), g->merchant) == 0))
		status = keep(g, entry);
	json_decref(entry);
	return status;
}

/* Proved and read in one: nothing is in the report that is not in the log under its floor. */
static bh_status read_log(bhctl *ctl, gathering *g, char **args, int count, json_t *database)
{
	BH_CLEANUP(audit_files_clear) audit_files files = { 0 };
	uint8_t key[BH_SIGN_PUBLIC_LEN];
	const bh_audit_scan_options scan = { .public_key = key, .each = take_line, .arg = g };
	bh_audit_scan_result found;
	char floor[BH_AUDIT_FLOOR_SIZE], at[BH_AUDIT_TIME_SIZE];

	BH_TRY(audit_files_of(ctl, args, count, &files));
	BH_TRY(bhctl_public_key(bh_json_text_of(database, "public_key"), key));
	BH_TRY(bh_audit_verify(files.paths, files.count, &scan, &found));
	bh_audit_floor_format(&found.last.position, floor);
	bh_audit_time_format(found.last.at_ms, at);
	json_object_set_new(database, "floor", json_string(floor));
	json_object_set_new(database, "signed_at", json_string(at));
	json_object_set_new(database, "archived", json_integer((json_int_t)found.first));
	return BH_OK;
}

/* ---- what belongs to whom */

/* The lives of a name are its merchants in the document, the last ones where the log does not go back to the first. */
static json_int_t life_of(const json_t *merchants, size_t at, json_int_t lives)
{
	const char *name = bh_json_text_of(json_array_get(merchants, at), "name");
	json_int_t later = 0;

	for (size_t i = at + 1; i < json_array_size(merchants); i++)
		later += strcmp(bh_json_text_of(json_array_get(merchants, i), "name"), name) == 0;
	return lives - later;
}

static void share_events(const gathering *g, const json_t *merchants, size_t at)
{
	json_t *merchant = json_array_get(merchants, at), *states = json_array(), *events = json_array(), *pair;
	json_t *of = json_object_get(g->names, bh_json_text_of(merchant, "name"));
	json_int_t life = life_of(merchants, at, json_integer_value(json_object_get(of, "lives")));
	size_t i;

	json_array_foreach(json_object_get(of, "entries"), i, pair)
	{
		json_t *event = json_array_get(pair, 1);
		const char *action = bh_json_text_of(event, "action");

		if (json_integer_value(json_array_get(pair, 0)) != life)
			continue;
		if (strcmp(action, BH_AUDIT_STATE_CHANGED) != 0 && strcmp(action, BH_AUDIT_MERCHANT_ADDED) != 0)
			json_array_append(events, event);
		else if (!is_step(event))
			json_array_append(states, event);
	}
	json_object_set_new(merchant, "states", states);
	json_object_set_new(merchant, "events", events);
}

static bool has_dek(const json_t *merchant, const char *dek)
{
	const json_t *cls, *item;
	size_t i, j;

	json_array_foreach(json_object_get(merchant, "classes"), i, cls) json_array_foreach(
		json_object_get(cls, "deks"), j, item) if (strcmp(bh_json_text_of(item, "id"), dek) == 0) return true;
	return false;
}

/* By the DEKs that were granted, which no two merchants of a name share. */
static void share_holdings(const gathering *g, json_t *merchant)
{
	json_t *holders = json_array();

	for (size_t i = 0; i < g->held.count; i++) {
		const holding *h = &g->held.list[i];
		const char *dek = json_string_value(json_array_get(json_object_get(h->process, "deks"), 0));

		if (strcmp(audit_text(h->process, "merchant"), bh_json_text_of(merchant, "name")) == 0 && dek != NULL &&
		    has_dek(merchant, dek))
			json_array_append_new(holders, holding_json(&g->held, h, holding_is_certain(h, INT64_MAX)));
	}
	json_object_set_new(merchant, "holders", holders);
}

/* None where it is that of another merchant of this name, or not to be had. */
static void add_certificate(bhctl *ctl, json_t *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	json_t *certificate;

	if (strcmp(bh_json_text_of(merchant, "state"), "shredded") != 0 ||
	    bhctl_certificate(ctl, bh_json_text_of(merchant, "name"), &text) != BH_OK)
		return;
	certificate = json_loadb((const char *)text.data, text.len, 0, NULL);
	if (strcmp(bh_json_text_of(json_object_get(certificate, "merchant"), "id"), bh_json_text_of(merchant, "id")) == 0)
		json_object_set(merchant, "shred", certificate);
	json_decref(certificate);
}

/* A customer learns nothing of the operator's own keys, nor how much others have in the logs. */
static json_t *database_of(const json_t *status, bool customer)
{
	static const char *const all[] = { "id", "region", "public_key", "platform_cmk", "platform_deks" };
	json_t *database = json_object();

	for (size_t i = 0; i < (customer ? 3u : 5u); i++)
		json_object_set(database, all[i], json_object_get(status, all[i]));
	return database;
}

bh_status report_gather(bhctl *ctl, const char *merchant, char **files, int file_count, json_t **out)
{
	BH_CLEANUP(gathering_clear)
	gathering g = { .merchant = merchant,
			.held = { .merchant = merchant, .lease_ms = BH_LEASE_LIMIT_DEFAULT_MS },
			.names = json_object() };
	const live_want want = { .database = true, .merchant = merchant };
	char now[BH_TIME_TEXT_SIZE];
	json_t *status = NULL, *report, *database, *merchants;
	bh_status result;

	BH_TRY(live_document(ctl, &want, &status));
	database = database_of(json_object_get(status, "database"), merchant != NULL);
	merchants = json_incref(json_object_get(status, "merchants"));
	json_decref(status);
	bh_time_text((int64_t)time(NULL), now);
	report = json_pack("{s:s, s:i, s:s, s:o, s:o}", "format", "bulkhead-report", "version", 1, "made_at", now, "database",
			   database, "merchants", merchants);
	if (merchant != NULL)
		json_object_set_new(report, "customer", json_string(merchant));
	result = read_log(ctl, &g, files, file_count, database);
	for (size_t i = 0; result == BH_OK && i < json_array_size(merchants); i++) {
		share_events(&g, merchants, i);
		share_holdings(&g, json_array_get(merchants, i));
		add_certificate(ctl, json_array_get(merchants, i));
	}
	if (result == BH_OK)
		*out = report;
	else
		json_decref(report);
	return result;
}
