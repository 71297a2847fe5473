/* SPDX-License-Identifier: Apache-2.0
 *
 * cold_inspect.c: what RocksDB is about to open is looked at before: it opens as a whole or not at all, says of some damage not
 * whose it is, and asserts at other.
 *
 * Of each merchant that is to be served: the directories of its classes; of each file that the MANIFEST has of it, that it is
 * there, a regular file of that size, whose header and whose first and last page open. The rest authenticates when it is read.
 */
#include "cold.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <stdlib.h>

#include "engine/core/hurt.h"
#include "env/fs/manifest_sum.h"
#include "env/fs/page_check.h"

/* ---- directories */

/* RocksDB makes one that is missing. Who only looks has nothing to write there. */
static bh_status look_at_dir(const bh_db *db, const char *path)
{
	const int rights = db->read_only ? X_OK : W_OK | X_OK;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return BH_OK;
	if (fd < 0)
		return bh_fail(BH_E_IO, "%s: %s", path, errno == ENOTDIR || errno == ELOOP ? "is no directory" : strerror(errno));
	close(fd);
	return faccessat(AT_FDCWD, path, rights, AT_EACCESS) == 0 ? BH_OK : bh_fail(BH_E_IO, "%s: %s", path, strerror(errno));
}

static bh_status look_at_dirs(const bh_db *db, const bh_merchant *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	size_t parent;

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s", db->dir, merchant->name));
	BH_TRY(look_at_dir(db, (const char *)path.data));
	parent = path.len;
	for (size_t i = 0; i < merchant->class_count; i++) {
		path.len = parent;
		BH_TRY(bh_buf_printf(&path, "/%s", merchant->classes[i].name));
		BH_TRY(look_at_dir(db, (const char *)path.data));
	}
	return BH_OK;
}

/* ---- files */

static bh_status look_at_file(const bh_db *db, const char *path, uint64_t size)
{
	uint64_t there = 0;

	BH_TRY(bh_page_check(db->fs, path, BH_PAGE_LOOK_ENDS, &there));
	if (there != size)
		return bh_fail(BH_E_TAG, "%s: holds %llu bytes, the MANIFEST says %llu; it was put here from elsewhere", path,
			       (unsigned long long)there, (unsigned long long)size);
	return BH_OK;
}

static void look_at(bh_db *db, const bh_manifest_sum *sum, const bh_manifest_sum_file *file)
{
	const bh_manifest_sum_family *family = bh_manifest_sum_family_of(sum, file->family);
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	char below[BH_MANIFEST_PATH_SIZE];
	bh_merchant *merchant;

	if (bh_scope_is_platform(&family->scope))
		return;
	merchant = bh_merchant_find(db, family->scope.merchant);
	bh_manifest_sum_path(sum, file, below);
	if (merchant != NULL && bh_cold_serves(db, merchant->name) && !atomic_load(&merchant->hurt) &&
	    bh_buf_printf(&path, "%s/%s", db->dir, below) == BH_OK &&
	    look_at_file(db, (const char *)path.data, file->size) != BH_OK)
		bh_hurt(merchant, bh_hurt_shorter(db, bh_status_message()));
	bh_merchant_unref(merchant);
}

static void manifest_sum_free(bh_manifest_sum *sum)
{
	bh_manifest_sum_clear(sum);
}

/* A MANIFEST that cannot be read is the platform's damage, and RocksDB's to refuse. */
static void look_at_files(bh_db *db)
{
	BH_CLEANUP(manifest_sum_free) bh_manifest_sum sum = { 0 };

	if (bh_manifest_sum_read(db->dir, bh_fs_scopes(db->fs), &sum) != BH_OK)
		return;
	for (size_t i = 0; i < sum.file_count; i++)
		if (bh_manifest_sum_needs(&sum, &sum.files[i]))
			look_at(db, &sum, &sum.files[i]);
}

void bh_cold_inspect(bh_db *db)
{
	for (bh_merchant *merchant = db->merchants; merchant != NULL; merchant = merchant->next)
		if (bh_cold_serves(db, merchant->name) && look_at_dirs(db, merchant) != BH_OK)
			bh_hurt(merchant, bh_hurt_shorter(db, bh_status_message()));
	look_at_files(db);
}

static void hurt_owner(bh_db *db, const bh_manifest_sum *sum, const bh_manifest_sum_file *file, const char *message)
{
	bh_merchant *merchant = bh_merchant_find(db, bh_manifest_sum_family_of(sum, file->family)->scope.merchant);
	BH_CLEANUP(bh_buf_clear) bh_buf note = { 0 };
	char below[BH_MANIFEST_PATH_SIZE];

	bh_manifest_sum_path(sum, file, below);
	if (merchant != NULL && bh_buf_printf(&note, "%s: %s", below, message) == BH_OK)
		bh_hurt(merchant, (const char *)note.data);
	bh_merchant_unref(merchant);
}

void bh_cold_inspect_named(bh_db *db, const char *message)
{
	static const char mark[] = "table file ";
	BH_CLEANUP(manifest_sum_free) bh_manifest_sum sum = { 0 };
	const char *at = strstr(message, mark);
	const uint64_t number = at != NULL ? strtoull(at + strlen(mark), NULL, 10) : 0;

	if (number == 0 || bh_manifest_sum_read(db->dir, bh_fs_scopes(db->fs), &sum) != BH_OK)
		return;
	for (size_t i = 0; i < sum.file_count; i++)
		if (sum.files[i].number == number && !sum.files[i].blob && bh_manifest_sum_needs(&sum, &sum.files[i]))
			hurt_owner(db, &sum, &sum.files[i], message);
}
