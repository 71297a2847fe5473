/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_load.c: many records out of a file: batches of BATCH_MAX, one sync at the end. A bad line ends it, and the message says which
 * one and what is stored by then, so that the rest can be loaded after it is mended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bhctl.h"
#include "load_line.h"

#define BATCH_MAX 1000         /* records in a batch */
#define BATCH_BYTES (4u << 20) /* or bytes */
#define PROGRESS_EVERY 50000   /* records */

typedef struct load {
	const char *name; /* of the input, for messages */
	FILE *input;
	load_line_fn read_line;
	bh_cf *cf;
	bh_batch *batch;
	char *line; /* getline()'s */
	size_t line_cap;
	size_t batch_bytes;
	uint64_t line_no; /* from 1 */
	uint64_t records; /* written */
	uint64_t bytes;   /* of keys and values written */
	uint64_t skipped; /* left out, since their prefix was erased and is kept out */
	bool skip_erased; /* --skip-erased */
	bool progress;
	bool blobs; /* --blob-min-size was given */
	bh_buf key;
	bh_buf value;
} load;

static void load_clear(load *l)
{
	if (l->input != NULL && l->input != stdin)
		fclose(l->input);
	if (l->batch != NULL)
		bh_batch_free(l->batch);
	free(l->line);
	bh_buf_clear(&l->key);
	bh_buf_clear(&l->value);
}

static bh_status write_batch(load *l)
{
	size_t count = bh_batch_count(l->batch);

	if (count == 0)
		return BH_OK;
	BH_TRY(bh_batch_write(l->batch, NULL));
	bh_batch_clear(l->batch);
	l->records += count;
	l->bytes += l->batch_bytes;
	l->batch_bytes = 0;
	if (l->progress && l->records % PROGRESS_EVERY < count)
		fprintf(stderr, "\r%llu records", (unsigned long long)l->records);
	return BH_OK;
}

static bh_status take_line(load *l, size_t len)
{
	bh_status status;

	if (len > 0 && l->line[len - 1] == '\n')
		len--;
	BH_TRY(l->read_line(bh_view_of(l->line, len), &l->key, &l->value));
	status = bh_batch_put(l->batch, l->cf, bh_buf_view(&l->key), bh_buf_view(&l->value));
	if (status == BH_E_ERASED && l->skip_erased) {
		l->skipped++;
		return BH_OK;
	}
	BH_TRY(status);
	l->batch_bytes += l->key.len + l->value.len;
	return bh_batch_count(l->batch) >= BATCH_MAX || l->batch_bytes >= BATCH_BYTES ? write_batch(l) : BH_OK;
}

static bh_status take_lines(load *l)
{
	ssize_t len;

	while ((len = getline(&l->line, &l->line_cap, l->input)) >= 0) {
		l->line_no++;
		BH_TRY(take_line(l, (size_t)len));
	}
	return ferror(l->input) ? bh_fail(BH_E_IO, "cannot be read: %s", strerror(errno)) : BH_OK;
}

/* What was good before a bad line is kept: it is written and synced like all else. */
static bh_status run(load *l, bh_db *db)
{
	bh_status status = take_lines(l), synced;
	char message[300];

	snprintf(message, sizeof(message), "%s", bh_status_message());
	synced = write_batch(l);
	if (synced == BH_OK)
		synced = bh_sync_wal(db);
	/* Whoever opens the database next flushes what this call leaves in memory, and knows nothing of blob files. */
	if (synced == BH_OK && l->blobs)
		synced = bh_flush(l->cf);
	if (l->progress && l->records >= PROGRESS_EVERY)
		fputc('\n', stderr);
	if (status == BH_OK)
		return synced;
	return bh_fail(status, "%s: line %llu: %s; the %llu records before it are %s", l->name, (unsigned long long)l->line_no,
		       message, (unsigned long long)l->records, synced == BH_OK ? "stored" : "stored, but perhaps not durably");
}

static bh_status open_input(bhctl *ctl, const char *file, const char *format, load *l)
{
	if (format == NULL || strcmp(format, "tsv") == 0)
		l->read_line = load_line_tsv;
	else if (strcmp(format, "jsonl") == 0)
		l->read_line = load_line_jsonl;
	else
		return bhctl_usage_error(ctl, "--format '%s': it is tsv or jsonl", format);
	l->name = strcmp(file, "-") == 0 ? "standard input" : file;
	bhctl_callers_files(true);
	l->input = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	bhctl_callers_files(false);
	if (l->input == NULL)
		return bh_fail(errno == ENOENT ? BH_E_NOT_FOUND : BH_E_IO, "%s: cannot be read: %s", file, strerror(errno));
	l->progress = isatty(STDERR_FILENO);
	return BH_OK;
}

static bh_status print_result(const bhctl *ctl, const char *target, const load *l)
{
	if (ctl->json)
		return out_json(json_pack("{s:s, s:I, s:I, s:I}", "class", target, "records", (json_int_t)l->records, "bytes",
					  (json_int_t)l->bytes, "skipped", (json_int_t)l->skipped));
	printf("%s: %llu records, %llu bytes\n", target, (unsigned long long)l->records, (unsigned long long)l->bytes);
	if (l->skipped > 0)
		printf("%llu records were left out: rows of their prefixes were erased\n", (unsigned long long)l->skipped);
	return BH_OK;
}

bh_status cmd_load(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bhctl_db_close) bh_db *db = NULL;
	BH_CLEANUP(bhctl_cf_close) bh_cf *cf = NULL;
	BH_CLEANUP(load_clear) load l = { 0 };
	const char *format = NULL, *blob_min = NULL;
	const bhctl_option options[] = {
		{ .name = "format", .value = &format },
		{ .name = "blob-min-size", .value = &blob_min },
		{ .name = "skip-erased", .flag = &l.skip_erased },
		{ 0 },
	};
	uint64_t blob_min_size = 0;
	bh_scope scope;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 2, 2, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bhctl_target(args[0], &scope));
	if (blob_min != NULL)
		BH_TRY(bhctl_number("--blob-min-size", blob_min, &blob_min_size));
	BH_TRY(open_input(ctl, args[1], format, &l));
	BH_TRY(bhctl_open(ctl, blob_min_size, &db));
	BH_TRY(bh_cf_open(db, scope.merchant, scope.cls, &cf));
	l.cf = cf;
	l.blobs = blob_min_size > 0;
	BH_TRY(bh_batch_new(db, &l.batch));
	BH_TRY(run(&l, db));
	return print_result(ctl, args[0], &l);
}
