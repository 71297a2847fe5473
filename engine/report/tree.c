/* SPDX-License-Identifier: Apache-2.0
 *
 * tree.c: see tree.h.
 */
#include "tree.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

void bh_tree_clear(bh_tree *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->entries[i].path);
	free(t->entries);
	*t = (bh_tree){ 0 };
}

static bh_status add(bh_tree *t, const char *path, bh_tree_type type, uint64_t size)
{
	char *copy = strdup(path);

	if (t->count == t->cap) {
		size_t cap = t->cap > 0 ? 2 * t->cap : 64;
		bh_tree_entry *grown = realloc(t->entries, cap * sizeof(*grown));

		if (grown != NULL) {
			t->entries = grown;
			t->cap = cap;
		}
	}
	if (copy == NULL || t->count == t->cap) {
		free(copy);
		return bh_fail(BH_E_NOMEM, "%s: no memory", path);
	}
	t->entries[t->count++] = (bh_tree_entry){ copy, type, size };
	return BH_OK;
}

static bh_status take(bh_tree *t, const FTSENT *entry, size_t root_len)
{
	const char *path = entry->fts_path + root_len;

	while (*path == '/')
		path++;
	switch (entry->fts_info) {
	case FTS_DP: return BH_OK; /* a directory, after its content */
	case FTS_D: return *path != '\0' ? add(t, path, BH_TREE_DIR, 0) : BH_OK;
	case FTS_F: return add(t, path, BH_TREE_FILE, (uint64_t)entry->fts_statp->st_size);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		if (entry->fts_errno == ENOENT && entry->fts_level > FTS_ROOTLEVEL)
			return BH_OK; /* gone since its directory was read */
		return bh_fail(entry->fts_errno == ENOENT ? BH_E_NOT_FOUND : BH_E_IO, "%s: cannot be listed: %s", entry->fts_path,
			       strerror(entry->fts_errno));
	default: return add(t, path, S_ISSOCK(entry->fts_statp->st_mode) ? BH_TREE_SOCKET : BH_TREE_STRANGE, 0);
	}
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

bh_status bh_tree_list(const char *root, bh_tree *out)
{
	char *const roots[] = { strdup(root), NULL };
	FTS *fts = roots[0] != NULL ? fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name) : NULL;
	bh_status status = BH_OK;
	FTSENT *entry;

	if (fts == NULL)
		status = bh_fail(BH_E_IO, "%s: cannot be listed: %s", root, strerror(errno));
	while (status == BH_OK && (entry = fts_read(fts)) != NULL)
		status = take(out, entry, strlen(root));
	if (fts != NULL)
		fts_close(fts);
	free(roots[0]);
	return status;
}

bool bh_tree_has(const bh_tree *t, const char *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->entries[i].path, path) == 0)
			return true;
	return false;
}

bool bh_tree_has_suffix(const char *path, const char *suffix)
{
	size_t len = strlen(path), n = strlen(suffix);

	return len > n && strcmp(path + len - n, suffix) == 0;
}

bh_tree_usage bh_tree_class_usage(const bh_tree *t, const char *merchant, const char *cls, bool parked)
{
	char prefix[sizeof(BH_PARKED_DIR BH_TENANTS_DIR) + BH_NAME_MAX + BH_CF_NAME_SIZE + 4];
	bh_tree_usage usage = { 0 };

	if (parked)
		snprintf(prefix, sizeof(prefix), BH_PARKED_DIR "/%s/" BH_TENANTS_DIR "/%s/%s/", merchant, merchant, cls);
	else
		snprintf(prefix, sizeof(prefix), BH_TENANTS_DIR "/%s/%s/", merchant, cls);
	for (size_t i = 0; i < t->count; i++) {
		const bh_tree_entry *entry = &t->entries[i];

		if (entry->type != BH_TREE_FILE || strncmp(entry->path, prefix, strlen(prefix)) != 0)
			continue;
		if (bh_tree_has_suffix(entry->path, ".sst")) {
			usage.sst_files++;
			usage.sst_bytes += entry->size;
		} else if (bh_tree_has_suffix(entry->path, ".blob")) {
			usage.blob_files++;
			usage.blob_bytes += entry->size;
		}
	}
	return usage;
}
