/* SPDX-License-Identifier: Apache-2.0
 *
 * park_damaged.c: what is otherwise when a merchant is parked because its files are damaged: some cannot be linked, and the right
 * ones may come later, to either place.
 */
#include "park.h"

#include <errno.h>
#include <stdio.h>

#include "engine/core/files.h"

/* From DB/tenants/<merchant>/<class>/ to the same below DB/parked/<merchant>/. */
typedef struct move {
	const char *from, *to; /* the classes' directories */
	bool replace;
} move;

static const char *text(const bh_buf *buf)
{
	return (const char *)buf->data;
}

static bh_status move_file(void *arg, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	const move *m = arg;

	BH_TRY(bh_buf_printf(&from, "%s/%s", m->from, name));
	BH_TRY(bh_buf_printf(&to, "%s/%s", m->to, name));
	if (bh_is_temp_name(name) || !bh_path_is_file(text(&from)) || (!m->replace && bh_path_exists(text(&to))))
		return BH_OK;
	if (rename(text(&from), text(&to)) != 0 && errno != ENOENT)
		return bh_fail(BH_E_IO, "%s: cannot be moved to %s: %s", text(&from), text(&to), strerror(errno));
	return BH_OK;
}

static bh_status move_class(void *arg, const char *cls)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };
	const move *parent = arg;

	BH_TRY(bh_buf_printf(&from, "%s/%s", parent->from, cls));
	BH_TRY(bh_buf_printf(&to, "%s/%s", parent->to, cls));
	if (!bh_path_is_dir(text(&from)))
		return BH_OK;
	BH_TRY(bh_dir_make(text(&to)));
	BH_TRY(bh_dir_each(text(&from), move_file, &(move){ text(&from), text(&to), parent->replace }));
	return bh_dir_sync(text(&to));
}

bh_status bh_park_rest(const bh_db *db, const char *merchant, bool replace)
{
	BH_CLEANUP(bh_buf_clear) bh_buf from = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf to = { 0 };

	BH_TRY(bh_buf_printf(&from, "%s/" BH_TENANTS_DIR "/%s", db->dir, merchant));
	BH_TRY(bh_parked_path(db, merchant, &to));
	BH_TRY(bh_buf_printf(&to, "/" BH_TENANTS_DIR "/%s", merchant));
	if (!bh_path_is_dir(text(&from)) || !bh_path_is_dir(text(&to)))
		return BH_OK;
	return bh_dir_each(text(&from), move_class, &(move){ text(&from), text(&to), replace });
}
