/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_files.c: which file may be made where, and which may stand there (fs.h).
 */
#include "fs.h"

#include "fs_state.h"

static _Thread_local bool options_file_held;

void bh_fs_hold_options_file(bool held)
{
	options_file_held = held;
}

static bh_status check_wanted(const bh_fs *fs, const char *path)
{
	if (fs->read_only)
		return bh_fail(BH_E_UNSUPPORTED, "the database was opened read-only");
	if ((options_file_held || fs->only != NULL) && bh_path_is_new_options(path))
		return bh_fail(BH_E_BUSY, "is not written now, since all writers would wait for it: later, when nobody does");
	return BH_OK;
}

/* A log that lies elsewhere (wal_dir) is seen by nobody who parks, sweeps, erases or retires. */
static bh_status check_log_place(const bh_fs *fs, const char *path, const bh_path_info *info)
{
	const char *rest = bh_path_below(fs->root, path);

	if (rest != NULL && strncmp(rest, "archive/", strlen("archive/")) == 0) /* RocksDB's own, where a sweep seals anew */
		rest += strlen("archive/");
	if (info->kind != BH_KIND_WAL || fs->scratch || (rest != NULL && strchr(rest, '/') == NULL))
		return BH_OK;
	return bh_fail(BH_E_UNSUPPORTED,
		       "RocksDB option wal_dir: is refused: logs lie in the database's own directory; leave it empty");
}

bh_status bh_fs_new_file(bh_fs *fs, const char *path, const bh_path_info *info, bh_file_key *key_out,
			 uint8_t header_out[BH_HEADER_LEN])
{
	uint32_t page_size = bh_file_kind_is_paged(info->kind) ? BH_PAGE_SIZE_DEFAULT : 0;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	bh_status status = check_wanted(fs, path);

	if (status == BH_OK)
		status = check_log_place(fs, path, info);
	if (status == BH_OK)
		status = bh_keyring_dek_current(fs->keyring, &info->scope, &dek);
	if (status == BH_OK)
		status = bh_header_create(info->kind, page_size, info->number, dek, key_out, header_out);
	return bh_fail_prefix(status, "%s", path);
}

bh_status bh_fs_check_move(const bh_fs *fs, const char *from, const char *to)
{
	bh_path_info a, b;

	BH_TRY(bh_fs_classify(fs, from, &a));
	BH_TRY(bh_fs_classify(fs, to, &b));
	if (a.sealed != b.sealed || strcmp(a.scope.merchant, b.scope.merchant) != 0 || strcmp(a.scope.cls, b.scope.cls) != 0)
		return bh_fail(BH_E_INVALID, "%s: cannot become %s, which belongs to another key", from, to);
	if (a.sealed && a.kind == BH_KIND_OTHER && b.kind == BH_KIND_OTHER && a.number != b.number)
		return bh_fail(BH_E_INVALID, "%s: cannot become %s: it was sealed under its own name; copy it instead", from, to);
	if (a.sealed && (a.kind != b.kind || a.number != b.number))
		return bh_fail(
			BH_E_INVALID,
			"%s: cannot become %s: it was sealed as a file of the kind '%s', number %llu, and could not be opened "
			"there; copy it instead",
			from, to, bh_file_kind_name(a.kind), (unsigned long long)a.number);
	return BH_OK;
}
