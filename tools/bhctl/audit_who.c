/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_who.c: which processes held a merchant's keys at a time: from the grants, wipes, opens and closes in the audit log.
 *
 * An instance that neither wiped the keys nor closed (it was killed, or runs) is held until unknown. What bounds it is said: the
 * next instance that opened, which the directory's lock let in only when the one before had ended; and the end of its lease, which
 * the process itself keeps, so an honest one has not used the keys beyond. Renewals are told once for a span of time, ahead: of a
 * killed process the lease can have gone on to the end of that span, and is said to.
 */
#include <stdio.h>
#include <stdlib.h>

#include "keyring/dek/lease.h"
#include "audit.h"

/* Why an instance is known not to hold the keys any more. */
typedef enum end_kind {
	END_NONE = 0, /* it is not known to have let go */
	END_WIPED,
	END_CLOSED,
	END_NEXT_OPENED, /* the latest that it can have been */
} end_kind;

static const char *const end_names[] = { "unknown", "wiped", "closed", "the next process opened" };

/* One stretch of time in which one instance held the keys. */
typedef struct holding {
	json_t *process; /* the entry of the grant */
	int64_t from_ms;
	int64_t yes_ms;  /* of the last grant or renewal; where the log says so, until then there may have been others */
	int64_t last_ms; /* of the instance's last entry, of any kind */
	int64_t until_ms;
	end_kind end;
} holding;

typedef struct who {
	bhctl *ctl;
	const char *merchant;
	int64_t at_ms;
	int64_t lease_ms;
	holding *list;
	size_t count;
} who;

static void who_clear(who *w)
{
	for (size_t i = 0; i < w->count; i++)
		json_decref(w->list[i].process);
	free(w->list);
}

static bool is_by(const holding *h, bh_view process)
{
	const char *id = audit_text(h->process, "process");

	return strlen(id) == process.len && memcmp(id, process.data, process.len) == 0;
}

static holding *open_holding(const who *w, bh_view process)
{
	for (size_t i = w->count; i-- > 0;)
		if (w->list[i].end == END_NONE && is_by(&w->list[i], process))
			return &w->list[i];
	return NULL;
}

static bh_status begin(who *w, json_t *entry, int64_t at_ms)
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

/* An instance that has opened is alone. */
static void end_others(who *w, bh_view process, int64_t at_ms)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->list[i].end == END_NONE && !is_by(&w->list[i], process))
			end_at(&w->list[i], END_NEXT_OPENED, at_ms);
}

/* `h`: what the entry's process holds; may be NULL. */
static bh_status take(who *w, json_t *entry, holding *h, const audit_glance *glance)
{
	const int64_t at_ms = glance->at_ms;
	const char *action = audit_text(entry, "action");
	bool ours = strcmp(audit_text(entry, "merchant"), w->merchant) == 0;

	if (strcmp(action, BH_AUDIT_OPENED) == 0)
		end_others(w, glance->process, at_ms);
	else if (strcmp(action, BH_AUDIT_CLOSED) == 0 && h != NULL)
		end_at(h, END_CLOSED, at_ms);
	else if (ours && strcmp(action, BH_AUDIT_KEYS_WIPED) == 0 && h != NULL)
		end_at(h, END_WIPED, at_ms);
	else if (ours && strcmp(action, BH_AUDIT_KEYS_GRANTED) == 0 && h == NULL)
		return begin(w, entry, at_ms);
	else if (ours && h != NULL && (strcmp(action, BH_AUDIT_KEYS_RENEWED) == 0 || strcmp(action, BH_AUDIT_KEYS_GRANTED) == 0))
		h->yes_ms = yes_until(entry, at_ms);
	return BH_OK;
}

static bh_status take_line(void *arg, uint64_t seq, bh_view line)
{
	const who *w = arg;
	json_t *entry = NULL;
	audit_glance glance;
	bh_status status;
	int64_t at_ms;
	holding *h;

	BH_TRY(audit_entry_glance(seq, line, &glance));
	h = open_holding(w, glance.process);
	if (h != NULL)
		h->last_ms = glance.at_ms;
	/* All others say no more than that the process was there. */
	if (!audit_entry_may_have(line, "action", BH_AUDIT_OPENED) && !audit_entry_may_have(line, "action", BH_AUDIT_CLOSED) &&
	    !audit_entry_may_have(line, "merchant", w->merchant))
		return BH_OK;
	BH_TRY(audit_entry_parse(seq, line, &entry, &at_ms));
	status = take(arg, entry, h, &glance);
	json_decref(entry);
	return status;
}

/* ---- the answer */

/* Certain as long as the instance was heard of afterwards, or is known to have let go later. */
static bool is_certain(const holding *h, int64_t at_ms)
{
	return h->end == END_WIPED || h->end == END_CLOSED || at_ms <= h->last_ms;
}

static bool was_held(const holding *h, int64_t at_ms)
{
	return at_ms >= h->from_ms && (h->end == END_NONE || at_ms < h->until_ms);
}

static json_t *holding_json(const who *w, const holding *h)
{
	char from[BH_AUDIT_TIME_SIZE], until[BH_AUDIT_TIME_SIZE], lease[BH_AUDIT_TIME_SIZE], last[BH_AUDIT_TIME_SIZE];
	json_t *item;

	bh_audit_time_format(h->from_ms, from);
	bh_audit_time_format(h->until_ms, until);
	bh_audit_time_format(h->yes_ms + w->lease_ms, lease);
	bh_audit_time_format(h->last_ms, last);
	item = json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:s, s:s, s:s}", "process", audit_text(h->process, "process"), "host",
			 audit_text(h->process, "host"), "pid", (json_int_t)json_integer_value(json_object_get(h->process, "pid")),
			 "actor", audit_text(h->process, "actor"), "from", from, "certain", is_certain(h, w->at_ms), "end",
			 end_names[h->end], "last_heard_of", last, "lease_until", lease);
	if (h->end != END_NONE)
		json_object_set_new(item, "until", json_string(until));
	json_object_set(item, "deks", json_object_get(h->process, "deks"));
	return item;
}

static void print_field(const char *before, const json_t *item, const char *name)
{
	fputs(before, stdout);
	out_bytes(bh_view_str(audit_text(item, name)), false, 0);
}

static void print_holding(const json_t *item)
{
	bool certain = json_is_true(json_object_get(item, "certain"));

	print_field("", item, "actor");
	print_field("@", item, "host");
	printf("[%lld]", (long long)json_integer_value(json_object_get(item, "pid")));
	print_field(" process ", item, "process");
	print_field("\n  from  ", item, "from");
	if (certain) {
		print_field("\n  until ", item, json_object_get(item, "until") != NULL ? "until" : "end");
		print_field(", ", item, "end");
		putchar('\n');
		return;
	}
	print_field("\n  until unknown: it did not close; last heard of at ", item, "last_heard_of");
	if (json_object_get(item, "until") != NULL)
		print_field("\n  at the latest until ", item, "until");
	print_field("\n  its lease, which the process itself keeps, ended by ", item, "lease_until");
	putchar('\n');
}

static bh_status report_json(const who *w)
{
	char at[BH_AUDIT_TIME_SIZE];
	json_t *list = json_array();

	for (size_t i = 0; i < w->count; i++)
		if (was_held(&w->list[i], w->at_ms))
			json_array_append_new(list, holding_json(w, &w->list[i]));
	bh_audit_time_format(w->at_ms, at);
	return out_json(json_pack("{s:s, s:s, s:o}", "merchant", w->merchant, "at", at, "holders", list));
}

static bh_status report_text(const who *w)
{
	char at[BH_AUDIT_TIME_SIZE];
	size_t found = 0;

	for (size_t i = 0; i < w->count; i++) {
		json_t *item;

		if (!was_held(&w->list[i], w->at_ms))
			continue;
		item = holding_json(w, &w->list[i]);
		print_holding(item);
		json_decref(item);
		found++;
	}
	bh_audit_time_format(w->at_ms, at);
	if (found == 0)
		printf("no process had the keys of '%s' at %s, by this log\n", w->merchant, at);
	return BH_OK;
}

static bh_status parse(bhctl *ctl, int argc, char **argv, who *w, audit_files *files)
{
	const char *at = NULL, *lease = NULL;
	const bhctl_option options[] = {
		{ .name = "merchant", .value = &w->merchant },
		{ .name = "at", .value = &at },
		{ .name = "lease-limit", .value = &lease },
		{ 0 },
	};
	uint64_t lease_s = BH_LEASE_LIMIT_DEFAULT_MS / 1000;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, AUDIT_FILES_MAX, &args, &count));
	if (w->merchant == NULL || at == NULL)
		return bhctl_usage_error(ctl, "whose keys, and when? give --merchant M and --at T");
	BH_TRY(bh_name_check("merchant", w->merchant));
	BH_TRY(bhctl_time("--at", at, &w->at_ms));
	if (lease != NULL)
		BH_TRY(bhctl_number("--lease-limit", lease, &lease_s));
	if (lease_s > BH_LEASE_LIMIT_MAX_MS / 1000)
		return bhctl_usage_error(ctl, "--lease-limit: a lease has %d seconds at most", BH_LEASE_LIMIT_MAX_MS / 1000);
	w->lease_ms = (int64_t)lease_s * 1000;
	return audit_files_of(ctl, args, count, files);
}

bh_status cmd_audit_who(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(audit_files_clear) audit_files files = { 0 };
	BH_CLEANUP(who_clear) who w = { .ctl = ctl };
	bh_audit_scan_result found;

	BH_TRY(parse(ctl, argc, argv, &w, &files));
	BH_TRY(bh_audit_read(files.paths, files.count, take_line, &w, &found));
	return ctl->json ? report_json(&w) : report_text(&w);
}
