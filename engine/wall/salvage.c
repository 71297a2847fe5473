/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage.c: which files are left out, and the report; the rows are salvage_rows.c's.
 */
#include "salvage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/core/family.h"
#include "engine/core/files.h"
#include "engine/core/hurt.h"
#include "env/fs/blame.h"
#include "env/fs/manifest_sum.h"
#include "env/fs/page_check.h"
#include "keyring/base/crashpoint.h"
#include "park.h"
#include "parked.h"
#include "salvage_rows.h"

typedef struct salvage {
	bh_db *db;
	bh_merchant *merchant;
	bh_buf *report;
	bh_buf path; /* where what was parked is lent */
	bh_manifest_sum sum;
	uint64_t *hidden; /* SSTs that are left out */
	size_t hidden_count;
} salvage;

static void salvage_clear(salvage *s)
{
	bh_buf_clear(&s->path);
	bh_manifest_sum_clear(&s->sum);
	free(s->hidden);
}

static const char *root(const salvage *s)
{
	return (const char *)s->path.data;
}

/* ---- files */

static bool is_hidden(const salvage *s, uint64_t number)
{
	for (size_t i = 0; i < s->hidden_count; i++)
		if (s->hidden[i] == number)
			return true;
	return false;
}

static const bh_manifest_sum_family *own_family(const salvage *s, const bh_manifest_sum_file *file)
{
	const bh_manifest_sum_family *family = bh_manifest_sum_family_of(&s->sum, file->family);

	return family != NULL && strcmp(family->scope.merchant, s->merchant->name) == 0 && !file->blob &&
			       bh_manifest_sum_needs(&s->sum, file)
		       ? family
		       : NULL;
}

/* In the words of this thread's last failure. */
static bh_status leave_out(salvage *s, const bh_manifest_sum_file *file)
{
	const bh_manifest_sum_family *family = own_family(s, file);
	bh_message why = bh_message_keep();
	uint64_t *grown = realloc(s->hidden, (s->hidden_count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the list of files that are lost");
	s->hidden = grown;
	s->hidden[s->hidden_count++] = file->number;
	bh_park_name_lent(why.text, s->merchant->name);
	BH_TRY(bh_buf_printf(s->report, "%s: doubtful: from ", family->scope.cls));
	BH_TRY(bh_salvage_hex(s->report, bh_view_of(file->bounds, file->smallest_len)));
	BH_TRY(bh_buf_printf(s->report, " to "));
	BH_TRY(bh_salvage_hex(s->report, bh_view_of(file->bounds + file->smallest_len, file->largest_len)));
	return bh_buf_printf(s->report, ": %s\n", bh_hurt_shorter(s->db, why.text));
}

static bh_status look_at(salvage *s, const bh_fs *view, const bh_manifest_sum_file *file, bh_page_look how)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	char below[BH_MANIFEST_PATH_SIZE];
	bh_status status;
	uint64_t size = 0;

	bh_manifest_sum_path(&s->sum, file, below);
	BH_TRY(bh_buf_printf(&path, "%s/%s", root(s), below));
	status = bh_page_check(view, (const char *)path.data, how, &size);
	if (status == BH_OK && size != file->size)
		status = bh_fail(BH_E_TAG, "%s: is another file", (const char *)path.data);
	return status != BH_OK ? leave_out(s, file) : BH_OK;
}

static bh_status look_at_all(salvage *s, const bh_fs *view, bh_page_look how)
{
	for (size_t i = 0; i < s->sum.file_count; i++)
		if (own_family(s, &s->sum.files[i]) != NULL && !is_hidden(s, s->sum.files[i].number))
			BH_TRY(look_at(s, view, &s->sum.files[i], how));
	return BH_OK;
}

static bh_status look(salvage *s, bh_page_look how)
{
	bh_fs *view = NULL;
	bh_status status;

	BH_TRY(bh_fs_new_view(s->db->keyring, root(s), s->merchant->name, &view));
	s->sum.keeps_bounds = true;
	status = s->sum.file_count > 0 ? BH_OK : bh_manifest_sum_read(root(s), bh_fs_scopes(view), &s->sum);
	if (status == BH_OK)
		status = look_at_all(s, view, how);
	bh_fs_free(view);
	return status;
}

/* ---- what RocksDB refuses all the same */

/* The SST that a message names; NULL: none that is not left out yet. */
static const bh_manifest_sum_file *named_sst(const salvage *s, const char *message)
{
	for (size_t i = 0; i < s->sum.file_count; i++) {
		const bh_manifest_sum_file *file = &s->sum.files[i];
		char below[BH_MANIFEST_PATH_SIZE];

		if (own_family(s, file) == NULL || is_hidden(s, file->number))
			continue;
		bh_manifest_sum_path(&s->sum, file, below);
		if (strstr(message, below) != NULL)
			return file;
	}
	return NULL;
}

typedef struct named_log {
	salvage *s;
	const char *message;
	bool found;
} named_log;

/* A log that it names is left out, too. */
static bh_status leave_out_log(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	named_log *n = arg;
	size_t len = strlen(name);

	BH_TRY(bh_buf_printf(&path, "%s/%s", root(n->s), name));
	if (n->found || len < 5 || strcmp(name + len - 4, ".log") != 0 || strstr(n->message, (const char *)path.data) == NULL)
		return BH_OK;
	if (unlink((const char *)path.data) != 0)
		return bh_fail(BH_E_IO, "%s: cannot be left out", (const char *)path.data);
	n->found = true;
	return bh_buf_printf(n->s->report, "lost: %s: %s\n", name, bh_hurt_shorter(n->s->db, n->message));
}

/* Whether there is less to open now. */
static bh_status leave_out_named(salvage *s, bool *less_out)
{
	const bh_message message = bh_message_keep();
	named_log log = { s, message.text, false };
	const size_t before = s->hidden_count;
	const bh_manifest_sum_file *file = named_sst(s, message.text);

	if (file != NULL)
		BH_TRY(leave_out(s, file));
	else
		BH_TRY(bh_dir_each(root(s), leave_out_log, &log));
	if (s->hidden_count == before && !log.found)
		BH_TRY(look(s, BH_PAGE_LOOK_WHOLE));
	*less_out = s->hidden_count > before || log.found;
	bh_message_restore(&message);
	return BH_OK;
}

static bh_status try_open(salvage *s, bh_parked *p)
{
	BH_TRY(bh_buf_printf(&p->path, "%s", root(s)));
	return bh_parked_open(s->db, s->merchant->name, s->hidden, s->hidden_count, p);
}

static bh_status open_what_opens(salvage *s, bh_parked *p)
{
	bh_status status = try_open(s, p);
	bool less = true;

	while (status != BH_OK && less) {
		bh_parked_close(p);
		BH_TRY(leave_out_named(s, &less));
		if (less)
			status = try_open(s, p);
	}
	return status;
}

/* ---- all of it */

static bh_status rows_of_all(salvage *s, const bh_parked *p)
{
	for (size_t i = 0; i < s->merchant->class_count; i++) {
		bh_class *cls = &s->merchant->classes[i];
		rocksdb_column_family_handle_t *from = bh_parked_handle(p, s->merchant, cls);

		BH_TRY(bh_merchant_make_family(s->db, s->merchant, cls));
		if (from != NULL)
			BH_TRY(bh_salvage_rows(s->db, s->merchant, cls, p->rocks, from, s->report));
		bh_crash_point("salvage.class");
	}
	return BH_OK;
}

bh_status bh_salvage(bh_db *db, bh_merchant *merchant, bh_buf *report)
{
	BH_CLEANUP(salvage_clear) salvage s = { .db = db, .merchant = merchant, .report = report };
	BH_CLEANUP(bh_parked_close) bh_parked p = { 0 };

	BH_TRY(bh_park_lend_left(db, merchant->name, &s.path, report));
	BH_TRY(look(&s, BH_PAGE_LOOK_LAST));
	BH_TRY(open_what_opens(&s, &p));
	return rows_of_all(&s, &p);
}
