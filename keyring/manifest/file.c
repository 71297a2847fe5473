/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c: making, locking, opening, appending to and replacing KEYRING. What its bytes prove is scan.c.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring/base/crashpoint.h"
#include "manifest.h"
#include "keyring/audit/audit.h"
#include "keyring/audit/event.h"

#define TMP_FILE BH_KEYRING_FILE ".tmp"
#define FILE_MAX (1ull << 30)
#define EDITS_MIN (64u << 10) /* edits may always come to this many bytes, */
#define EDITS_MAX (1u << 20)  /* and never to more than this, or replaying them would be slow */

/* flock goes with the open file description, so a second open in this process is kept out like one in another. */
static bh_status dir_lock(const bh_io_dir *dir)
{
	if (TEMP_FAILURE_RETRY(flock(dir->fd, LOCK_EX | LOCK_NB)) == 0)
		return BH_OK;
	if (errno == EWOULDBLOCK)
		return bh_fail(BH_E_BUSY, "%s: the database is open already, in this process or another", dir->path);
	return bh_fail(BH_E_IO, "%s: cannot lock the directory: %s", dir->path, strerror(errno));
}

/* The leftover of a replacement that was not finished: it may hold wraps, so its removal is made durable. */
static bh_status tmp_remove(const bh_io_dir *dir)
{
	struct stat st;

	if (fstatat(dir->fd, TMP_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
		return BH_OK;
	BH_TRY(bh_io_unlink(dir, TMP_FILE));
	return bh_io_dir_sync(dir);
}

/* A whole file of one record, in memory. On return `mark` is what it says. */
static bh_status image_encode(const bh_keyring_head *head, const bh_secret *mac_key, uint64_t generation, bh_view snapshot,
			      bh_keyring_mark *mark, bh_buf *out)
{
	BH_TRY(bh_buf_reserve(out, BH_KEYRING_RECORDS_OFF));
	BH_TRY(bh_keyring_head_encode(head, mac_key, out->data, mark->chain));
	out->len = BH_KEYRING_RECORDS_OFF;
	BH_TRY(bh_keyring_record_encode(BH_KEYRING_SNAPSHOT, generation, snapshot, mac_key, mark->chain, out));
	mark->generation = generation;
	mark->committed_len = out->len;
	mark->sequence++;
	return bh_keyring_mark_encode(mark, mac_key, out->data + BH_KEYRING_HEAD_LEN);
}

/* Create */

/* A database is named by its directory, also by who makes one. */
static bh_status database_dir_open(const char *path, bh_io_dir *out)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return bh_fail(BH_E_INVALID,
			       "%s: is not a directory; a database is named by the directory that its " BH_KEYRING_FILE " lies in",
			       path);
	return bh_io_dir_open(path, out);
}

static bh_status refuse_existing(const bh_io_dir *dir, const char *name)
{
	struct stat st;

	if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return bh_fail(BH_E_EXISTS, "%s/%s: is there already; a keyring is never made over what another one left",
			       dir->path, name);
	if (errno != ENOENT)
		return bh_fail(BH_E_IO, "%s/%s: cannot be looked at: %s", dir->path, name, strerror(errno));
	return BH_OK;
}

bh_status bh_keyring_file_create(const char *path, const bh_keyring_head *head, const bh_secret *mac_key, bh_view snapshot,
				 bh_io_dir *dir_out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf image = { 0 };
	bh_keyring_mark mark = { 0 };

	BH_TRY(database_dir_open(path, &dir));
	BH_TRY(dir_lock(&dir));
	BH_TRY(refuse_existing(&dir, BH_KEYRING_FILE));
	BH_TRY(refuse_existing(&dir, BH_AUDIT_FILE));
	BH_TRY(image_encode(head, mac_key, 1, snapshot, &mark, &image));
	BH_TRY(bh_io_write_file(&dir, TMP_FILE, bh_buf_view(&image)));
	bh_crash_point("keyring.create.tmp-synced");
	BH_TRY(bh_io_rename_new(&dir, TMP_FILE, BH_KEYRING_FILE));
	bh_crash_point("keyring.create.renamed");
	BH_TRY(bh_io_dir_sync(&dir));
	*dir_out = dir;
	dir = (bh_io_dir)BH_IO_DIR_CLOSED;
	return BH_OK;
}

/* Open and close: first what is none of ours, by what a person may have typed or lost. */

static bool holds(const bh_io_dir *dir, const char *name)
{
	return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bh_status no_keyring(const bh_io_dir *dir)
{
	if (holds(dir, "CURRENT"))
		return bh_fail(BH_E_NOT_FOUND,
			       "%s: holds a RocksDB but no " BH_KEYRING_FILE
			       ": either it is no Bulkhead database (docs/adopting.md says how rows are brought over), or its "
			       "keyring is lost; restore it from a backup",
			       dir->path);
	return bh_fail(BH_E_NOT_FOUND,
		       "%s: is no Bulkhead database: no " BH_KEYRING_FILE
		       " is in it; 'bhctl --db DIR init' makes one in a new directory",
		       dir->path);
}

static bh_status image_read(bh_keyring_file *file)
{
	uint64_t size;

	if (!holds(&file->dir, BH_KEYRING_FILE) && errno == ENOENT)
		return no_keyring(&file->dir);
	BH_TRY(bh_io_open(&file->dir, BH_KEYRING_FILE, file->writable ? O_RDWR : O_RDONLY, &file->fd, &size, NULL));
	if (size == 0)
		return bh_fail(BH_E_TRUNCATED, "%s/" BH_KEYRING_FILE ": is empty; restore it from a backup", file->dir.path);
	if (size > FILE_MAX)
		return bh_fail(BH_E_FORMAT, "%s/" BH_KEYRING_FILE ": %llu bytes are more than a keyring can have", file->dir.path,
			       (unsigned long long)size);
	BH_TRY(bh_buf_reserve(&file->image, (size_t)size));
	BH_TRY(bh_fail_prefix(bh_io_read_at(file->fd, BH_KEYRING_FILE, 0, file->image.data, (size_t)size), "%s", file->dir.path));
	file->image.len = (size_t)size;
	return BH_OK;
}

static bh_status head_decode(const bh_view image, bh_keyring_head *out)
{
	if (image.len < BH_KEYRING_RECORDS_OFF)
		return bh_fail(BH_E_TRUNCATED, "ends within its head; restore it from a backup");
	return bh_keyring_head_decode(image.data, out);
}

static bh_status file_open(const char *path, bh_keyring_file *file)
{
	BH_TRY(database_dir_open(path, &file->dir));
	BH_TRY(dir_lock(&file->dir));
	BH_TRY(image_read(file));
	return bh_fail_prefix(head_decode(bh_buf_view(&file->image), &file->head), "%s/" BH_KEYRING_FILE, path);
}

bh_status bh_keyring_file_open(const char *path, bool writable, bh_keyring_file *out)
{
	bh_keyring_file file = BH_KEYRING_FILE_CLOSED;

	file.writable = writable;
	bh_status status = file_open(path, &file);
	if (status != BH_OK) {
		bh_keyring_file_close(&file);
		return status;
	}
	*out = file;
	return BH_OK;
}

void bh_keyring_file_close(bh_keyring_file *file)
{
	bh_secret_clear(&file->mac_key);
	bh_hmac_series_free(file->marks);
	file->marks = NULL;
	bh_buf_clear(&file->image);
	bh_io_closep(&file->fd);
	bh_io_dir_close(&file->dir);
}

/* Append */

static bh_status refuse_change(const bh_keyring_file *file)
{
	if (!file->writable)
		return bh_fail(BH_E_INVALID, "%s: the database is open read-only", file->dir.path);
	if (bh_secret_is_wiped(&file->mac_key))
		return bh_fail(BH_E_INVALID, "%s: was opened before a fork: open the database again in the child", file->dir.path);
	if (file->failed)
		return bh_fail(BH_E_IO, "%s/" BH_KEYRING_FILE ": an earlier write failed; close the database and open it again",
			       file->dir.path);
	return BH_OK;
}

static bh_status mark_store(const bh_keyring_file *file, const bh_keyring_mark *mark)
{
	uint8_t bytes[BH_KEYRING_MARK_LEN];

	BH_TRY(bh_keyring_mark_encode_next(mark, file->marks, bytes));
	return bh_io_write_at(file->fd, BH_KEYRING_FILE, BH_KEYRING_HEAD_LEN, bh_view_of(bytes, sizeof(bytes)));
}

/* Under `marking`. Each mark has a sequence of its own, also one that was perhaps not written. One that was written in part must
 * not stay: the one before takes its place again. Of file->mark it changes the sequence alone: the rest, but for the ledger, is
 * read by who changes the keyring, without this lock. */
static bh_status mark_put(bh_keyring_file *file, const bh_keyring_mark *mark)
{
	bh_keyring_mark next = *mark;
	bh_status status;

	next.ledger = file->mark.ledger;
	next.sequence = ++file->mark.sequence;
	status = mark_store(file, &next);
	if (status != BH_OK) {
		const bh_message message = bh_message_keep();

		(void)!mark_store(file, &file->mark);
		bh_message_restore(&message);
	}
	return status;
}

static void mark_keep(bh_keyring_file *file, const bh_keyring_mark *mark)
{
	file->mark.generation = mark->generation;
	file->mark.committed_len = mark->committed_len;
	memcpy(file->mark.chain, mark->chain, sizeof(file->mark.chain));
	file->mark.audit = mark->audit;
}

static void note_durable(bh_keyring_file *file, uint64_t sequence)
{
	uint64_t known = atomic_load(&file->durable);

	while (known < sequence && !atomic_compare_exchange_weak(&file->durable, &known, sequence))
		continue;
}

/* The ledger and the sequence are those that there are now. */
static bh_status mark_write(bh_keyring_file *file, const bh_keyring_mark *mark)
{
	bh_status status;
	uint64_t sequence;

	pthread_mutex_lock(&file->marking);
	status = mark_put(file, mark);
	if (status == BH_OK)
		mark_keep(file, mark);
	sequence = file->mark.sequence;
	pthread_mutex_unlock(&file->marking);
	BH_TRY(status);
	bh_crash_point("keyring.append.mark-written");
	BH_TRY(bh_io_sync(file->fd, BH_KEYRING_FILE));
	note_durable(file, sequence);
	return BH_OK;
}

static bh_status record_write(bh_keyring_file *file, bh_view record)
{
	BH_TRY(bh_io_write_at(file->fd, BH_KEYRING_FILE, file->mark.committed_len, record));
	bh_crash_point("keyring.append.record-written");
	BH_TRY(bh_io_sync(file->fd, BH_KEYRING_FILE));
	bh_crash_point("keyring.append.record-synced");
	return BH_OK;
}

/* Takes back a record that was not wholly written, so that a full disk can be cleared and the change tried again. */
static void record_undo(bh_keyring_file *file)
{
	if (bh_io_truncate(file->fd, BH_KEYRING_FILE, file->mark.committed_len) != BH_OK ||
	    bh_io_sync(file->fd, BH_KEYRING_FILE) != BH_OK)
		file->failed = true;
}

/* Takes back one whose mark failed: first the mark, since a record that the mark covers has to be there. Where this fails, too,
 * only the next open can tell which of them are on the disk. */
static bh_status mark_undo(bh_keyring_file *file, const bh_keyring_mark *before, bh_status status)
{
	const bh_message message = bh_message_keep();

	if (mark_write(file, before) == BH_OK)
		record_undo(file);
	else
		file->failed = true;
	bh_message_restore(&message);
	if (!file->failed)
		return bh_fail_prefix(status, "%s", file->dir.path);
	return bh_fail_prefix(status, "%s: not known whether this was recorded; close the database and open it again",
			      file->dir.path);
}

static bh_keyring_mark mark_get(bh_keyring_file *file)
{
	bh_keyring_mark mark;

	pthread_mutex_lock(&file->marking);
	mark = file->mark;
	pthread_mutex_unlock(&file->marking);
	return mark;
}

bh_status bh_keyring_file_append(bh_keyring_file *file, bh_keyring_record_type type, bh_view payload)
{
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };
	const bh_keyring_mark before = mark_get(file);
	bh_keyring_mark mark = before;

	BH_TRY(refuse_change(file));
	mark.audit = file->audit;
	mark.generation++;
	BH_TRY(bh_keyring_record_encode(type, mark.generation, payload, &file->mac_key, mark.chain, &record));
	mark.committed_len += record.len;

	bh_status status = record_write(file, bh_buf_view(&record));
	if (status != BH_OK) {
		record_undo(file);
		return bh_fail_prefix(status, "%s", file->dir.path);
	}
	status = mark_write(file, &mark);
	if (status != BH_OK)
		return mark_undo(file, &before, status);
	bh_crash_point("keyring.append.mark-synced");
	return BH_OK;
}

bh_status bh_keyring_file_mark_audit(bh_keyring_file *file)
{
	bh_keyring_mark mark = mark_get(file);

	if (mark.audit.size == file->audit.size && memcmp(mark.audit.root, file->audit.root, BH_SHA256_LEN) == 0)
		return BH_OK;
	BH_TRY(refuse_change(file));
	mark.audit = file->audit;
	bh_status status = mark_write(file, &mark);
	if (status != BH_OK) {
		file->failed = true;
		return bh_fail_prefix(status, "%s", file->dir.path);
	}
	return BH_OK;
}

bool bh_keyring_file_is_full(const bh_keyring_file *file, size_t payload_len)
{
	uint64_t edits = file->mark.committed_len - BH_KEYRING_RECORDS_OFF - file->snapshot_len;
	uint64_t limit = BH_MIN(BH_MAX(file->snapshot_len, EDITS_MIN), EDITS_MAX);

	return edits + payload_len + BH_KEYRING_RECORD_OVERHEAD > limit;
}

/* Load */

/* May be interrupted itself at any step, and is then done again. */
static bh_status repair(bh_keyring_file *file)
{
	if (file->torn) {
		BH_TRY(bh_io_truncate(file->fd, BH_KEYRING_FILE, file->mark.committed_len));
		bh_crash_point("keyring.open.tail-cut");
		BH_TRY(bh_io_sync(file->fd, BH_KEYRING_FILE));
	}
	if (file->mark.committed_len != file->stored_len) {
		const bh_keyring_mark found = file->mark;

		/* The records behind the mark may be in the page cache alone: they have to be on disk before a mark covers them. */
		BH_TRY(bh_io_sync(file->fd, BH_KEYRING_FILE));
		BH_TRY(mark_write(file, &found));
	}
	return tmp_remove(&file->dir);
}

bh_status bh_keyring_file_repair(bh_keyring_file *file)
{
	if (!file->writable)
		return BH_OK;
	return bh_fail_prefix(repair(file), "%s/" BH_KEYRING_FILE, file->dir.path);
}

static bh_status load(bh_keyring_file *file, uint64_t floor, bh_keyring_each each, void *arg)
{
	bh_keyring_scan_result scan;

	BH_TRY(bh_keyring_scan(bh_buf_view(&file->image), &file->mac_key, each, arg, &scan));
	if (scan.found.generation < floor)
		return bh_fail(BH_E_ROLLBACK, "is of generation %llu, but %llu was seen before: an older file was put back",
			       (unsigned long long)scan.found.generation, (unsigned long long)floor);
	file->mark = scan.found;
	file->torn = scan.torn;
	file->stored_len = scan.stored.committed_len;
	file->audit = scan.found.audit;
	file->snapshot_len = scan.snapshot_len;
	return BH_OK;
}

bh_status bh_keyring_file_load(bh_keyring_file *file, bh_secret *mac_key, uint64_t floor, bh_keyring_each each, void *arg)
{
	file->mac_key = bh_secret_take(mac_key);
	BH_TRY(bh_hmac_series_new(bh_secret_view(&file->mac_key), &file->marks));
	BH_TRY(bh_fail_prefix(load(file, floor, each, arg), "%s/" BH_KEYRING_FILE, file->dir.path));
	bh_buf_clear(&file->image);
	return BH_OK;
}

/* The ledger */

void bh_keyring_file_ledger(bh_keyring_file *file, bh_ledger *out)
{
	*out = mark_get(file).ledger;
}

uint64_t bh_keyring_file_sequence(bh_keyring_file *file)
{
	return mark_get(file).sequence;
}

bh_status bh_keyring_file_ledger_put(bh_keyring_file *file, const bh_ledger *ledger)
{
	bh_status status;

	pthread_mutex_lock(&file->marking);
	file->mark.ledger = *ledger;
	status = refuse_change(file);
	if (status == BH_OK) {
		const bh_keyring_mark mark = file->mark;

		status = bh_fail_prefix(mark_put(file, &mark), "%s", file->dir.path);
	}
	pthread_mutex_unlock(&file->marking);
	return status;
}

bh_status bh_keyring_file_ledger_sync(bh_keyring_file *file)
{
	uint64_t sequence;
	bh_status status;

	pthread_mutex_lock(&file->syncing);
	sequence = bh_keyring_file_sequence(file);
	status = refuse_change(file);
	if (status == BH_OK)
		status = bh_fail_prefix(bh_io_sync(file->fd, BH_KEYRING_FILE), "%s", file->dir.path);
	if (status == BH_OK)
		note_durable(file, sequence);
	pthread_mutex_unlock(&file->syncing);
	return status;
}

/* Replace */

static bh_status tmp_write(const bh_io_dir *dir, bh_view image, int *fd_out)
{
	BH_TRY(bh_io_write_file(dir, TMP_FILE, image));
	bh_crash_point("keyring.replace.tmp-synced");
	BH_TRY(bh_io_open(dir, TMP_FILE, O_RDWR, fd_out, NULL, NULL));
	return bh_io_rename(dir, TMP_FILE, BH_KEYRING_FILE);
}

static bh_status image_swap(bh_keyring_file *file, bh_view image)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;

	bh_status status = tmp_write(&file->dir, image, &fd);
	if (status != BH_OK) {
		/* Gives the space back where it can; if not, the next writable open does. */
		unlinkat(file->dir.fd, TMP_FILE, 0);
		return status;
	}
	bh_crash_point("keyring.replace.renamed");
	bh_io_closep(&file->fd);
	file->fd = fd;
	fd = -1;
	/* Renamed but perhaps not durably: until the directory is synced, the next open has to find out which file won. */
	file->failed = true;
	BH_TRY(bh_io_dir_sync(&file->dir));
	bh_crash_point("keyring.replace.dir-synced");
	file->failed = false;
	return BH_OK;
}

/* Under `syncing` and `marking`: who moves the ledger waits, for which file that is to be written to is not settled. */
static bh_status replace(bh_keyring_file *file, const bh_keyring_head *head, bh_view snapshot)
{
	BH_CLEANUP(bh_buf_clear) bh_buf image = { 0 };
	bh_keyring_mark mark = { .audit = file->audit, .sequence = file->mark.sequence, .ledger = file->mark.ledger };

	BH_TRY(refuse_change(file));
	BH_TRY(image_encode(head, &file->mac_key, file->mark.generation + 1, snapshot, &mark, &image));
	file->mark.sequence = mark.sequence;
	BH_TRY(image_swap(file, bh_buf_view(&image)));
	file->mark = mark;
	file->snapshot_len = mark.committed_len - BH_KEYRING_RECORDS_OFF;
	note_durable(file, mark.sequence);
	return BH_OK;
}

bh_status bh_keyring_file_replace(bh_keyring_file *file, const bh_keyring_head *head, bh_view snapshot)
{
	bh_status status;

	pthread_mutex_lock(&file->syncing);
	pthread_mutex_lock(&file->marking);
	status = replace(file, head, snapshot);
	pthread_mutex_unlock(&file->marking);
	pthread_mutex_unlock(&file->syncing);
	return status;
}
