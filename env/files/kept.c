/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.c: see kept.h.
 */
#include "kept.h"

#include <string.h>
#include <unistd.h>

void bh_kept_init(bh_kept *kept)
{
	*kept = (bh_kept){ 0 };
	pthread_mutex_init(&kept->lock, NULL);
}

void bh_kept_clear(bh_kept *kept)
{
	pthread_mutex_destroy(&kept->lock);
	bh_buf_clear(&kept->removed);
}

void bh_kept_begin(bh_kept *kept, bh_keeping *keeping)
{
	pthread_mutex_lock(&kept->lock);
	keeping->next = kept->keepings;
	kept->keepings = keeping;
	pthread_mutex_unlock(&kept->lock);
}

/* One that cannot be removed is left to the next open, as after a kill. */
static void remove_all(const bh_buf *paths)
{
	for (size_t at = 0; at < paths->len; at += strlen((const char *)paths->data + at) + 1)
		(void)unlink((const char *)paths->data + at);
}

void bh_kept_end(bh_kept *kept, const bh_keeping *keeping)
{
	BH_CLEANUP(bh_buf_clear) bh_buf removed = { 0 };
	bh_keeping **link = &kept->keepings;

	pthread_mutex_lock(&kept->lock);
	while (*link != keeping)
		link = &(*link)->next;
	*link = keeping->next;
	if (kept->keepings == NULL) {
		removed = kept->removed;
		kept->removed = (bh_buf){ 0 };
	}
	pthread_mutex_unlock(&kept->lock);
	remove_all(&removed);
}

static bool is_kept(const bh_kept *kept, const char *merchant)
{
	for (const bh_keeping *k = kept->keepings; k != NULL; k = k->next)
		if (merchant == NULL || strcmp(k->merchant, merchant) == 0)
			return true;
	return false;
}

bh_status bh_kept_remove(bh_kept *kept, const char *merchant, const char *path, bool *kept_out)
{
	bh_status status = BH_OK;
	bool keep;

	pthread_mutex_lock(&kept->lock);
	keep = is_kept(kept, merchant);
	if (keep)
		status = bh_buf_append(&kept->removed, path, strlen(path) + 1);
	pthread_mutex_unlock(&kept->lock);
	BH_TRY(bh_fail_prefix(status, "%s", path));
	*kept_out = keep;
	return BH_OK;
}
