/* SPDX-License-Identifier: Apache-2.0
 *
 * shred_files.c: a merchant's files, without a key: which ones there are, and their removal. Nothing here reads or overwrites what
 * is in them: of each, one header is looked at.
 */
#include "engine/shred.h"

#include "park.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a merchant may have files. */
static const char *const places[] = { BH_TENANTS_DIR, BH_PARKED_DIR };
#define PLACES (sizeof(places) / sizeof(places[0]))

/* What happens to each thing in a directory: `each` gets the directory and the name in it. */
typedef struct walk {
	bh_status (*each)(struct walk *walk, int parent, const char *name);
	const bh_dek_info *deks;
	size_t dek_count;
	bh_salts *salts;
} walk;

static bool is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Takes `fd` over. */
static bh_status walk_entries(walk *w, int fd, const char *name)
{
	DIR *dir = fdopendir(fd);
	bh_status status = BH_OK;
	struct dirent *entry;

	if (dir == NULL) {
		close(fd);
		return bh_fail(BH_E_IO, "%s: cannot be listed: %s", name, strerror(errno));
	}
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		if (is_entry(entry))
			status = w->each(w, dirfd(dir), entry->d_name);
	closedir(dir);
	return status;
}

/* The entries of a directory, never following a link. One that is gone has none: RocksDB removes as well. */
static bh_status walk_dir(walk *w, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? BH_OK : bh_fail(BH_E_IO, "%s: cannot be opened: %s", name, strerror(errno));
	return walk_entries(w, fd, name);
}

/* Opens one of the places; -1 in `fd_out` if it is not there. */
static bh_status place_open(const bh_db *db, const char *place, int *fd_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/%s", db->dir, place));
	*fd_out = open((const char *)path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd_out < 0 && errno != ENOENT)
		return bh_fail(BH_E_IO, "%s: cannot be opened: %s", (const char *)path.data, strerror(errno));
	return BH_OK;
}

/* ---- which ones there are */

static bool is_merchants(const walk *w, const uint8_t dek_id[BH_ID_LEN])
{
	for (size_t i = 0; i < w->dek_count; i++)
		if (memcmp(w->deks[i].id, dek_id, BH_ID_LEN) == 0)
			return true;
	return false;
}

/* A file whose header cannot be read opens under no key, so it has no part in this. */
static bh_status note_file(const walk *w, int fd)
{
	uint8_t bytes[BH_HEADER_LEN];
	ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
	bh_header header;

	if (len != (ssize_t)sizeof(bytes) || bh_header_parse(bh_view_of(bytes, sizeof(bytes)), &header) != BH_OK ||
	    !is_merchants(w, header.dek_id))
		return BH_OK;
	return bh_salts_add(w->salts, header.salt);
}

static bh_status note_entry(walk *w, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bh_status status = BH_OK;
	struct stat st;

	if (fd < 0) /* gone meanwhile, or a link */
		return BH_OK;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return walk_entries(w, fd, name);
	if (S_ISREG(st.st_mode))
		status = note_file(w, fd);
	close(fd);
	return status;
}

static bh_status list_places(const bh_db *db, const char *merchant, walk *w)
{
	for (size_t i = 0; i < PLACES; i++) {
		bh_status status;
		int fd = -1;

		BH_TRY(place_open(db, places[i], &fd));
		if (fd < 0)
			continue;
		status = walk_dir(w, fd, merchant);
		close(fd);
		BH_TRY(bh_fail_prefix(status, "merchant '%s'", merchant));
	}
	return BH_OK;
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
	walk w = { .each = note_entry, .salts = salts };
	bh_dek_info *deks = NULL;
	size_t count = 0;
	bh_status status;

	BH_TRY(bh_keyring_deks(db->keyring, &deks, &count));
	w.deks = deks;
	w.dek_count = own_deks(deks, count, merchant->id);
	status = list_places(db, merchant->name, &w);
	free(deks);
	return status;
}

/* ---- removal */

bh_status bh_shred_remove_files(const bh_db *db, const char *merchant)
{
	bh_status status = bh_merchant_remove_files(db, merchant);

	if (status == BH_OK)
		status = bh_unpark(db, merchant);
	return bh_fail_prefix(status, "merchant '%s'", merchant);
}
