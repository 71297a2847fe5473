/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_rotate.c: a merchant gets a new generation of DEKs; what lies under older ones is moved at once, if that is asked for. The
 * platform's always is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bhctl.h"
#include "live.h"

#define MIB_PER_S_MAX (1u << 20)

typedef struct job {
	const bhctl *ctl;
	const char *name; /* "": the platform */
	char who[BH_NAME_MAX + 16];
	bool now;  /* sweeps, too */
	bool only; /* sweeps, and begins nothing */
	bh_rotate_options rotate;
	bh_sweep_options sweep;
	bh_sweep_progress progress; /* the last that was told */
} job;

/* ---- progress: on a terminal, in one line that is written over */

static void tell(void *arg, const bh_sweep_progress *p)
{
	job *j = arg;

	j->progress = *p;
	if (j->ctl->json || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%s: %llu of %llu files, %llu of %llu MiB", j->who, (unsigned long long)p->files_done,
		(unsigned long long)p->files_total, (unsigned long long)(p->bytes_done >> 20),
		(unsigned long long)(p->bytes_total >> 20));
	if (p->remaining_s >= 0)
		fprintf(stderr, ", about %lld s to go ", (long long)p->remaining_s);
	if (p->files_done >= p->files_total)
		fputc('\n', stderr);
}

/* ---- the work, and what there is afterwards */

typedef struct outcome {
	uint32_t newest;
	size_t classes, older, retired;
	char needed_by[64]; /* one that an older generation is needed for; "" */
} outcome;

static bh_status look(live *db, const char *name, outcome *out)
{
	bh_generation *all = NULL;
	size_t count = 0;

	BH_TRY(live_generations(db, name, &all, &count));
	*out = (outcome){ 0 };
	for (size_t i = 0; i < count; i++) {
		out->newest = BH_MAX(out->newest, all[i].generation);
		out->classes += all[i].newest;
		out->older += !all[i].newest && !all[i].retired;
		if (all[i].log[0] != '\0')
			memcpy(out->needed_by, all[i].log, sizeof(out->needed_by));
		out->retired += all[i].retired;
	}
	free(all);
	return BH_OK;
}

/* A merchant that is detached keeps logs that are under the platform's older generations, and is no reason for a rotation to fail:
 * what is written from now on is under the new one. */
static bh_status sweep(live *db, const job *j)
{
	bh_status status = live_sweep(db, j->name, &j->sweep);

	return status == BH_E_BUSY && j->name[0] == '\0' && !j->only ? BH_OK : status;
}

static bh_status run(bhctl *ctl, job *j, outcome *out)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;

	BH_TRY(live_open(ctl, &db));
	if (!j->only)
		BH_TRY(live_rotate(&db, j->name, &j->rotate));
	if (j->now)
		BH_TRY(sweep(&db, j));
	return look(&db, j->name, out);
}

static bh_status print(const job *j, const outcome *found)
{
	if (j->ctl->json)
		return out_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "merchant", j->name, "generation",
					  (json_int_t)found->newest, "classes", (json_int_t)found->classes, "older",
					  (json_int_t)found->older, "destroyed", (json_int_t)found->retired, "files_swept",
					  (json_int_t)j->progress.files_done, "bytes_swept", (json_int_t)j->progress.bytes_done));
	printf("%s: new files are sealed under generation %u of its keys; ", j->who, (unsigned)found->newest);
	if (!j->now || found->older > 0)
		printf("%zu older ones are kept for what lies under them%s%s\n", found->older,
		       found->needed_by[0] != '\0' ? ": " : "", found->needed_by);
	else
		printf("%llu files were moved onto it, all older generations are destroyed\n",
		       (unsigned long long)j->progress.files_done);
	return BH_OK;
}

static bh_status parse_rate(const char *text, uint64_t *bytes_per_s_out)
{
	char *end = NULL;
	unsigned long mib = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || mib == 0 || mib > MIB_PER_S_MAX)
		return bh_fail(BH_E_INVALID, "--rate %s: MiB per second are due, 1 to %u", text, MIB_PER_S_MAX);
	*bytes_per_s_out = (uint64_t)mib << 20;
	return BH_OK;
}

bh_status cmd_rotate(bhctl *ctl, int argc, char **argv)
{
	job j = { .ctl = ctl };
	const char *rate = NULL;
	bool platform = false;
	const bhctl_option options[] = {
		{ .name = "now", .flag = &j.now },         { .name = "exposed", .flag = &j.rotate.exposed },
		{ .name = "sweep", .flag = &j.only },      { .name = "rate", .value = &rate },
		{ .name = "platform", .flag = &platform }, { 0 }
	};
	outcome found;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 0, 1, &args, &count));
	if (count + platform != 1)
		return bhctl_usage_error(ctl, "whose keys? give a merchant's name or --platform");
	BH_TRY(bhctl_need_db(ctl));
	if (!platform)
		BH_TRY(bh_name_check("merchant", args[0]));
	j.name = platform ? "" : args[0];
	snprintf(j.who, sizeof(j.who), platform ? "platform" : "merchant '%s'", j.name);
	if (j.only && (j.now || j.rotate.exposed))
		return bh_fail(BH_E_INVALID, "--sweep begins no new generation: --now and --exposed do");
	j.now |= j.rotate.exposed || j.only || platform;
	j.rotate.sweep = j.now;
	if (rate != NULL)
		BH_TRY(parse_rate(rate, &j.sweep.bytes_per_s));
	j.sweep.progress = tell;
	j.sweep.progress_arg = &j;
	BH_TRY(run(ctl, &j, &found));
	return print(&j, &found);
}
