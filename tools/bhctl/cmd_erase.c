/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_erase.c: the rows of one key prefix leave a class, and the files. With --rotate the keys that older copies of the files lie
 * under go as well; with --suppress rows of the prefix are kept out from then on, until --lift; --list shows what is.
 */
#include <stdio.h>

#include <bulkhead/erase.h>

#include "env/fs/fs.h"
#include "bhctl.h"
#include "door.h"
#include "live.h"

#define WAIT_S_MAX 86400u

typedef struct job {
	bh_scope scope;
	bh_buf prefix;
	bh_erase_options erase;
	bool rotate;
	bool lift;
	bool list;
	bh_erase_result result;
} job;

static void job_clear(job *j)
{
	bh_buf_clear(&j->prefix);
	bh_erase_result_clear(&j->result);
}

/* New keys help against what lies in the logs of a suspended merchant as well, and against nothing else that is pending. */
static bool only_parked(const bh_buf *pending)
{
	for (size_t at = 0; at < pending->len;) {
		const char *line = (const char *)pending->data + at;

		if (strncmp(line, BH_PARKED_DIR "/", sizeof(BH_PARKED_DIR)) != 0)
			return false;
		at += (size_t)((const char *)memchr(line, '\n', pending->len - at) - line) + 1;
	}
	return true;
}

static bh_status rotate_keys(live *db, const job *j)
{
	const bh_rotate_options rotate = { .sweep = true };

	BH_TRY(live_rotate(db, j->scope.merchant, &rotate));
	return bh_fail_prefix(live_sweep(db, j->scope.merchant, NULL),
			      "the rows are erased, but older keys are not destroyed yet; `bhctl rotate %s --sweep` goes on",
			      j->scope.merchant);
}

/* Once more, now that what was pending lies under keys that are gone: what there was to do is that of the first time. */
static bh_status erase_again(live *db, job *j)
{
	bh_erase_result again = { 0 };

	BH_TRY(live_erase(db, &j->scope, bh_buf_view(&j->prefix), &j->erase, &again));
	again.rows += j->result.rows;
	again.files_rewritten += j->result.files_rewritten;
	again.bytes_rewritten += j->result.bytes_rewritten;
	bh_erase_result_clear(&j->result);
	j->result = again;
	return BH_OK;
}

static bh_status run(bhctl *ctl, job *j)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;

	BH_TRY(live_open(ctl, &db));
	BH_TRY(live_erase(&db, &j->scope, bh_buf_view(&j->prefix), &j->erase, &j->result));
	if (!j->rotate || !only_parked(&j->result.pending))
		return BH_OK;
	BH_TRY(rotate_keys(&db, j));
	return j->result.complete ? BH_OK : erase_again(&db, j);
}

/* ---- what came of it */

static json_t *pending_json(const bh_buf *pending)
{
	json_t *list = json_array();

	for (size_t at = 0; at < pending->len;) {
		const char *line = (const char *)pending->data + at;
		size_t len = (size_t)((const char *)memchr(line, '\n', pending->len - at) - line);

		json_array_append_new(list, json_stringn(line, len));
		at += len + 1;
	}
	return list;
}

static bh_status print_json(const job *j)
{
	const bh_erase_result *r = &j->result;
	char digest[2 * BH_ERASE_DIGEST_LEN + 1];

	bh_hex(r->prefix_digest, sizeof(r->prefix_digest), digest);
	return out_json(json_pack("{s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "merchant",
				  j->scope.merchant, "class", j->scope.cls, "complete", r->complete, "prefix_digest", digest,
				  "sequence", (json_int_t)r->sequence, "rows", (json_int_t)r->rows, "files_rewritten",
				  (json_int_t)r->files_rewritten, "bytes_rewritten", (json_int_t)r->bytes_rewritten,
				  "entries_found", (json_int_t)r->versions, "generation", (json_int_t)r->generation, "rotated",
				  j->rotate && r->complete, "suppressed", j->erase.suppress, "pending", pending_json(&r->pending)));
}

static void print_text(const job *j)
{
	const bh_erase_result *r = &j->result;
	char digest[2 * BH_ERASE_DIGEST_LEN + 1];

	bh_hex(r->prefix_digest, sizeof(r->prefix_digest), digest);
	printf("%s/%s: %llu rows erased, at sequence number %llu; %llu files of %llu bytes rewritten\n", j->scope.merchant,
	       j->scope.cls, (unsigned long long)r->rows, (unsigned long long)r->sequence, (unsigned long long)r->files_rewritten,
	       (unsigned long long)r->bytes_rewritten);
	printf("in the audit log the prefix is %s\n", digest);
	if (j->erase.suppress)
		puts("rows of this prefix are kept out from now on, until --lift");
	if (r->complete && j->rotate)
		puts("older generations of its keys are destroyed: older copies of the files need an older keyring, too");
	if (r->complete)
		printf("complete: no file of the database holds a byte of them\n");
	else
		printf("INCOMPLETE\n%.*s", (int)r->pending.len, (const char *)r->pending.data);
}

static bh_status print(bhctl *ctl, const job *j)
{
	if (!ctl->json)
		print_text(j);
	else
		BH_TRY(print_json(j));
	if (j->result.complete)
		return BH_OK;
	ctl->reported = true;
	return bh_fail(BH_E_BUSY, "'%s/%s': the rows are deleted, but something still holds bytes of them%s", j->scope.merchant,
		       j->scope.cls, j->rotate ? "; the keys were not rotated" : "");
}

static bh_status erase(bhctl *ctl, job *j)
{
	BH_TRY(run(ctl, j));
	return print(ctl, j);
}

/* ---- what is kept out */

static bh_status lift(bhctl *ctl, const job *j)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;

	BH_TRY(live_open(ctl, &db));
	BH_TRY(live_unsuppress(&db, &j->scope, bh_buf_view(&j->prefix)));
	if (ctl->json)
		return out_json(
			json_pack("{s:s, s:s, s:b}", "merchant", j->scope.merchant, "class", j->scope.cls, "suppressed", false));
	printf("%s/%s: rows of this prefix are let in again\n", j->scope.merchant, j->scope.cls);
	return BH_OK;
}

static bh_status add_marker(void *arg, const bh_erase_marker *marker)
{
	char digest[2 * BH_ERASE_DIGEST_LEN + 1];
	json_t *item;

	bh_hex(marker->prefix_digest, sizeof(marker->prefix_digest), digest);
	item = json_pack("{s:s, s:I}", "prefix_digest", digest, "prefix_bytes", (json_int_t)marker->prefix_len);
	bh_json_set_time(item, "since", marker->at_s);
	json_array_append_new(arg, item);
	return BH_OK;
}

static void print_markers(const job *j, const json_t *markers)
{
	const json_t *item;
	size_t i;

	printf("%s/%s: %zu erased prefixes are kept out\n", j->scope.merchant, j->scope.cls, json_array_size(markers));
	json_array_foreach(markers, i, item)
	{
		printf("%s  %lld bytes, since %s\n", json_string_value(json_object_get(item, "prefix_digest")),
		       (long long)json_integer_value(json_object_get(item, "prefix_bytes")),
		       json_string_value(json_object_get(item, "since")));
	}
}

/* Of a database that nobody has open, to look. */
static bh_status look(bhctl *ctl, const job *j, json_t *markers)
{
	BH_CLEANUP(live_close) live db = { .ctl = ctl, .door = -1 };

	BH_TRY(door_find(ctl, &db.door));
	if (db.door < 0)
		BH_TRY(bhctl_open_to_look(ctl, &db.db));
	return live_markers(&db, &j->scope, add_marker, markers);
}

static bh_status list(bhctl *ctl, const job *j)
{
	json_t *markers = json_array();
	bh_status status = look(ctl, j, markers);

	if (status == BH_OK && ctl->json)
		return out_json(
			json_pack("{s:s, s:s, s:o}", "merchant", j->scope.merchant, "class", j->scope.cls, "suppressed", markers));
	if (status == BH_OK)
		print_markers(j, markers);
	json_decref(markers);
	return status;
}

/* ---- the command */

static bh_status check_usage(bhctl *ctl, const job *j, const char *prefix, bool wait)
{
	if (j->lift && j->list)
		return bhctl_usage_error(ctl, "--lift or --list, not both");
	if ((j->lift || j->list) && (j->rotate || j->erase.suppress || wait))
		return bhctl_usage_error(ctl, "--lift and --list erase nothing: they go without --rotate, --suppress and --wait");
	if (j->list && prefix != NULL)
		return bhctl_usage_error(ctl, "--list is of all prefixes: it goes without --prefix");
	if (!j->list && prefix == NULL)
		return bhctl_usage_error(ctl, "whose rows? give --prefix");
	return BH_OK;
}

static bh_status parse_wait(bhctl *ctl, const char *wait, job *j)
{
	uint64_t wait_s = 0;

	if (wait != NULL)
		BH_TRY(bhctl_number("--wait", wait, &wait_s));
	if (wait_s > WAIT_S_MAX)
		return bhctl_usage_error(ctl, "--wait: at most %u s", WAIT_S_MAX);
	j->erase.wait_ms = (unsigned)wait_s * 1000;
	return BH_OK;
}

bh_status cmd_erase(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(job_clear) job j = { .rotate = false };
	const char *prefix = NULL, *wait = NULL;
	bool hex = false;
	const bhctl_option options[] = { { .name = "prefix", .value = &prefix },
					 { .name = "hex", .flag = &hex },
					 { .name = "wait", .value = &wait },
					 { .name = "rotate", .flag = &j.rotate },
					 { .name = "suppress", .flag = &j.erase.suppress },
					 { .name = "lift", .flag = &j.lift },
					 { .name = "list", .flag = &j.list },
					 { 0 } };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bhctl_target(args[0], &j.scope));
	BH_TRY(check_usage(ctl, &j, prefix, wait != NULL));
	BH_TRY(parse_wait(ctl, wait, &j));
	if (j.list)
		return list(ctl, &j);
	BH_TRY(bhctl_bytes("--prefix", bh_view_str(prefix), hex, &j.prefix));
	return j.lift ? lift(ctl, &j) : erase(ctl, &j);
}
