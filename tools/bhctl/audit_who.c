/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_who.c: which processes held a merchant's keys at a time (holdings.h).
 */
#include <stdio.h>

#include "holdings.h"
#include "keyring/dek/lease.h"

typedef struct who {
	bhctl *ctl;
	int64_t at_ms;
	holdings held;
} who;

static void who_clear(who *w)
{
	holdings_clear(&w->held);
}

static bh_status take_line(void *arg, uint64_t seq, bh_view line)
{
	who *w = arg;

	return holdings_take(&w->held, seq, line);
}

/* ---- the answer */

static bool was_held(const holding *h, int64_t at_ms)
{
	return at_ms >= h->from_ms && (h->end == END_NONE || at_ms < h->until_ms);
}

static json_t *held_json(const who *w, const holding *h)
{
	return holding_json(&w->held, h, holding_is_certain(h, w->at_ms));
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

	for (size_t i = 0; i < w->held.count; i++)
		if (was_held(&w->held.list[i], w->at_ms))
			json_array_append_new(list, held_json(w, &w->held.list[i]));
	bh_audit_time_format(w->at_ms, at);
	return out_json(json_pack("{s:s, s:s, s:o}", "merchant", w->held.merchant, "at", at, "holders", list));
}

static bh_status report_text(const who *w)
{
	char at[BH_AUDIT_TIME_SIZE];
	size_t found = 0;

	for (size_t i = 0; i < w->held.count; i++) {
		json_t *item;

		if (!was_held(&w->held.list[i], w->at_ms))
			continue;
		item = held_json(w, &w->held.list[i]);
		print_holding(item);
		json_decref(item);
		found++;
	}
	bh_audit_time_format(w->at_ms, at);
	if (found == 0)
		printf("no process had the keys of '%s' at %s, by this log\n", w->held.merchant, at);
	return BH_OK;
}

static bh_status parse(bhctl *ctl, int argc, char **argv, who *w, audit_files *files)
{
	const char *at = NULL, *lease = NULL;
	const bhctl_option options[] = {
		{ .name = "merchant", .value = &w->held.merchant },
		{ .name = "at", .value = &at },
		{ .name = "lease-limit", .value = &lease },
		{ 0 },
	};
	uint64_t lease_s = BH_LEASE_LIMIT_DEFAULT_MS / 1000;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, AUDIT_FILES_MAX, &args, &count));
	if (w->held.merchant == NULL || at == NULL)
		return bhctl_usage_error(ctl, "whose keys, and when? give --merchant M and --at T");
	BH_TRY(bh_name_check("merchant", w->held.merchant));
	BH_TRY(bhctl_time("--at", at, &w->at_ms));
	if (lease != NULL)
		BH_TRY(bhctl_number("--lease-limit", lease, &lease_s));
	if (lease_s > BH_LEASE_LIMIT_MAX_MS / 1000)
		return bhctl_usage_error(ctl, "--lease-limit: a lease has %d seconds at most", BH_LEASE_LIMIT_MAX_MS / 1000);
	w->held.lease_ms = (int64_t)lease_s * 1000;
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
