/* SPDX-License-Identifier: Apache-2.0
 *
 * platform_files.c: see platform_files.h.
 */
#include "platform_files.h"

#include <stdio.h>
#include <sys/stat.h>

#include "engine/core/files.h"
#include "env/files/raw_file.h"

typedef struct walk {
	const bh_place *place;
	const char *dir;
	bool parked;
	bh_status (*each)(void *arg, const char *path, bh_file_kind kind, bool parked);
	void *arg;
} walk;

/* What begins otherwise is under no key: KEYRING, AUDIT, what somebody put there. `out` untouched where it is gone. */
static bh_status begins_sealed(const char *path, bool *out)
{
	BH_CLEANUP(bh_raw_close) int fd = -1;
	uint8_t first[8];
	bh_status status = bh_raw_open(path, &fd);
	size_t got = 0;

	if (status == BH_E_NOT_FOUND)
		return BH_OK;
	BH_TRY(status);
	BH_TRY(bh_raw_read(fd, path, 0, first, sizeof(first), &got));
	*out = bh_header_begins(bh_view_of(first, got));
	return BH_OK;
}

static bh_status visit(void *arg, const char *name)
{
	const walk *w = arg;
	BH_CLEANUP(bh_buf_clear) bh_buf full = { 0 };
	bool sealed = false;
	bh_path_info info;
	const char *path;
	struct stat st;

	if (bh_is_temp_name(name))
		return BH_OK;
	BH_TRY(bh_buf_printf(&full, "%s/%s", w->dir, name));
	path = (const char *)full.data;
	if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return BH_OK;
	BH_TRY(bh_fs_classify(w->place->fs, path, &info));
	if (!info.sealed)
		return BH_OK;
	if (info.kind == BH_KIND_OTHER)
		BH_TRY(begins_sealed(path, &sealed));
	return sealed || info.kind != BH_KIND_OTHER ? w->each(w->arg, path, info.kind, w->parked) : BH_OK;
}

/* What waits under a name of its own is on its way in or out: whole or not, it may be what stays. */
static bh_status visit_parked(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	const walk *parent = arg;
	walk w = *parent;

	BH_TRY(bh_buf_printf(&path, "%s/%s", parent->dir, name));
	w.dir = (const char *)path.data;
	w.parked = true;
	return bh_path_is_dir(w.dir) ? bh_dir_each(w.dir, visit, &w) : BH_OK;
}

bh_status bh_each_platform_file(const bh_place *place,
				bh_status (*each)(void *arg, const char *path, bh_file_kind kind, bool parked), void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf archive = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf parked = { 0 };
	walk w = { .place = place, .dir = place->dir, .each = each, .arg = arg };

	BH_TRY(bh_dir_each(w.dir, visit, &w));
	BH_TRY(bh_buf_printf(&archive, "%s/archive", place->dir));
	w.dir = (const char *)archive.data;
	BH_TRY(bh_dir_each(w.dir, visit, &w));
	BH_TRY(bh_buf_printf(&parked, "%s/" BH_PARKED_DIR, place->dir));
	w.dir = (const char *)parked.data;
	return bh_dir_each(w.dir, visit_parked, &w);
}

void bh_platform_file_name(const bh_place *place, const char *path, char *out, size_t size)
{
	const char *below = bh_path_below(place->dir, path), *name = strrchr(path, '/') + 1;

	if (below != NULL && strncmp(below, BH_PARKED_DIR "/", strlen(BH_PARKED_DIR "/")) == 0)
		snprintf(out, size, "%.*s", (int)BH_MIN((size_t)(name - 1 - below), size - 1), below);
	else
		snprintf(out, size, "%s", name);
}
