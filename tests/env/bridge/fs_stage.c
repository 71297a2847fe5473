/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_stage.c: fs_stage.h's other half.
 */
#include "fs_stage.h"

#include <unistd.h>

#include "env/spans/logfmt.h"

#define WAIT_S 120 /* whoever waits for a pipe is ended by SIGALRM */
#define BATCH_LEN 12
#define EDIT_LEN 2

const file_kind kinds[KIND_COUNT] = {
	[KIND_SST] = { "000901.sst", false, true, 3000 },
	[KIND_BLOB] = { "000902.blob", false, true, 3000 },
	[KIND_WAL] = { "000903.log", true, false, BH_LOG_HEADER + BATCH_LEN },
	[KIND_MANIFEST] = { "MANIFEST-000904", true, false, BH_LOG_HEADER + EDIT_LEN },
	[KIND_OPTIONS] = { "OPTIONS-000905", false, false, 3000 },
	[KIND_DBTMP] = { "000906.dbtmp", false, false, 3000 },
	[KIND_OTHER] = { "anything", false, false, 3000 },
};

const char *at(const stage *s, const char *name)
{
	static char paths[8][PATH_SIZE];
	static unsigned next;
	char *path = paths[next++ % 8];

	path_join(path, strstr(name, ".log") != NULL ? s->logs : s->dir, name);
	return path;
}

void stage_make_database(const workspace *ws)
{
	bh_db *db;

	test_db_create(ws, NULL);
	db = test_db_open(ws, NULL);
	test_merchant_add(ws, db, "ann", "data", NULL);
	test_merchant_add(ws, db, "bob", "data", NULL);
	bh_db_close(db);
}

stage stage_open_own(const workspace *ws, const char *spelled)
{
	stage s = { .ws = ws };

	stage_make_database(ws);
	test_ok(bh_env_create(spelled != NULL ? spelled : ws->db, NULL, &s.env));
	path_join(s.dir, ws->db, "tenants/ann/data");
	path_join(s.logs, ws->db, ""); /* a WAL is made there alone */
	return s;
}

stage stage_open_scratch(const workspace *ws)
{
	stage s = { .ws = ws };
	char uri[PATH_SIZE + 64];

	stage_make_database(ws);
	snprintf(uri, sizeof(uri), "bulkhead://%s/tenants/ann/data", ws->db);
	s.env = fs_env_of_uri(uri);
	test_check(s.env != NULL);
	path_join(s.dir, ws->root, "scratch");
	path_join(s.logs, ws->root, "scratch");
	test_ok(fs_make_dir(s.env, s.dir));
	return s;
}

void stage_close(stage *s)
{
	rocksdb_env_destroy(s->env);
}

typedef struct run {
	stage_body body;
	bool scratch;
	workspace ws;
} run;

static void run_body(void *arg)
{
	const run *r = arg;
	stage s = r->scratch ? stage_open_scratch(&r->ws) : stage_open_own(&r->ws, NULL);

	alarm(WAIT_S);
	r->body(&s);
	stage_close(&s);
}

void stage_for_each_env(stage_body body)
{
	for (int i = 0; i < 2; i++) {
		run r = { .body = body, .scratch = i == 1 };

		workspace_open(&r.ws);
		test_child_ok(run_body, &r);
		workspace_close(&r.ws);
	}
}

/* Of a WAL an empty batch, of a MANIFEST an edit that says next to nothing. */
void kind_content(const file_kind *k, bh_buf *out)
{
	static const uint8_t batch[BATCH_LEN] = { 1 };  /* sequence number 1, no entries */
	static const uint8_t edit[EDIT_LEN] = { 2, 5 }; /* kLogNumber = 5 */

	if (k == &kinds[KIND_WAL])
		test_ok(bh_log_append_record(0, bh_view_of(batch, sizeof(batch)), out));
	else if (k == &kinds[KIND_MANIFEST])
		test_ok(bh_log_append_record(0, bh_view_of(edit, sizeof(edit)), out));
	else
		for (unsigned i = 0; i < k->size; i++)
			test_ok(bh_buf_append_u8(out, (uint8_t)(i * 7)));
}

void make_file(const stage *s, const file_kind *k, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	kind_content(k, &bytes);
	test_ok(fs_write(s->env, path, bh_buf_view(&bytes), "as", false));
}

void expect_file(const stage *s, const file_kind *k, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf want = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf got = { 0 };
	uint64_t size = 0;

	kind_content(k, &want);
	test_ok(fs_read(s->env, path, &got));
	test_check(got.len == want.len && want.len > 0 && memcmp(got.data, want.data, want.len) == 0);
	test_ok(fs_size(s->env, path, &size));
	test_check(size == want.len);
}
