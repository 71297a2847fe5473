/* SPDX-License-Identifier: Apache-2.0
 *
 * test_forgeries.c: a generator of forgeries, of one merchant's files and of those that belong to nobody. Each is made in a copy of
 * a populated database, with live and parked merchants, and met in a child with a time limit. Of one merchant's: the others are
 * served complete, nothing aborts, nothing hangs, and the victim's rows are right or refused, never wrong or missing without a
 * word. Of nobody's: all is right, or the open is refused, by a message that names the file.
 *
 * BH_FORGERIES=N: how many of the first (2,000 if nothing is said; of the second a fifth); BH_FORGERIES_SEED=S: another row of
 * them; BH_FORGERY=I: number I alone, with what the database says. The table at the end is by kind of forgery.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/merchant.h"
#include "forgery_database.h"
#include "tests/support/random.h"

enum {
	FILES_MAX = 256, /* of all merchants that are attacked */
	JOBS = 6,        /* at once */
	PATIENCE_S = 60, /* for one child */
#ifdef BH_SANITIZED
	FEW = 160, /* forgeries, if nobody says how many */
#else
	FEW = 2000,
#endif
	DETACH_MS = 8000, /* for a detach that has begun */
};

/* ---- forgeries */

typedef enum forgery {
	FLIP,
	CUT,
	EXTENDED,
	EMPTIED,
	OTHERS,  /* another file of the merchant, or of another merchant, in its place */
	SWAPPED, /* two files of the merchant */
	DELETED,
	DIRECTORY,
	LINK,
	FIFO,
	UNREADABLE,
	FORGERIES,
} forgery;
static const char *const forgery_names[] = { "flip",    "cut",       "extended", "emptied", "another",   "swapped",
					     "deleted", "directory", "link",     "fifo",    "unreadable" };

typedef struct plan {
	const workspace *ws;
	char dir[PATH_SIZE];                    /* the copy */
	char victim[BH_NAME_MAX];               /* whose file it is; "": nobody's */
	char path[PATH_SIZE], other[PATH_SIZE]; /* below the database */
	forgery how;
	uint64_t random;
	bool loud;
} plan;

typedef struct file_list {
	char root[PATH_SIZE];
	char names[FILES_MAX][PATH_SIZE / 2];
	size_t count;
} file_list;

static void take_file(void *arg, const char *path)
{
	file_list *list = arg;
	const char *below = path + strlen(list->root) + 1;

	if (strncmp(below, "tenants/live/", 13) != 0 && strncmp(below, "parked/", 7) != 0)
		return;
	test_check(list->count < FILES_MAX);
	snprintf(list->names[list->count++], PATH_SIZE / 2, "%s", below);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* What an open goes by, or reads, and no merchant has. */
static void take_nobodys(void *arg, const char *path)
{
	static const char *const kinds[] = { "KEYRING", "AUDIT", "CURRENT", "IDENTITY", "MANIFEST-", "OPTIONS-" };
	file_list *list = arg;
	const char *below = path + strlen(list->root) + 1, *dot = strrchr(below, '.');
	bool is_one = strchr(below, '/') == NULL && dot != NULL && strcmp(dot, ".log") == 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		is_one = is_one || strncmp(below, kinds[i], strlen(kinds[i])) == 0;
	if (!is_one)
		return;
	test_check(list->count < FILES_MAX);
	snprintf(list->names[list->count++], PATH_SIZE / 2, "%s", below);
}

static void victim_of(const char *below, char out[BH_NAME_MAX])
{
	const char *name = strchr(below, '/');

	snprintf(out, BH_NAME_MAX, "%.*s", name != NULL ? (int)strcspn(name + 1, "/") : 0, name != NULL ? name + 1 : "");
}

static void make_plan(const file_list *files, uint64_t seed, plan *p)
{
	test_random rng = { seed };
	const char *below = files->names[test_random_below(&rng, files->count)];
	char whose[BH_NAME_MAX];

	p->how = (forgery)test_random_below(&rng, FORGERIES + 4);
	if (p->how >= FORGERIES)
		p->how = FLIP; /* has more places than the others */
	snprintf(p->path, sizeof(p->path), "%s", below);
	victim_of(below, p->victim);
	do {
		const char *other = files->names[test_random_below(&rng, files->count)];

		victim_of(other, whose);
		snprintf(p->other, sizeof(p->other), "%s", other);
	} while (p->how == SWAPPED && strcmp(whose, p->victim) != 0);
	p->random = test_random_u64(&rng);
}

static size_t somewhere(const plan *p, size_t len)
{
	/* Half of the time in the header. */
	if (len == 0)
		return 0;
	return p->random & 1 ? (size_t)(p->random >> 1) % len : (size_t)(p->random >> 1) % BH_MIN(len, (size_t)640);
}

static void swap_files(const char *a, const char *b)
{
	bh_buf first = file_read(a), second = file_read(b);

	file_write(a, bh_buf_view(&second));
	file_write(b, bh_buf_view(&first));
	bh_buf_clear(&first);
	bh_buf_clear(&second);
}

static void change_bytes(const plan *p, const char *path)
{
	bh_buf bytes = file_read(path);
	size_t at = somewhere(p, bytes.len);

	if (p->how == FLIP && bytes.len > 0)
		bytes.data[at] ^= (uint8_t)(1u << (p->random >> 40) % 8);
	if (p->how == CUT)
		bytes.len = at;
	if (p->how == EMPTIED)
		bytes.len = 0;
	for (size_t i = 0; p->how == EXTENDED && i <= (p->random >> 30) % 5000; i++)
		test_ok(bh_buf_append_u8(&bytes, (uint8_t)(p->random >> i % 50)));
	file_write(path, bh_buf_view(&bytes));
	bh_buf_clear(&bytes);
}

static void put_in_place(const plan *p, const char *path)
{
	test_check(unlink(path) == 0);
	if (p->how == DIRECTORY)
		test_check(mkdir(path, 0750) == 0);
	if (p->how == LINK)
		test_check(symlink(p->random & 1 ? "/dev/null" : "nowhere", path) == 0);
	if (p->how == FIFO)
		test_check(mkfifo(path, 0640) == 0);
}

static void forge(const plan *p)
{
	char path[PATH_SIZE * 2], other[PATH_SIZE * 2];

	snprintf(path, sizeof(path), "%s/%s", p->dir, p->path);
	snprintf(other, sizeof(other), "%s/%s", p->dir, p->other);
	switch (p->how) {
	case FLIP:
	case CUT:
	case EXTENDED:
	case EMPTIED: change_bytes(p, path); break;
	case OTHERS: {
		bh_buf bytes = file_read(other);

		file_write(path, bh_buf_view(&bytes));
		bh_buf_clear(&bytes);
		break;
	}
	case SWAPPED: swap_files(path, other); break;
	case UNREADABLE: test_check(chmod(path, 0) == 0); break;
	default: put_in_place(p, path); break;
	}
}

/* ---- what comes of it */

typedef enum outcome { HARMLESS = 1, REFUSED, OTHERS_REFUSED, SILENT } outcome;

typedef struct verdict {
	outcome what;
	char why[256];
} verdict;

static void say(void *arg, const char *line)
{
	if (((const plan *)arg)->loud)
		fprintf(stderr, "   log: %s\n", line);
}

/* BH_OK: all rows are there and right; BH_E_FORMAT as BH_E_COUNT_: wrong or missing with no word of it. */
static bh_status read_class(bh_db *db, const char *merchant, const char *cls)
{
	bh_status status = BH_OK;
	bh_buf got = { 0 };
	bh_cf *cf = NULL;
	uint8_t want[400];
	char key[16];

	status = bh_cf_open(db, merchant, cls, &cf);
	for (int i = 0; i < FORGERY_ROWS && status == BH_OK; i++) {
		bh_view value = forgery_value(want, merchant, i);

		status = bh_get(cf, NULL, forgery_key(key, i), &got);
		if (status == BH_E_NO_SUCH_KEY ||
		    (status == BH_OK && (got.len != value.len || memcmp(got.data, value.data, got.len) != 0)))
			status = BH_E_COUNT_;
	}
	bh_buf_clear(&got);
	bh_cf_close(cf);
	return status;
}

static bh_status scan_class(bh_db *db, const char *merchant, const char *cls)
{
	bh_iter *iter = NULL;
	bh_cf *cf = NULL;
	bh_status status = bh_cf_open(db, merchant, cls, &cf);
	int count = 0;

	if (status == BH_OK)
		status = bh_iter_new(cf, NULL, &iter);
	if (status == BH_OK)
		status = bh_iter_first(iter);
	for (; status == BH_OK && bh_iter_valid(iter); count++)
		status = bh_iter_next(iter);
	bh_iter_free(iter);
	bh_cf_close(cf);
	return status == BH_OK && count != FORGERY_ROWS ? BH_E_COUNT_ : status;
}

static bh_status read_merchant(bh_db *db, const char *merchant)
{
	for (size_t c = 0; c < 2; c++) {
		BH_TRY(read_class(db, merchant, forgery_classes[c]));
		BH_TRY(scan_class(db, merchant, forgery_classes[c]));
	}
	return BH_OK;
}

static bh_status use(bh_db *db, const char *merchant)
{
	uint8_t value[400];
	bh_status status;
	char key[16];
	bh_cf *cf;

	BH_TRY(read_merchant(db, merchant));
	BH_TRY(bh_cf_open(db, merchant, forgery_classes[0], &cf));
	status = bh_put(cf, &(bh_write_options){ .sync = true }, forgery_key(key, 7), forgery_value(value, merchant, 7));
	if (status == BH_OK)
		status = bh_flush(cf);
	if (status == BH_OK)
		status = bh_compact(cf, (bh_view){ 0 }, (bh_view){ 0 });
	bh_cf_close(cf);
	return status;
}

static bool is_parked(const plan *p)
{
	return strncmp(p->path, "parked/", 7) == 0;
}

static bool settle(verdict *v, outcome what, const char *where)
{
	v->what = what;
	snprintf(v->why, sizeof(v->why), "%s: %s", where, bh_status_message());
	return false;
}

/* Everybody but the victim: the live ones serve, a parked one comes back. */
static bool others_are_whole(const plan *p, bh_db *db, verdict *v)
{
	for (size_t m = 0; m < 4; m++) {
		bh_status status = BH_OK;

		if (strcmp(forgery_merchants[m], p->victim) == 0)
			continue;
		if (m >= 2)
			status = bh_merchant_resume(db, forgery_merchants[m], NULL);
		if (status == BH_OK || status == BH_E_EXISTS)
			status = use(db, forgery_merchants[m]);
		if (status != BH_OK)
			return settle(v, OTHERS_REFUSED, forgery_merchants[m]);
	}
	return true;
}

static void wait_detached(const plan *p, bh_db *db)
{
	for (int waited_ms = 0; waited_ms < DETACH_MS; waited_ms += 5) {
		BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

		test_ok(bh_keyring_merchant(db->keyring, p->victim, &info));
		if (info.state == BH_MERCHANT_SUSPENDED)
			return;
		usleep(5000);
	}
}

static outcome victims(const plan *p, bh_db *db)
{
	bh_status status = is_parked(p) ? bh_merchant_resume(db, p->victim, NULL) : BH_OK;

	if (status == BH_OK)
		status = read_merchant(db, p->victim);
	if (status == BH_E_COUNT_)
		return SILENT;
	if (status != BH_OK && !is_parked(p))
		wait_detached(p, db);
	return status == BH_OK ? HARMLESS : REFUSED;
}

static bh_status open_copy(const plan *p, bh_db **out)
{
	rocksdb_options_t *options = forgery_options();
	bh_status status =
		bh_db_open(p->dir, &(bh_db_options){ .rocksdb = options, .log = say, .log_arg = (void *)(uintptr_t)p }, out);

	rocksdb_options_destroy(options);
	return status;
}

/* Either of the two that were swapped may be the one that is found. */
static bool is_named(const plan *p)
{
	return strstr(bh_status_message(), p->path) != NULL || (p->how == SWAPPED && strstr(bh_status_message(), p->other) != NULL);
}

static void meet_nobodys(const plan *p, verdict *v)
{
	bh_db *db = NULL;

	if (open_copy(p, &db) != BH_OK) {
		(void)settle(v, is_named(p) ? REFUSED : OTHERS_REFUSED, "open");
		return;
	}
	v->what = HARMLESS;
	(void)others_are_whole(p, db, v);
	bh_db_close(db);
}

static void meet(const plan *p, verdict *v)
{
	outcome first;
	bh_db *db = NULL;

	if (p->victim[0] == '\0') {
		meet_nobodys(p, v);
		return;
	}
	if (open_copy(p, &db) != BH_OK) {
		(void)settle(v, OTHERS_REFUSED, "open");
		return;
	}
	first = victims(p, db);
	v->what = first;
	snprintf(v->why, sizeof(v->why), "%s: %s", p->victim, bh_status_message());
	if (first != SILENT)
		(void)others_are_whole(p, db, v);
	bh_db_close(db);
	if (v->what != HARMLESS && v->what != REFUSED)
		return;
	if (open_copy(p, &db) != BH_OK)
		(void)settle(v, OTHERS_REFUSED, "second open");
	else if (others_are_whole(p, db, v))
		bh_db_close(db);
}

static void run_plan(void *arg, int out_fd)
{
	const plan *p = arg;
	verdict v = { 0 };
	char from[PATH_SIZE];

	if (geteuid() == 0)
		child_check(setgid(65534) == 0 && setuid(65534) == 0);
	path_join(from, p->ws->root, "good");
	tree_copy(from, p->dir);
	forge(p);
	meet(p, &v);
	child_say(out_fd, &v, sizeof(v));
}

/* ---- the table */

typedef struct row {
	unsigned tried, harmless, refused, others_refused, crash, hang, silent, broken;
} row;

static void report(unsigned number, const plan *p, const char *what, const char *why)
{
	print_message("forgery %u (%s of %s): %s: %s\n", number, forgery_names[p->how], p->path, what, why);
}

static void count(unsigned number, const plan *p, const child_end *end, row *r)
{
	verdict v = { 0 };

	r->tried++;
	if (end->timed_out) {
		r->hang++;
		report(number, p, "hang", "");
		return;
	}
	if (end->signal != 0) {
		r->crash++;
		report(number, p, "crash", strsignal(end->signal));
		return;
	}
	if (end->code != 0 || end->said.len != sizeof(v)) {
		r->broken++;
		report(number, p, "the child failed", "");
		return;
	}
	memcpy(&v, end->said.data, sizeof(v));
	r->harmless += v.what == HARMLESS;
	r->refused += v.what == REFUSED;
	r->others_refused += v.what == OTHERS_REFUSED;
	r->silent += v.what == SILENT;
	if (v.what == OTHERS_REFUSED || v.what == SILENT || p->loud)
		report(number, p,
		       v.what == SILENT           ? "silent"
		       : v.what == OTHERS_REFUSED ? "others refused, or no name"
						  : "well",
		       v.why);
}

static void print_table(const row rows[FORGERIES])
{
	print_message("%-12s %6s %9s %8s %15s %6s %5s %7s\n", "forgery", "tried", "harmless", "refused", "others refused", "crash",
		      "hang", "silent");
	for (int f = 0; f < FORGERIES; f++)
		print_message("%-12s %6u %9u %8u %15u %6u %5u %7u\n", forgery_names[f], rows[f].tried, rows[f].harmless,
			      rows[f].refused, rows[f].others_refused, rows[f].crash, rows[f].hang, rows[f].silent);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void make_good(workspace *ws, void (*take)(void *arg, const char *path), file_list *files)
{
	char good[PATH_SIZE];

	workspace_open(ws);
	if (geteuid() == 0)
		test_check(chown(ws->root, 65534, 65534) == 0);
	test_child_ok(forgery_database_make, ws);
	path_join(good, ws->root, "good");
	tree_copy(ws->db, good);
	snprintf(files->root, sizeof(files->root), "%s", good);
	tree_walk(good, take, files);
	qsort(files->names, files->count, sizeof(files->names[0]), by_name);
	test_check(files->count > 6);
}

/* What the parent made is to be the children's. */
static void give_away(const workspace *ws)
{
	BH_CLEANUP(bh_buf_clear) bh_buf command = { 0 };

	if (geteuid() != 0)
		return;
	test_ok(bh_buf_printf(&command, "chown -R 65534:65534 '%s'", ws->root));
	test_check(system((const char *)command.data) == 0);
}

/* Every JOBS-th of them, in a process of its own: most of the time somebody waits for a disk. */
typedef struct job {
	const workspace *ws;
	const file_list *files;
	unsigned first, total;
	uint64_t seed, one;
	row *rows; /* [FORGERIES], shared with the parent */
} job;

static void run_job(void *arg)
{
	const job *j = arg;

	for (unsigned i = j->first; i < j->total; i += JOBS) {
		plan p = { .ws = j->ws, .loud = j->one == i };
		char name[32];
		child_end end;

		make_plan(j->files, j->seed << 32 | i, &p);
		if (j->one != UINT64_MAX && j->one != i)
			continue;
		snprintf(name, sizeof(name), "copy-%u", j->first);
		path_join(p.dir, j->ws->root, name);
		end = child_run(PATIENCE_S * 1000, run_plan, &p);
		count(i, &p, &end, &j->rows[p.how]);
		bh_buf_clear(&end.said);
		tree_remove(p.dir);
	}
	fflush(NULL);
}

static row (*run_jobs(const workspace *ws, const file_list *files, unsigned total))[FORGERIES]
{
	row(*rows)[FORGERIES] = mmap(NULL, JOBS * sizeof(*rows), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	job jobs[JOBS];
	pid_t children[JOBS];

	test_check(rows != MAP_FAILED);
	for (unsigned k = 0; k < JOBS; k++) {
		jobs[k] = (job){ .ws = ws,
				 .files = files,
				 .first = k,
				 .total = total,
				 .seed = number_of("BH_FORGERIES_SEED", 1),
				 .one = number_of("BH_FORGERY", UINT64_MAX),
				 .rows = rows[k] };
		children[k] = test_child_start(run_job, &jobs[k]);
	}
	for (unsigned k = 0; k < JOBS; k++)
		test_check(test_child_wait(children[k]) == 0);
	return rows;
}

static void add_row(row *to, const row *from)
{
	to->tried += from->tried;
	to->harmless += from->harmless;
	to->refused += from->refused;
	to->others_refused += from->others_refused;
	to->crash += from->crash;
	to->hang += from->hang;
	to->silent += from->silent;
	to->broken += from->broken;
}

static void run_all(unsigned total, void (*take)(void *arg, const char *path))
{
	static file_list files;
	row rows[FORGERIES] = { 0 }, sum = { 0 }, (*shared)[FORGERIES];
	workspace ws;

	files.count = 0;
	make_good(&ws, take, &files);
	give_away(&ws);
	print_message("%u forgeries of %zu files, seed %llu\n", total, files.count,
		      (unsigned long long)number_of("BH_FORGERIES_SEED", 1));
	shared = run_jobs(&ws, &files, total);
	for (int f = 0; f < FORGERIES; f++) {
		for (int k = 0; k < JOBS; k++)
			add_row(&rows[f], &shared[k][f]);
		add_row(&sum, &rows[f]);
	}
	munmap(shared, JOBS * sizeof(*shared));
	print_table(rows);
	workspace_close(&ws);
	assert_int_equal(sum.others_refused + sum.crash + sum.hang + sum.silent + sum.broken, 0);
}

static void forgeries_of_one_merchants_files_stay_its_own(void **state)
{
	(void)state;
	run_all((unsigned)number_of("BH_FORGERIES", FEW), take_file);
}

static void forgeries_of_nobodys_files_are_named(void **state)
{
	(void)state;
	run_all((unsigned)number_of("BH_FORGERIES", FEW) / 5, take_nobodys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgeries_of_one_merchants_files_stay_its_own),
		cmocka_unit_test(forgeries_of_nobodys_files_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
