/* SPDX-License-Identifier: Apache-2.0
 *
 * tree.h: what lies in a database directory, by path.
 *
 * Symbolic links are listed and not followed. Thread-safety: none.
 */
#ifndef BH_ENGINE_TREE_H
#define BH_ENGINE_TREE_H

#include "env/fs/fs.h"

typedef enum bh_tree_type {
	BH_TREE_FILE,
	BH_TREE_DIR,
	BH_TREE_SOCKET,
	BH_TREE_STRANGE, /* symbolic link, device: nothing of ours */
} bh_tree_type;

typedef struct bh_tree_entry {
	char *path; /* owned; below the root */
	bh_tree_type type;
	uint64_t size; /* physical bytes */
} bh_tree_entry;

typedef struct bh_tree {
	bh_tree_entry *entries; /* owned; sorted, a directory before what is in it; without the root itself */
	size_t count;
	size_t cap;
} bh_tree;

/* Errors: BH_E_NOT_FOUND, BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_tree_list(const char *root, bh_tree *out);
void bh_tree_clear(bh_tree *t);
bool bh_tree_has(const bh_tree *t, const char *path);

/* What a class has on disk: in the live database, or where it is parked. */
typedef struct bh_tree_usage {
	uint64_t sst_files, sst_bytes, blob_files, blob_bytes;
} bh_tree_usage;
bh_tree_usage bh_tree_class_usage(const bh_tree *t, const char *merchant, const char *cls, bool parked);
bool bh_tree_has_suffix(const char *path, const char *suffix);

#endif
