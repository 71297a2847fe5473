/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal_pages.c: paged files; see reseal.h.
 *
 *     step                                     a kill right after it leaves
 *     claimed: nobody else works on the file   nothing
 *     NAME.bhtmp written, page by page         a part of it
 *     synced                                   all of it
 *     names exchanged, readers switched        the new file, the old one as NAME.bhtmp
 *     old one removed, directory synced        done
 */
#include "reseal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env/fs/fs.h"
#include "keyring/base/crashpoint.h"
#include "env/files/page_readers.h"
#include "env/files/raw_file.h"
#include "keyring/base/io.h"

#define CHUNK (256u * 1024) /* logical bytes read, sealed and written at once */

typedef struct job {
	bh_fs *fs;
	const char *path;
	bh_path_info info;
	const bh_pace *pace; /* may be NULL */
	bh_page_claim *claim;
	int in, out; /* -1: not open */
	struct stat st;
	bh_page_file *old;
	bh_page_writer *writer;
	uint8_t header[BH_HEADER_LEN]; /* of the new file */
	bh_buf temp;                   /* its path until the exchange */
	bool temp_made;
	bh_buf physical; /* as read */
	bh_buf plain;    /* CHUNK bytes at most; wiped */
	bh_buf sealed;   /* to be written */
	uint64_t written;
} job;

static const char *temp_path(const job *j)
{
	return (const char *)j->temp.data;
}

static void job_clear(job *j)
{
	if (j->temp_made)
		unlink(temp_path(j));
	bh_raw_close(&j->in);
	bh_raw_close(&j->out);
	bh_page_file_free(j->old);
	bh_page_writer_free(j->writer);
	if (j->plain.data != NULL)
		bh_wipe(j->plain.data, j->plain.cap);
	bh_buf_clear(&j->plain);
	bh_buf_clear(&j->physical);
	bh_buf_clear(&j->sealed);
	bh_buf_clear(&j->temp);
	bh_page_claim_end(j->claim);
}

/* ---- the old file */

static bh_status open_old(job *j)
{
	uint8_t header[BH_HEADER_LEN];

	if (fstat(j->in, &j->st) != 0)
		return bh_raw_fail(j->path, "looked at");
	BH_TRY(bh_raw_header(j->in, j->path, header));
	BH_TRY(bh_fail_prefix(
		bh_page_file_new(bh_view_of(header, sizeof(header)), (uint64_t)j->st.st_size, bh_fs_scopes(j->fs), &j->old), "%s",
		j->path));
	return bh_path_check_place(j->path, &j->info, bh_page_file_key(j->old));
}

static bh_status is_newest(const job *j, bool *out)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *newest = NULL;

	BH_TRY(bh_fail_prefix(bh_keyring_dek_current(bh_fs_keyring(j->fs), &j->info.scope, &newest), "%s", j->path));
	*out = memcmp(bh_dek_id(newest), bh_page_file_key(j->old)->header.dek_id, BH_ID_LEN) == 0;
	return BH_OK;
}

/* ---- the new one */

/* What a run that failed could not remove is in nobody's use: the claim is ours. */
static bh_status make_new(job *j)
{
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };

	BH_TRY(bh_fs_new_file(j->fs, j->path, &j->info, &key, j->header));
	BH_TRY(bh_page_writer_new(&key, j->header, &j->writer));
	BH_TRY(bh_buf_printf(&j->temp, "%s" BH_TEMP_SUFFIX, j->path));
	j->out = bh_io_make(AT_FDCWD, temp_path(j), O_WRONLY, 0640);
	if (j->out < 0)
		return bh_raw_fail(temp_path(j), "made");
	j->temp_made = true;
	bh_crash_point("reseal.made");
	return BH_OK;
}

static bh_status put(job *j)
{
	bh_view bytes = bh_buf_view(&j->sealed);

	if (bytes.len == 0)
		return BH_OK;
	if (j->pace != NULL)
		BH_TRY(j->pace->take(j->pace->arg, bytes.len));
	BH_TRY(bh_raw_write(j->out, temp_path(j), bytes));
	/* On its way to the disk now, so that the sync at the end does not hold up everybody else's. Only a hint. */
	(void)sync_file_range(j->out, (off_t)j->written, (off_t)bytes.len, SYNC_FILE_RANGE_WRITE);
	j->written += bytes.len;
	j->sealed.len = 0;
	bh_crash_point("reseal.written");
	return BH_OK;
}

static bh_status copy_range(job *j, uint64_t off, size_t len, const bh_page_range *range)
{
	bh_status status;

	BH_TRY(bh_raw_read(j->in, j->path, range->off, j->physical.data, range->len, &j->physical.len));
	status = bh_page_file_open_range(j->old, off, len, bh_buf_view(&j->physical), j->plain.data);
	BH_TRY(bh_fail_prefix(status, "%s", j->path));
	BH_TRY(bh_page_writer_append(j->writer, bh_view_of(j->plain.data, range->out_len), &j->sealed));
	return put(j);
}

/* In whole pages, which are opened straight into `plain`. */
static bh_status copy_pages(job *j)
{
	uint32_t page_size = bh_page_file_key(j->old)->header.page_size;
	size_t pages = CHUNK / page_size, len = pages * (page_size - BH_TAG_LEN);
	bh_page_range range;

	BH_TRY(bh_buf_reserve(&j->plain, len));
	BH_TRY(bh_buf_reserve(&j->physical, pages * page_size));
	for (uint64_t off = 0; (range = bh_page_file_range(j->old, off, len)).len > 0; off += len)
		BH_TRY(copy_range(j, off, len, &range));
	BH_TRY(bh_page_writer_finish(j->writer, &j->sealed));
	return put(j);
}

/* As the old one looks to whoever lists the directory. */
static bh_status keep_attributes(const job *j)
{
	const struct timespec times[2] = { j->st.st_atim, j->st.st_mtim };
	struct stat st;

	if (fstat(j->out, &st) != 0)
		return bh_raw_fail(temp_path(j), "looked at");
	if ((st.st_uid != j->st.st_uid || st.st_gid != j->st.st_gid) && fchown(j->out, j->st.st_uid, j->st.st_gid) != 0)
		return bh_raw_fail(temp_path(j), "given its owner");
	if (fchmod(j->out, j->st.st_mode & 07777) != 0)
		return bh_raw_fail(temp_path(j), "given its permissions");
	return futimens(j->out, times) == 0 ? BH_OK : bh_raw_fail(temp_path(j), "given its time");
}

static bh_status write_new(job *j)
{
	BH_TRY(make_new(j));
	BH_TRY(copy_pages(j));
	BH_TRY(keep_attributes(j));
	return fsync(j->out) == 0 ? BH_OK : bh_raw_fail(temp_path(j), "synced");
}

/* ---- the one for the other */

static bh_status put_in_place(job *j, bool *done_out)
{
	const bh_page_image image = { .header = bh_view_of(j->header, sizeof(j->header)),
				      .physical = j->written,
				      .scopes = bh_fs_scopes(j->fs) };
	bool done = false;

	BH_TRY(bh_page_readers_switch(bh_fs_page_readers(j->fs), j->claim, temp_path(j), j->path, &image, &done));
	if (!done)
		return BH_OK;
	j->temp_made = false; /* it is the old file now */
	BH_TRY(bh_raw_remove(temp_path(j)));
	*done_out = true;
	return BH_OK;
}

static bh_status reseal(job *j, bool *done_out)
{
	bool newest = false;

	BH_TRY(open_old(j));
	BH_TRY(is_newest(j, &newest));
	if (newest)
		return BH_OK;
	BH_TRY(write_new(j));
	return put_in_place(j, done_out);
}

bh_status bh_reseal_pages(bh_fs *fs, const char *path, const bh_pace *pace, bool *done_out)
{
	BH_CLEANUP(job_clear) job j = { .fs = fs, .path = path, .pace = pace, .in = -1, .out = -1 };
	bool done = false;

	BH_TRY(bh_fs_classify(fs, path, &j.info));
	if (!j.info.sealed || !bh_file_kind_is_paged(j.info.kind))
		return bh_fail(BH_E_INVALID, "%s: is no SST or blob file", path);
	BH_TRY(bh_page_claim_open(bh_fs_page_readers(fs), path, &j.in, &j.claim));
	if (j.claim != NULL)
		BH_TRY(reseal(&j, &done));
	*done_out = done;
	return BH_OK;
}
