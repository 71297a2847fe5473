/* SPDX-License-Identifier: Apache-2.0
 *
 * shred_files.c: which files a merchant has, without a key, and their removal. Nothing here reads or overwrites what is in them: of
 * each, one header is looked at.
 */
#include "shred_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/files.h"
#include "engine/wall/park.h"
#include "engine/core/drop.h"

typedef struct survey {
	const bh_db *db;
	const bh_dek_info *deks; /* the merchant's */
	size_t dek_count;
	bh_salts *salts;
	const char *dir; /* the one that is being listed */
} survey;

static bool is_merchants(const survey *s, const uint8_t dek_id[BH_ID_LEN])
{
	for (size_t i = 0; i < s->dek_count; i++)
		if (memcmp(s->deks[i].id, dek_id, BH_ID_LEN) == 0)
			return true;
	return false;
}

/* Where the key is at hand, as at the beginning of a shred, the header has to be what that sealed. */
static bool is_proved(const survey *s, bh_view bytes, const bh_header *header)
{
	const bh_scopes *scopes = bh_fs_scopes(s->db->fs);
	BH_CLEANUP(bh_file_key_clear) bh_file_key key = { 0 };
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	return scopes->dek_by_id(scopes->arg, header->dek_id, &dek) != BH_OK || bh_header_open(bytes, scopes, &key) == BH_OK;
}

/* Whether the file is one of the merchant's; says which are not though they lie there. */
static bool read_header(const survey *s, const char *path, bh_header *out)
{
	uint8_t bytes[BH_HEADER_LEN];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); /* a pipe may be there by now */
	ssize_t len = fd >= 0 ? pread(fd, bytes, sizeof(bytes), 0) : -1;

	if (fd >= 0)
		close(fd);
	if (len != (ssize_t)sizeof(bytes) || bh_header_parse(bh_view_of(bytes, sizeof(bytes)), out) != BH_OK)
		return false;
	if (is_merchants(s, out->dek_id) && is_proved(s, bh_view_of(bytes, sizeof(bytes)), out))
		return true;
	if (bh_file_kind_is_paged(out->kind))
		bh_db_log(s->db,
			  "%s: its header names no DEK of this merchant, or is not what that sealed; the list of the shred "
			  "leaves it out",
			  path);
	return false;
}

/* What is gone by now, is no file, or has no header that can be read opens under no key, and has no part in this. */
static bh_status note_entry(void *arg, const char *name)
{
	survey *s = arg, below = *s;
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_header header;
	struct stat st;

	BH_TRY(bh_buf_printf(&path, "%s/%s", s->dir, name));
	below.dir = (const char *)path.data;
	if (lstat(below.dir, &st) != 0)
		return BH_OK;
	if (S_ISDIR(st.st_mode))
		return bh_dir_each(below.dir, note_entry, &below);
	return S_ISREG(st.st_mode) && read_header(s, below.dir, &header) ? bh_salts_add(s->salts, header.salt) : BH_OK;
}

static bh_status note_place(const bh_db *db, const char *place, const char *merchant, survey *s)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/%s/%s", db->dir, place, merchant));
	s->dir = (const char *)path.data;
	return bh_dir_each(s->dir, note_entry, s);
}

/* The DEKs of the merchant, brought together at the front. */
static size_t own_deks(bh_dek_info *deks, size_t count, const uint8_t merchant_id[BH_ID_LEN])
{
	size_t own = 0;

	for (size_t i = 0; i < count; i++)
		if (memcmp(deks[i].merchant_id, merchant_id, BH_ID_LEN) == 0)
			deks[own++] = deks[i];
	return own;
}

bh_status bh_shred_list_files(const bh_db *db, const bh_merchant_info *merchant, bh_salts *salts)
{
	survey s = { .db = db, .salts = salts };
	bh_dek_info *deks = NULL;
	size_t count = 0;
	bh_status status;

	BH_TRY(bh_keyring_deks(db->keyring, &deks, &count));
	s.deks = deks;
	s.dek_count = own_deks(deks, count, merchant->id);
	status = note_place(db, BH_TENANTS_DIR, merchant->name, &s);
	if (status == BH_OK)
		status = note_place(db, BH_STAGING_DIR, merchant->name, &s);
	if (status == BH_OK)
		status = note_place(db, BH_PARKED_DIR, merchant->name, &s);
	free(deks);
	return bh_fail_prefix(status, "merchant '%s'", merchant->name);
}

static bh_status remove_staged(const bh_db *db, const char *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_STAGING_DIR, db->dir));
	return bh_path_exists((const char *)path.data) ? bh_tree_remove((const char *)path.data, merchant) : BH_OK;
}

bh_status bh_shred_remove_files(const bh_db *db, const char *merchant)
{
	bh_status status = bh_merchant_remove_files(db, merchant);

	if (status == BH_OK)
		status = remove_staged(db, merchant);
	if (status == BH_OK)
		status = bh_unpark(db, merchant);
	return bh_fail_prefix(status, "merchant '%s'", merchant);
}
