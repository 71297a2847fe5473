/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_audit.c: the audit log: shown, proved, given up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit.h"
#include "door.h"
#include "live.h"
#include "keyring/manifest/pin.h"
#include "inspect.h"
#include "env/fs/fresh_check.h"

void audit_files_clear(audit_files *files)
{
	free(files->own);
	*files = (audit_files){ 0 };
}

bh_status audit_files_of(const bhctl *ctl, char **args, int count, audit_files *out)
{
	if (count > 0) {
		out->paths = (const char *const *)args;
		out->count = (size_t)count;
		out->last = args[count - 1];
		return BH_OK;
	}
	if (ctl->db == NULL)
		return bhctl_usage_error(ctl, "which log? give --db DIR or the log's files");
	if (asprintf(&out->own, "%s/" BH_AUDIT_FILE, ctl->db) < 0) {
		out->own = NULL;
		return bh_fail(BH_E_NOMEM, "no memory for a path");
	}
	out->last = out->own;
	out->paths = &out->last;
	out->count = 1;
	return BH_OK;
}

static bh_status malformed(uint64_t seq)
{
	return bh_fail(BH_E_FORMAT, "entry %llu is not written as entries are", (unsigned long long)seq);
}

/* {"seq":N,"prev":"64 hex","time":"24","process":"32 hex",... */
bh_status audit_entry_glance(uint64_t seq, bh_view line, audit_glance *out)
{
	static const char time[] = ",\"time\":\"", process[] = "\",\"process\":\"";
	const size_t time_len = sizeof("2026-01-31T12:00:00.000Z") - 1, process_len = BH_ID_HEX_SIZE - 1;
	const uint8_t *at = memmem(line.data, line.len, time, sizeof(time) - 1), *end = line.data + line.len;

	if (at == NULL || (size_t)(end - at) < sizeof(time) - 1 + time_len + sizeof(process) - 1 + process_len)
		return malformed(seq);
	at += sizeof(time) - 1;
	if (bh_audit_time_parse(bh_view_of(at, time_len), &out->at_ms) != BH_OK ||
	    memcmp(at + time_len, process, sizeof(process) - 1) != 0)
		return malformed(seq);
	out->process = bh_view_of(at + time_len + sizeof(process) - 1, process_len);
	return BH_OK;
}

bool audit_entry_may_have(bh_view line, const char *name, const char *text)
{
	char member[2 * BH_NAME_MAX + 8];

	return snprintf(member, sizeof(member), "\"%s\":\"%s\"", name, text) >= (int)sizeof(member) ||
	       memmem(line.data, line.len, member, strlen(member)) != NULL;
}

bh_status audit_entry_parse(uint64_t seq, bh_view line, json_t **out, int64_t *at_ms_out)
{
	json_t *entry = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(entry) || bh_audit_time_parse(bh_view_str(audit_text(entry, "time")), at_ms_out) != BH_OK) {
		json_decref(entry);
		return malformed(seq);
	}
	*out = entry;
	return BH_OK;
}

const char *audit_text(const json_t *entry, const char *name)
{
	const char *text = json_string_value(json_object_get(entry, name));

	return text != NULL ? text : "";
}

static void floor_of(const bh_audit_scan_result *found, char out[BH_AUDIT_FLOOR_SIZE])
{
	bh_audit_floor_format(&found->last.position, out);
}

/* ---- show */

typedef struct show {
	bhctl *ctl;
	const char *merchant; /* NULL: all */
	int64_t since_ms;
	out_array array; /* of --json */
	uint64_t shown;
} show;

static void print_text(const char *before, const char *text)
{
	if (text[0] == '\0')
		return;
	fputs(before, stdout);
	out_bytes(bh_view_str(text), false, 0);
}

static void print_entry(const json_t *entry)
{
	const char *outcome = audit_text(entry, "outcome");

	printf("%lld", (long long)json_integer_value(json_object_get(entry, "seq")));
	print_text(" ", audit_text(entry, "time"));
	print_text(" ", audit_text(entry, "actor"));
	print_text("@", audit_text(entry, "host"));
	printf("[%lld]", (long long)json_integer_value(json_object_get(entry, "pid")));
	print_text(" ", audit_text(entry, "action"));
	print_text(" ", audit_text(entry, "merchant"));
	print_text("/", audit_text(entry, "class"));
	print_text(" DEK ", audit_text(entry, "dek"));
	if (json_object_get(entry, "count") != NULL)
		printf(" %lld times", (long long)json_integer_value(json_object_get(entry, "count")));
	if (strcmp(outcome, "ok") != 0)
		print_text(" ", outcome);
	print_text(": ", audit_text(entry, "detail"));
	putchar('\n');
}

static bh_status show_entry(void *arg, uint64_t seq, bh_view line)
{
	show *s = arg;
	audit_glance glance;
	json_t *entry = NULL;
	int64_t at_ms;

	BH_TRY(audit_entry_glance(seq, line, &glance));
	if (glance.at_ms < s->since_ms || (s->merchant != NULL && !audit_entry_may_have(line, "merchant", s->merchant)))
		return BH_OK;
	BH_TRY(audit_entry_parse(seq, line, &entry, &at_ms));
	if (s->merchant != NULL && strcmp(audit_text(entry, "merchant"), s->merchant) != 0) {
		json_decref(entry);
		return BH_OK;
	}
	if (s->ctl->json)
		return out_array_item(&s->array, entry);
	s->shown++;
	print_entry(entry);
	json_decref(entry);
	return BH_OK;
}

static bh_status show_end(const show *s, const bh_audit_scan_result *found)
{
	char floor[BH_AUDIT_FLOOR_SIZE];

	floor_of(found, floor);
	printf("%llu entries; floor %s\n", (unsigned long long)s->shown, floor);
	return BH_OK;
}

/* Ends the document with the floor, or with why it is not all. */
static bh_status show_end_json(show *s, bh_status status, const bh_audit_scan_result *found)
{
	char floor[BH_AUDIT_FLOOR_SIZE];
	json_t *tail;

	floor_of(found, floor);
	tail = status == BH_OK ? json_pack("{s:s}", "floor", floor) : json_pack("{s:o}", "error", bh_json_error(status));
	s->ctl->reported = true;
	BH_TRY(out_array_end(&s->array, tail));
	return status;
}

bh_status cmd_audit_show(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(audit_files_clear) audit_files files = { 0 };
	const char *merchant = NULL, *since = NULL;
	const bhctl_option options[] = { { .name = "merchant", .value = &merchant }, { .name = "since", .value = &since }, { 0 } };
	show s = { .ctl = ctl };
	bh_audit_scan_result found;
	bh_status status;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, AUDIT_FILES_MAX, &args, &count));
	if (merchant != NULL)
		BH_TRY(bh_name_check("merchant", merchant));
	if (since != NULL)
		BH_TRY(bhctl_time("--since", since, &s.since_ms));
	s.merchant = merchant;
	BH_TRY(audit_files_of(ctl, args, count, &files));
	if (ctl->json)
		BH_TRY(out_array_begin(&s.array, bh_json_with_text("file", files.last), "entries"));
	status = bh_audit_read(files.paths, files.count, show_entry, &s, &found);
	if (ctl->json)
		return show_end_json(&s, status, &found);
	return status == BH_OK ? show_end(&s, &found) : status;
}

/* ---- verify */

/* The key of a database that a service has open, by what that says. */
static bh_status asked_key(bhctl *ctl, int door, uint8_t out[BH_SIGN_PUBLIC_LEN])
{
	json_t *document = NULL, *request = door_request("status");

	json_object_set_new(request, "database", json_true());
	json_object_set_new(request, "brief", json_true());
	BH_TRY(door_ask(ctl, door, request, NULL, NULL, &document));
	bh_status status = bhctl_public_key(bh_json_text_of(json_object_get(document, "database"), "public_key"), out);
	json_decref(document);
	return status;
}

/* The key of the database itself. Opening it proves the end of the log already, against KEYRING too. */
static bh_status own_key(bhctl *ctl, uint8_t out[BH_SIGN_PUBLIC_LEN])
{
	BH_CLEANUP(inspect_clear) inspect in = { 0 };
	int door = -1;

	if (ctl->db == NULL)
		return bhctl_usage_error(ctl,
					 "whose log is it? give --public-key KEY, or --db DIR of a database that can be opened");
	BH_TRY(door_find(ctl, &door));
	if (door >= 0)
		return asked_key(ctl, door, out);
	BH_TRY(inspect_open(ctl, ctl->db, &in));
	bh_signer_public(bh_keyring_signer(in.keyring), out);
	return BH_OK;
}

static json_t *verified_json(const char *path, const bh_audit_scan_result *found, const char *time, const char *floor,
			     const char *public_key)
{
	json_t *document =
		json_pack("{s:b, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "ok", 1, "entries", (json_int_t)found->tree.size, "archived",
			  (json_int_t)found->first, "checkpoints", (json_int_t)found->checkpoints, "bytes",
			  (json_int_t)found->good_len, "last_checkpoint_at", time, "floor", floor, "public_key", public_key);

	bh_json_set_text(document, "file", path);
	return document;
}

static bh_status print_verified(const bhctl *ctl, const char *path, const uint8_t *key, const bh_audit_scan_result *found)
{
	char floor[BH_AUDIT_FLOOR_SIZE], time[BH_AUDIT_TIME_SIZE], hex[2 * BH_SIGN_PUBLIC_LEN + 1];

	floor_of(found, floor);
	bh_hex(key, BH_SIGN_PUBLIC_LEN, hex);
	bh_audit_time_format(found->last.at_ms, time);
	if (ctl->json)
		return out_json(verified_json(path, found, time, floor, hex));
	printf("%s: verified: %llu entries, signed at %s\nfloor %s\n", path, (unsigned long long)found->tree.size, time, floor);
	if (found->first > 0)
		printf("the first %llu of them are archived, and were not looked at: give their files, too, before this one\n",
		       (unsigned long long)found->first);
	return BH_OK;
}

bh_status cmd_audit_verify(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(audit_files_clear) audit_files files = { 0 };
	const char *key = NULL, *floor = NULL;
	const bhctl_option options[] = { { .name = "public-key", .value = &key }, { .name = "floor", .value = &floor }, { 0 } };
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	bh_audit_position known[2] = { { 0 } };
	const bh_audit_scan_options scan = { .public_key = public_key, .floors = known, .floor_count = 2 };
	bh_audit_scan_result found;
	bh_pin pin = { 0 };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, AUDIT_FILES_MAX, &args, &count));
	if (floor != NULL)
		BH_TRY(bh_audit_floor_parse(floor, &known[0]));
	if (ctl->pin != NULL)
		BH_TRY(bh_pin_parse(ctl->pin, &pin)); /* key and floor in one */
	known[1] = pin.audit;
	if (key == NULL)
		key = ctl->pin;
	BH_TRY(audit_files_of(ctl, args, count, &files));
	BH_TRY(key != NULL ? bhctl_public_key(key, public_key) : own_key(ctl, public_key));
	BH_TRY(bh_audit_verify(files.paths, files.count, &scan, &found));
	return print_verified(ctl, files.last, public_key, &found);
}

/* ---- archive */

static void print_archived(const char *to, const bh_audit_archived *made)
{
	if (made->last == 0)
		printf("nothing to be archived yet: the log goes in pieces of %u KiB or more\n", BH_AUDIT_ANCHOR_EVERY >> 10);
	else
		printf("entries %llu to %llu, %llu bytes, are in %s/%s\n", (unsigned long long)made->first,
		       (unsigned long long)made->last, (unsigned long long)made->bytes, to, made->name);
}

bh_status cmd_audit_archive(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_freep) char *to = NULL;
	BH_CLEANUP(live_close) live l = LIVE_CLOSED;
	const bhctl_option options[] = { { 0 } };
	bh_audit_archived made;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	to = realpath(args[0], NULL); /* a service is elsewhere */
	if (to == NULL)
		return bh_fail(bh_io_status(errno), "%s: %s; an archive is a directory that is there already", args[0],
			       strerror(errno));
	BH_TRY(live_open(ctl, &l));
	BH_TRY(live_audit_archive(&l, to, &made));
	if (!ctl->json) {
		print_archived(to, &made);
		return BH_OK;
	}
	json_t *document = json_pack("{s:I, s:I, s:I, s:s}", "first", (json_int_t)made.first, "last", (json_int_t)made.last,
				     "bytes", (json_int_t)made.bytes, "name", made.name);
	bh_json_set_text(document, "directory", to);
	return out_json(document);
}

/* ---- restart */

bh_status cmd_audit_restart(bhctl *ctl, int argc, char **argv)
{
	bool yes = false;
	const bhctl_option options[] = { { .name = "yes", .flag = &yes }, { 0 } };
	bh_keyring_options keyring_options = { .kms = ctl->kms,
					       .inspect = bh_fresh_inspect,
					       .audit_restart = true,
					       .pin = ctl->pin,
					       .pin_changed = bhctl_keep_pin,
					       .pin_arg = ctl };
	bh_keyring *keyring = NULL;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 0, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	if (!yes)
		return bhctl_usage_error(
			ctl, "the log that is there proves nothing any more afterwards; if it is lost for good, give --yes");
	BH_TRY(bh_keyring_open(ctl->db, &keyring_options, true, &keyring));
	bh_keyring_close(keyring);
	if (ctl->json) {
		json_t *document = bh_json_with_text("database", ctl->db);

		json_object_set_new(document, "restarted", json_true());
		return out_json(document);
	}
	printf("%s: a new audit log is begun; what was there, if anything, is kept beside it\n", ctl->db);
	return BH_OK;
}
