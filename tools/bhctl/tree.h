/* SPDX-License-Identifier: Apache-2.0
 *
 * tree.h: what lies in a database directory, by path.
 *
 * Symbolic links are listed and not followed. Thread-safety: none.
 */
#ifndef BHCTL_TREE_H
#define BHCTL_TREE_H

#include "env/fs/fs.h"

typedef enum tree_type {
	TREE_FILE,
	TREE_DIR,
	TREE_STRANGE, /* symbolic link, socket, device: nothing of ours */
} tree_type;

typedef struct tree_entry {
	char *path; /* owned; below the root */
	tree_type type;
	uint64_t size; /* physical bytes */
} tree_entry;

typedef struct tree {
	tree_entry *entries; /* owned; sorted, a directory before what is in it; without the root itself */
	size_t count;
	size_t cap;
} tree;

/* Errors: BH_E_NOT_FOUND, BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status tree_list(const char *root, tree *out);
void tree_clear(tree *t);
bool tree_has(const tree *t, const char *path);

/* What a class has on disk: in the live database, or where it is parked. */
typedef struct tree_usage {
	uint64_t sst_files, sst_bytes, blob_files, blob_bytes;
} tree_usage;
tree_usage tree_class_usage(const tree *t, const char *merchant, const char *cls, bool parked);
bool tree_has_suffix(const char *path, const char *suffix);

#endif
