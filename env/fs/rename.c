/* SPDX-License-Identifier: Apache-2.0
 *
 * rename.c: see rename.h.
 */
#include "rename.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "copy.h"
#include "fs_state.h"
#include "env/files/raw_file.h"
#include "env/files/stream_file.h"
#include "keyring/base/crashpoint.h"
#include "keyring/base/io.h"

typedef struct renaming {
	const char *from, *to;
	bh_buf temp; /* path of the new file until it has its name */
	bh_stream_reader *reader;
	bh_stream_writer *writer;
	bh_buf sealed;
	int in, out;
} renaming;

static void renaming_clear(renaming *r)
{
	bh_stream_reader_free(r->reader);
	bh_stream_writer_free(r->writer);
	bh_buf_clear(&r->temp);
	bh_buf_clear(&r->sealed);
	bh_io_closep(&r->in);
	bh_io_closep(&r->out);
}

static const char *temp_path(const renaming *r)
{
	return (const char *)r->temp.data;
}

bh_status bh_rename_needs_reseal(const bh_fs *fs, const char *from, const char *to, bool *out)
{
	bh_path_info a, b;

	BH_TRY(bh_fs_classify(fs, from, &a));
	BH_TRY(bh_fs_classify(fs, to, &b));
	*out = a.sealed && b.sealed && a.kind == BH_KIND_OTHER && b.kind == BH_KIND_OTHER && a.number != b.number &&
	       bh_scope_is_same(&a.scope, &b.scope);
	return BH_OK;
}

static bh_status begin_reading(const bh_fs *fs, renaming *r)
{
	uint8_t header[BH_HEADER_LEN];
	bh_path_info info;

	BH_TRY(bh_fs_classify(fs, r->from, &info));
	BH_TRY(bh_raw_open(r->from, &r->in));
	BH_TRY(bh_raw_header(r->in, r->from, header));
	BH_TRY(bh_fail_prefix(bh_stream_reader_new(bh_view_of(header, sizeof(header)), bh_fs_scopes(fs), false, &r->reader), "%s",
			      r->from));
	return bh_path_check_place(r->from, &info, bh_stream_reader_key(r->reader));
}

static bh_status begin_writing(bh_fs *fs, renaming *r)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	uint8_t header[BH_HEADER_LEN], first[BH_HEADER_LEN];
	bh_path_info info;

	BH_TRY(bh_fs_classify(fs, r->to, &info));
	BH_TRY(bh_fs_new_file(fs, r->to, &info, &key, header));
	BH_TRY(bh_stream_writer_new(&key, header, bh_fs_scopes(fs), first, &r->writer));
	BH_TRY(bh_buf_printf(&r->temp, "%s" BH_TEMP_SUFFIX, r->to));
	r->out = bh_io_make(AT_FDCWD, temp_path(r), O_WRONLY, 0640);
	if (r->out < 0)
		return bh_raw_fail(temp_path(r), "made");
	return bh_raw_write(r->out, temp_path(r), bh_view_of(first, sizeof(first)));
}

static bh_status pass_on(void *arg, bh_view ready)
{
	renaming *r = arg;

	BH_TRY(bh_stream_writer_append(r->writer, ready, &r->sealed));
	BH_TRY(bh_raw_write(r->out, temp_path(r), bh_buf_view(&r->sealed)));
	r->sealed.len = 0;
	return BH_OK;
}

static bh_status pump(renaming *r)
{
	BH_TRY(bh_fail_prefix(bh_stream_read_through(r->in, r->from, UINT64_MAX, r->reader, pass_on, r), "%s", r->from));
	if (bh_stream_reader_end(r->reader) != BH_STREAM_CLEAN)
		return bh_fail(BH_E_TAG, "%s: is torn or damaged", r->from);
	return BH_OK;
}

static bh_status write_anew(bh_fs *fs, renaming *r)
{
	BH_TRY(begin_writing(fs, r));
	BH_TRY(pump(r));
	BH_TRY(bh_stream_finish_file(r->out, temp_path(r), r->writer));
	bh_crash_point("rename.sealed");
	return BH_OK;
}

static bh_status make_resealed(bh_fs *fs, renaming *r)
{
	BH_TRY(begin_reading(fs, r));
	BH_TRY(write_anew(fs, r));
	return rename(temp_path(r), r->to) == 0 ? BH_OK : bh_raw_fail(r->to, "put in place");
}

bh_status bh_rename_resealed(bh_fs *fs, const char *from, const char *to)
{
	BH_CLEANUP(renaming_clear) renaming r = { .from = from, .to = to, .in = -1, .out = -1 };
	bh_status status;

	pthread_mutex_lock(&fs->renaming);
	status = make_resealed(fs, &r);
	pthread_mutex_unlock(&fs->renaming);
	if (status != BH_OK) {
		if (r.out >= 0)
			(void)unlink(temp_path(&r));
		return status;
	}
	bh_crash_point("rename.renamed");
	(void)unlink(from); /* RocksDB removes what is left of it at the next open */
	return BH_OK;
}

/* ---- under its own name */

static bh_status is_newest(const bh_fs *fs, const renaming *r, bool *out)
{
	const bh_file_key *key = bh_stream_reader_key(r->reader);
	BH_CLEANUP(bh_dek_unrefp) bh_dek *newest = NULL;
	bh_path_info info;

	BH_TRY(bh_fs_classify(fs, r->from, &info));
	BH_TRY(bh_keyring_dek_current(fs->keyring, &info.scope, &newest));
	*out = memcmp(bh_dek_id(newest), key->header.dek_id, BH_ID_LEN) == 0;
	return BH_OK;
}

/* By exchange, so that one that RocksDB removes meanwhile does not come back. */
static bh_status reseal_in_place(bh_fs *fs, renaming *r, bool *done_out)
{
	bool newest = false;

	BH_TRY(begin_reading(fs, r));
	BH_TRY(is_newest(fs, r, &newest));
	if (newest)
		return BH_OK;
	BH_TRY(write_anew(fs, r));
	bh_io_closep(&r->out); /* from here on what is at the temporary name is removed by who replaces */
	return bh_raw_replace(temp_path(r), r->to, done_out);
}

bh_status bh_rename_in_place(bh_fs *fs, const char *path, bool *done_out)
{
	BH_CLEANUP(renaming_clear) renaming r = { .from = path, .to = path, .in = -1, .out = -1 };
	bh_status status;

	*done_out = false;
	if (!bh_path_is_whole_small(path))
		return BH_OK;
	pthread_mutex_lock(&fs->renaming);
	status = reseal_in_place(fs, &r, done_out);
	if (status != BH_OK && r.out >= 0)
		(void)unlink(temp_path(&r));
	pthread_mutex_unlock(&fs->renaming);
	return status == BH_E_NOT_FOUND ? BH_OK : status;
}
