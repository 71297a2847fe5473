/* SPDX-License-Identifier: Apache-2.0
 *
 * shred.c: the end of a merchant.
 *
 *     step                                     a kill right after it leaves
 *     SHREDDING recorded in the keyring        no way back: the next open presents its families as dropped and goes on with the
 * files gate closed, families dropped            the same files and directories removed            the same; removing again is
 * harmless CMK destroyed by its KMS                 the same; destroying again is harmless DEKs destroyed, SHREDDED recorded done
 * Nothing here depends on the size of the data: files are unlinked, not read or overwritten.
 */
#include "internal.h"

#include <bulkhead/env.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keyring/crashpoint.h"

#define DRAIN_WAIT_MS 10000 /* how long RocksDB may take to let go of a dropped family's files */

/* ---- files */

static bh_status remove_tree_at(int parent, const char *name);

static bh_status remove_entries(int fd, const char *name)
{
	bh_status status = BH_OK;
	struct dirent *entry;
	DIR *dir = fdopendir(fd); /* takes fd over */

	if (dir == NULL) {
		close(fd);
		return bh_fail(BH_E_IO, "%s: cannot be listed: %s", name, strerror(errno));
	}
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			status = remove_tree_at(dirfd(dir), entry->d_name);
	if (status == BH_OK && fsync(dirfd(dir)) != 0)
		status = bh_fail(BH_E_IO, "%s: cannot be synced: %s", name, strerror(errno));
	closedir(dir);
	return status;
}

/* Removes a file or a directory with all it holds, never following a link. What is not there (any more) is fine: RocksDB removes as
 * well. */
static bh_status remove_tree_at(int parent, const char *name)
{
	int fd;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return BH_OK;
	if (errno != EISDIR && errno != EPERM)
		return bh_fail(BH_E_IO, "%s: cannot be removed: %s", name, strerror(errno));
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? BH_OK : bh_fail(BH_E_IO, "%s: cannot be opened: %s", name, strerror(errno));
	BH_TRY(remove_entries(fd, name));
	if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return bh_fail(BH_E_IO, "%s: cannot be removed: %s", name, strerror(errno));
	return BH_OK;
}

static bh_status remove_files(const bh_db *db, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_status status;
	int fd;

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR, db->dir));
	fd = open((const char *)path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? BH_OK : bh_fail(BH_E_IO, "%s: %s", (const char *)path.data, strerror(errno));
	status = remove_tree_at(fd, name);
	if (status == BH_OK && fsync(fd) != 0)
		status = bh_fail(BH_E_IO, "%s: cannot be synced: %s", (const char *)path.data, strerror(errno));
	close(fd);
	return bh_fail_prefix(status, "merchant '%s'", name);
}

/* ---- RocksDB */

static bool dir_is_empty(const char *path)
{
	DIR *dir = opendir(path);
	size_t entries = 0;

	if (dir == NULL)
		return true;
	while (readdir(dir) != NULL)
		entries++;
	closedir(dir);
	return entries <= 2;
}

/* RocksDB removes a dropped family's files when the last job on them has ended. Until then a job may still want to create one, and
 * refusing it would fail the whole database: so the keys stay for that long. Bounded: raw handles of the caller may pin files for
 * ever. */
static void wait_for_jobs(const bh_db *db, const bh_merchant *merchant)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	for (int waited_ms = 0; waited_ms < DRAIN_WAIT_MS; waited_ms += 2) {
		bool empty = true;

		for (size_t i = 0; i < merchant->class_count && empty; i++) {
			BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

			if (bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", db->dir, merchant->name,
					  merchant->classes[i].name) == BH_OK)
				empty = dir_is_empty((const char *)path.data);
		}
		if (empty)
			return;
		nanosleep(&pause, NULL);
	}
	bh_db_log(db, "merchant '%s': something still holds its files open; they are unlinked all the same", merchant->name);
}

static bh_status drop_families(bh_db *db, bh_merchant *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		char *error = NULL;

		if (merchant->classes[i].handle == NULL)
			continue;
		rocksdb_drop_column_family(db->rocks, merchant->classes[i].handle, &error);
		BH_TRY(bh_status_of_rocksdb(error));
		bh_crash_point("shred.family-dropped");
	}
	return BH_OK;
}

static void unlink_merchant(bh_db *db, const bh_merchant *merchant)
{
	bh_merchant **link;

	pthread_mutex_lock(&db->lock);
	for (link = &db->merchants; *link != NULL && *link != merchant; link = &(*link)->next)
		;
	if (*link != NULL)
		*link = merchant->next;
	pthread_mutex_unlock(&db->lock);
}

/* ---- keys */

static bh_status destroy_cmk(const bh_db *db, const bh_merchant_info *info)
{
	bh_kms *kms = NULL;
	bh_status status = bh_kms_open(info->cmk_uri, &db->kms, &kms);

	if (status == BH_OK)
		status = bh_kms_destroy(kms, NULL);
	bh_kms_close(kms);
	return status;
}

static bh_status cmk_left(bh_status status, const bh_merchant_info *info)
{
	bh_status told = status == BH_E_KMS_UNREACHABLE ? status : BH_E_KMS_REFUSED;

	return bh_fail_prefix(
		bh_fail(told, "%s", bh_status_message()),
		"merchant '%s' is shredded and its DEKs are destroyed, but its CMK %s is not: have its owner destroy it",
		info->name, info->cmk_uri);
}

bh_status bh_shred_finish(bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_status cmk;

	BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
	BH_TRY(remove_files(db, name));
	bh_crash_point("shred.files-removed");
	cmk = destroy_cmk(db, &info);
	if (cmk != BH_OK)
		cmk = cmk_left(cmk, &info);
	bh_crash_point("shred.cmk-destroyed");
	bh_fs_keys_changed(db->fs);
	BH_TRY(bh_keyring_merchant_destroy(db->keyring, name));
	bh_fs_keys_changed(db->fs);
	return cmk;
}

static bh_status shred_locked(bh_db *db, const char *name, bh_merchant *merchant, bh_merchant_state state)
{
	if (state != BH_MERCHANT_SHREDDING) /* else: an earlier try in this process failed on the way */
		BH_TRY(bh_keyring_merchant_set_state(db->keyring, name, BH_MERCHANT_SHREDDING));
	bh_crash_point("shred.recorded");
	if (merchant != NULL) {
		bh_gate_close(&merchant->gate, BH_E_SHREDDED);
		BH_TRY(drop_families(db, merchant));
		bh_merchant_shut(merchant, BH_E_SHREDDED);
		unlink_merchant(db, merchant);
		wait_for_jobs(db, merchant);
		bh_merchant_unref(merchant); /* the list's */
	}
	return bh_shred_finish(db, name);
}

bh_status bh_merchant_shred(bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };
	bh_merchant *merchant;
	bh_status status;

	pthread_mutex_lock(&db->admin);
	merchant = bh_merchant_find(db, name);
	status = bh_keyring_merchant(db->keyring, name, &info);
	if (status == BH_OK && info.state == BH_MERCHANT_SHREDDED)
		status = bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded already", name);
	if (status == BH_OK)
		status = shred_locked(db, name, merchant, info.state);
	bh_merchant_unref(merchant);
	pthread_mutex_unlock(&db->admin);
	return status;
}
