/* SPDX-License-Identifier: Apache-2.0
 *
 * holdings.c: see holdings.h.
 */
#include "holdings.h"

#include <stdlib.h>

static const char *const end_names[] = { "unknown", "wiped", "closed", "the next process opened" };

void holdings_clear(holdings *w)
{
	for (size_t i = 0; i < w->count; i++)
		json_decref(w->list[i].process);
	free(w->list);
	w->list = NULL;
	w->count = 0;
}

static bool is_by(const holding *h, bh_view process)
{
	const char *id = audit_text(h->process, "process");

	return h->end == END_NONE && strlen(id) == process.len && memcmp(id, process.data, process.len) == 0;
}

static holding *open_holding(const holdings *w, bh_view process, const char *merchant)
{
	for (size_t i = w->count; i-- > w->first_open;)
		if (is_by(&w->list[i], process) && strcmp(audit_text(w->list[i].process, "merchant"), merchant) == 0)
			return &w->list[i];
	return NULL;
}

static bh_status begin(holdings *w, json_t *entry, int64_t at_ms)
{
	holding *grown = realloc(w->list, (w->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu holders of keys", w->count + 1);
	w->list = grown;
	w->list[w->count++] = (holding){ .process = json_incref(entry), .from_ms = at_ms, .yes_ms = at_ms, .last_ms = at_ms };
	return BH_OK;
}

/* An entry that begins a span of renewals says until when. */
static int64_t yes_until(const json_t *entry, int64_t at_ms)
{
	int64_t until_ms;

	if (bh_audit_time_parse(bh_view_str(audit_text(entry, "until")), &until_ms) != BH_OK)
		return at_ms;
	return BH_MAX(at_ms, until_ms);
}

static void end_at(holding *h, end_kind kind, int64_t at_ms)
{
	h->end = kind;
	h->until_ms = at_ms;
}

/* `own`: those of the entry's process end, which has closed; else all others, since an instance that has opened is alone. */
static void end_many(holdings *w, const audit_glance *glance, bool own)
{
	for (size_t i = w->first_open; i < w->count; i++)
		if (w->list[i].end == END_NONE && is_by(&w->list[i], glance->process) == own)
			end_at(&w->list[i], own ? END_CLOSED : END_NEXT_OPENED, glance->at_ms);
	while (w->first_open < w->count && w->list[w->first_open].end != END_NONE)
		w->first_open++;
}

static bh_status take_merchants(holdings *w, json_t *entry, const audit_glance *glance)
{
	const char *action = audit_text(entry, "action"), *merchant = audit_text(entry, "merchant");
	bool granted = strcmp(action, BH_AUDIT_KEYS_GRANTED) == 0;
	holding *h;

	if (w->merchant != NULL ? strcmp(merchant, w->merchant) != 0 : merchant[0] == '\0')
		return BH_OK;
	h = open_holding(w, glance->process, merchant);
	if (h == NULL)
		return granted ? begin(w, entry, glance->at_ms) : BH_OK;
	if (strcmp(action, BH_AUDIT_KEYS_WIPED) == 0)
		end_at(h, END_WIPED, glance->at_ms);
	else if (granted || strcmp(action, BH_AUDIT_KEYS_RENEWED) == 0)
		h->yes_ms = yes_until(entry, glance->at_ms);
	return BH_OK;
}

/* All other entries say no more than that the process was there. */
static bool counts(const holdings *w, bh_view line)
{
	static const char *const actions[] = { BH_AUDIT_OPENED, BH_AUDIT_CLOSED, BH_AUDIT_KEYS_GRANTED, BH_AUDIT_KEYS_RENEWED,
					       BH_AUDIT_KEYS_WIPED };
	bool ours = w->merchant == NULL || audit_entry_may_have(line, "merchant", w->merchant);

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if ((i < 2 || ours) && audit_entry_may_have(line, "action", actions[i]))
			return true;
	return false;
}

bh_status holdings_take(holdings *w, uint64_t seq, bh_view line)
{
	json_t *entry = NULL;
	audit_glance glance;
	bh_status status = BH_OK;
	int64_t at_ms;

	BH_TRY(audit_entry_glance(seq, line, &glance));
	for (size_t i = w->first_open; i < w->count; i++)
		if (is_by(&w->list[i], glance.process))
			w->list[i].last_ms = glance.at_ms;
	if (!counts(w, line))
		return BH_OK;
	BH_TRY(audit_entry_parse(seq, line, &entry, &at_ms));
	if (strcmp(audit_text(entry, "action"), BH_AUDIT_OPENED) == 0)
		end_many(w, &glance, false);
	else if (strcmp(audit_text(entry, "action"), BH_AUDIT_CLOSED) == 0)
		end_many(w, &glance, true);
	else
		status = take_merchants(w, entry, &glance);
	json_decref(entry);
	return status;
}

bool holding_is_certain(const holding *h, int64_t at_ms)
{
	return h->end == END_WIPED || h->end == END_CLOSED || at_ms <= h->last_ms;
}

json_t *holding_json(const holdings *w, const holding *h, bool certain)
{
	char from[BH_AUDIT_TIME_SIZE], until[BH_AUDIT_TIME_SIZE], lease[BH_AUDIT_TIME_SIZE], last[BH_AUDIT_TIME_SIZE];
	json_t *item;

	bh_audit_time_format(h->from_ms, from);
	bh_audit_time_format(h->until_ms, until);
	bh_audit_time_format(h->yes_ms + w->lease_ms, lease);
	bh_audit_time_format(h->last_ms, last);
	item = json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:s, s:s, s:s}", "process", audit_text(h->process, "process"), "host",
			 audit_text(h->process, "host"), "pid", (json_int_t)json_integer_value(json_object_get(h->process, "pid")),
			 "actor", audit_text(h->process, "actor"), "from", from, "certain", certain, "end", end_names[h->end],
			 "last_heard_of", last, "lease_until", lease);
	if (h->end != END_NONE)
		json_object_set_new(item, "until", json_string(until));
	json_object_set(item, "deks", json_object_get(h->process, "deks"));
	return item;
}
