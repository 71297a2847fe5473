/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal_log.c: see reseal_log.h. A reader and a writer, with one table of scopes between them that chooses a key for each family
 * once, so that a family that comes or goes meanwhile is treated alike from the first byte to the last.
 *
 *     step                                 a kill right after it leaves
 *     NAME.bhtmp written, mark and all     the old file, and NAME.bhtmp for the next open to remove
 *     synced                               the same
 *     exchanged, old one removed           the new file (raw_file.h)
 */
#include "reseal_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/files/live.h"
#include "env/files/raw_file.h"
#include "env/files/stream_file.h"
#include "env/spans/manifest_files.h"
#include "env/spans/spans.h"
#include "keyring/base/random.h"

/* Which key a family's bytes go under. */
typedef struct choice {
	bh_dek *dek; /* counted; NULL: not chosen yet */
	bool needed; /* its own; else a random one */
} choice;

typedef struct reseal {
	bh_fs *fs;
	const char *path;
	const bh_pace *pace; /* may be NULL */
	bh_cf_ids unneeded;
	bh_scopes scopes; /* of the reader and of the writer */
	choice *choices;  /* [choice_count], by family */
	size_t choice_count;
	int in, out;
	char *fresh; /* path of `out`; owned */
	bh_stream_reader *reader;
	bh_stream_writer *writer;
	bh_buf sealed;
} reseal;

/* ---- choosing keys */

static bh_status throwaway(bh_dek **out)
{
	const bh_scope nobody = { 0 };
	uint8_t id[BH_ID_LEN], key[BH_DEK_LEN];
	bh_status status;

	BH_TRY(bh_random(id, sizeof(id)));
	BH_TRY(bh_random(key, sizeof(key)));
	status = bh_dek_new(id, &nobody, 1, bh_view_of(NULL, 0), bh_view_of(key, sizeof(key)), out);
	bh_wipe(key, sizeof(key));
	return status;
}

static bool is_unneeded(const reseal *r, uint32_t cf_id)
{
	for (size_t i = 0; i < r->unneeded.count; i++)
		if (r->unneeded.ids[i] == cf_id)
			return true;
	return false;
}

/* The keyring has no such family, or the database does not: its bytes are nobody's. */
static bool is_nobodys(bh_status status)
{
	return status == BH_E_NOT_FOUND || status == BH_E_NO_SUCH_MERCHANT || status == BH_E_NO_SUCH_CLASS;
}

static bh_status choose(const reseal *r, uint32_t cf_id, choice *out)
{
	const bh_scopes *real = bh_fs_scopes(r->fs);
	bh_status status = is_unneeded(r, cf_id) ? BH_E_NOT_FOUND : real->dek_for_cf(real->arg, cf_id, &out->dek);

	out->needed = status == BH_OK;
	return is_nobodys(status) ? throwaway(&out->dek) : status;
}

static bh_status grow_choices(reseal *r, uint32_t cf_id)
{
	size_t count = BH_MAX((size_t)cf_id + 1, 2 * r->choice_count);
	choice *grown;

	if (cf_id < r->choice_count)
		return BH_OK;
	if (cf_id >= BH_CF_ID_MAX)
		return bh_fail(BH_E_FORMAT, "column-family id %u is out of range", cf_id);
	grown = realloc(r->choices, count * sizeof(*grown));
	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu column families", count);
	memset(grown + r->choice_count, 0, (count - r->choice_count) * sizeof(*grown));
	r->choices = grown;
	r->choice_count = count;
	return BH_OK;
}

static bh_status choice_of(reseal *r, uint32_t cf_id, const choice **out)
{
	BH_TRY(grow_choices(r, cf_id));
	if (r->choices[cf_id].dek == NULL)
		BH_TRY(choose(r, cf_id, &r->choices[cf_id]));
	*out = &r->choices[cf_id];
	return BH_OK;
}

/* ---- bh_scopes */

static bh_status dek_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	const choice *c = NULL;

	*out = NULL;
	if (cf_id == BH_CF_DEFAULT)
		return BH_OK;
	BH_TRY(choice_of(arg, cf_id, &c));
	*out = bh_dek_ref(c->dek);
	return BH_OK;
}

static bh_status dek_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	const bh_scopes *real = bh_fs_scopes(((const reseal *)arg)->fs);

	return real->dek_by_id(real->arg, id, out);
}

/* What an old edit says of families is news to nobody. */
static bh_status cf_added(void *arg, uint32_t cf_id, bh_view name)
{
	(void)arg;
	(void)cf_id;
	(void)name;
	return BH_OK;
}

static bh_status cf_dropped(void *arg, uint32_t cf_id)
{
	(void)arg;
	(void)cf_id;
	return BH_OK;
}

static void cf_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	(void)arg;
	(void)cf_id;
	(void)number;
}

static bh_status cf_scope(void *arg, uint32_t cf_id, bh_scope *out)
{
	const bh_scopes *real = bh_fs_scopes(((const reseal *)arg)->fs);

	return real->cf_scope(real->arg, cf_id, out);
}

/* What goes under a random key may be blank as well. The keys of what is needed may just be leaving memory. */
static bh_status cf_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	const choice *c = NULL;

	(void)file;
	BH_TRY(choice_of(arg, cf_id, &c));
	return c->needed ? bh_fail(BH_E_NO_KEY, "the key of column family %u's bytes is not in memory", cf_id) : BH_OK;
}

static bool cf_attached(void *arg, bh_view name)
{
	(void)arg;
	(void)name;
	return true;
}

static uint64_t keyring_durable(void *arg)
{
	const bh_scopes *real = bh_fs_scopes(((const reseal *)arg)->fs);

	return real->keyring_durable != NULL ? real->keyring_durable(real->arg) : 0;
}

static const bh_scopes reseal_scopes = {
	.dek_for_cf = dek_for_cf,
	.dek_by_id = dek_by_id,
	.cf_added = cf_added,
	.cf_dropped = cf_dropped,
	.cf_log_number = cf_log_number,
	.cf_scope = cf_scope,
	.cf_blank = cf_blank,
	.cf_attached = cf_attached,
	.keyring_durable = keyring_durable,
};

/* ---- from one file to the other */

static void reseal_clear(reseal *r)
{
	for (size_t i = 0; i < r->choice_count; i++)
		bh_dek_unref(r->choices[i].dek);
	free(r->choices);
	bh_stream_reader_free(r->reader);
	bh_stream_writer_free(r->writer);
	bh_raw_close(&r->in);
	bh_raw_close(&r->out);
	bh_buf_clear(&r->sealed);
	bh_manifest_files_free(r->scopes.files);
	free(r->fresh);
}

static bh_status begin_reading(reseal *r, bh_path_info *info)
{
	uint8_t header[BH_HEADER_LEN];

	BH_TRY(bh_fs_classify(r->fs, r->path, info));
	BH_TRY(bh_raw_open(r->path, &r->in));
	BH_TRY(bh_raw_header_stable(r->in, r->path, header));
	BH_TRY(bh_stream_reader_new(bh_view_of(header, sizeof(header)), &r->scopes, false, &r->reader));
	BH_TRY(bh_path_check_place(r->path, info, bh_stream_reader_key(r->reader)));
	if (bh_stream_reader_spans(r->reader) == NULL)
		return bh_fail(BH_E_INVALID, "%s: is neither a WAL nor a MANIFEST", r->path);
	return BH_OK;
}

static bh_status begin_writing(reseal *r, const bh_path_info *info)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	uint8_t header[BH_HEADER_LEN], first[BH_HEADER_LEN];

	BH_TRY(bh_fs_new_file(r->fs, r->path, info, &key, header));
	BH_TRY(bh_stream_writer_new(&key, header, &r->scopes, first, &r->writer));
	r->out = open(r->fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (r->out < 0)
		return bh_raw_fail(r->fresh, "made");
	return bh_raw_write(r->out, r->fresh, bh_view_of(first, sizeof(first)));
}

static bh_status pass_on(void *arg, bh_view ready)
{
	reseal *r = arg;

	BH_TRY(bh_stream_writer_append(r->writer, ready, &r->sealed));
	if (r->pace != NULL && r->sealed.len > 0)
		BH_TRY(r->pace->take(r->pace->arg, r->sealed.len));
	BH_TRY(bh_raw_write(r->out, r->fresh, bh_buf_view(&r->sealed)));
	r->sealed.len = 0;
	return BH_OK;
}

/* Nobody writes a WAL any more that is sealed anew here. What ends in it in the middle of a frame, or in bytes that were never
 * synced and do not authenticate, is what a kill or a power cut has left, and no recovery takes more of it than what can be read.
 * Of a MANIFEST, which is being written, the rest is to come. */
static bh_status pump(reseal *r, bh_file_kind kind)
{
	BH_TRY(bh_stream_read_through(r->in, r->path, UINT64_MAX, r->reader, pass_on, r));
	if (kind != BH_KIND_WAL && bh_stream_reader_end(r->reader) != BH_STREAM_CLEAN)
		return bh_fail(BH_E_BUSY, "%s: ends in the middle of a frame", r->path);
	return BH_OK;
}

/* The mark goes first, so that one sync makes both durable: the file has no name yet. */
static bh_status make_durable(reseal *r)
{
	uint8_t mark[BH_SYNC_MARK_LEN];
	bool needed = false;

	bh_stream_writer_written(r->writer);
	BH_TRY(bh_stream_writer_sync_mark(r->writer, bh_stream_writer_point(r->writer), &needed, mark));
	if (needed && pwrite(r->out, mark, sizeof(mark), BH_SYNC_MARK_OFFSET) != (ssize_t)sizeof(mark))
		return bh_raw_fail(r->fresh, "marked");
	return fsync(r->out) == 0 ? BH_OK : bh_raw_fail(r->fresh, "synced");
}

static bh_status write_fresh(reseal *r, const bh_path_info *info)
{
	bh_status status = begin_writing(r, info);

	if (r->out < 0)
		return status;
	if (status == BH_OK)
		status = pump(r, info->kind);
	if (status == BH_OK)
		status = make_durable(r);
	if (status != BH_OK)
		(void)unlink(r->fresh);
	return status;
}

static bh_status reseal_begin(bh_fs *fs, const char *path, reseal *r)
{
	BH_CLEANUP(bh_buf_clear) bh_buf fresh = { 0 };

	BH_TRY(bh_buf_printf(&fresh, "%s" BH_TEMP_SUFFIX, path));
	*r = (reseal){ .fs = fs, .path = path, .in = -1, .out = -1, .fresh = strdup((const char *)fresh.data) };
	r->scopes = reseal_scopes;
	r->scopes.arg = r;
	return r->fresh != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "%s: no memory", path);
}

/* Deleted meanwhile, or somebody else is at it: there is nothing to do for us. */
static bool is_over(bh_status status)
{
	return status == BH_E_NOT_FOUND || status == BH_E_EXISTS;
}

/* KEYRING knows both files while one takes the place of the other. */
static bh_status put_in_place(reseal *r, const bh_path_info *info, bool *done_out)
{
	bh_fresh *fresh = bh_fs_lists(r->fs, r->path, info) ? bh_fs_fresh(r->fs) : NULL;
	const bh_header *header = bh_stream_writer_header(r->writer);
	const uint64_t end = bh_stream_writer_point(r->writer).physical;
	bh_status status = fresh != NULL ? bh_fresh_replace(fresh, header, end) : BH_OK;

	if (status == BH_OK)
		status = bh_raw_replace(r->fresh, r->path, done_out);
	else
		(void)unlink(r->fresh);
	if (fresh != NULL)
		bh_fresh_replaced(fresh, header, end, *done_out);
	return status;
}

/* ---- the two of them */

bh_status bh_reseal_wal(bh_fs *fs, const char *path, const bh_cf_ids *unneeded, const bh_pace *pace, bool *done_out)
{
	BH_CLEANUP(reseal_clear) reseal r = { .in = -1, .out = -1 };
	bh_path_info info;
	bh_status status;

	*done_out = false;
	if (bh_fs_is_live(fs, path))
		return BH_OK;
	BH_TRY(reseal_begin(fs, path, &r));
	r.pace = pace;
	if (unneeded != NULL)
		r.unneeded = *unneeded;
	status = begin_reading(&r, &info);
	if (status != BH_OK && r.in >= 0 && !bh_raw_is_still_there(r.in, path))
		return BH_OK; /* and what it was under may be destroyed */
	if (status == BH_OK)
		status = write_fresh(&r, &info);
	if (status == BH_OK)
		status = put_in_place(&r, &info, done_out);
	return is_over(status) ? BH_OK : bh_fail_prefix(status, "%s", path);
}

/* Held, and written anew in full: puts it in its place. */
static bh_status switch_over(reseal *r, const bh_path_info *info, const bh_live_stream *live, bool *done_out)
{
	bh_status status = live->ops->prepare(live->file, r->fresh);

	if (status == BH_OK)
		status = put_in_place(r, info, done_out);
	else
		(void)unlink(r->fresh);
	if (!*done_out)
		return status;
	bh_stream_writer_rebind(r->writer, bh_fs_scopes(r->fs));
	bh_live_switch(bh_fs_live(r->fs), r->path, r->writer);
	r->writer = NULL;
	return status;
}

/* Reads all of it, so that the files are known that are there at its end. */
static bh_status note_files(reseal *r)
{
	bh_path_info info;

	BH_TRY(bh_manifest_files_new(&r->scopes.files));
	BH_TRY(begin_reading(r, &info));
	BH_TRY(bh_stream_read_through(r->in, r->path, UINT64_MAX, r->reader, NULL, NULL));
	bh_manifest_files_rewind(r->scopes.files);
	bh_stream_reader_free(r->reader);
	r->reader = NULL;
	bh_raw_close(&r->in);
	return BH_OK;
}

static bh_status reseal_held(reseal *r, const bh_live_stream *live, bool scrub, bool *done_out)
{
	bh_path_info info;
	bh_status status;

	if (scrub)
		BH_TRY(note_files(r));
	BH_TRY(begin_reading(r, &info));
	BH_TRY(write_fresh(r, &info));
	if (bh_stream_writer_logical(r->writer) == bh_stream_writer_logical(live->writer))
		return switch_over(r, &info, live, done_out);
	/* The rest of a record, or of a group of them, is still to come. */
	status = unlink(r->fresh) == 0 ? BH_OK : bh_raw_fail(r->fresh, "removed");
	return status;
}

bh_status bh_reseal_manifest(bh_fs *fs, const char *path, bool scrub, const bh_pace *pace, bool *done_out)
{
	BH_CLEANUP(reseal_clear) reseal r = { .in = -1, .out = -1 };
	bh_live_stream live;
	bh_status status;

	*done_out = false;
	BH_TRY(reseal_begin(fs, path, &r));
	r.pace = pace;
	if (!bh_live_hold(bh_fs_live(fs), path, &live))
		return BH_OK;
	status = reseal_held(&r, &live, scrub, done_out);
	bh_live_release(bh_fs_live(fs), path);
	return is_over(status) ? BH_OK : bh_fail_prefix(status, "%s", path);
}
