/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest.h: what a MANIFEST adds up to: column families, and the files that belong to them.
 *
 * Thread-safety: none.
 */
#ifndef BHCTL_MANIFEST_H
#define BHCTL_MANIFEST_H

#include "env/fs/fs.h"
#include "env/spans/manifest_spans.h"

typedef struct manifest_family {
	uint32_t id;
	bh_scope scope;
	bool dropped;
} manifest_family;

typedef struct manifest_file {
	uint32_t family;
	bool blob;
	bool deleted;
	uint64_t number;
	uint64_t size;        /* logical bytes of the file */
	uint64_t oldest_blob; /* SST: the oldest blob file it refers to, 0 for none */
	uint64_t blobs;       /* blob file: how many ... */
	uint64_t garbage;     /* ... and how many of them nothing refers to */
} manifest_file;

typedef struct manifest {
	bh_version_edit edit; /* the last one taken */
	manifest_family *families;
	size_t family_count;
	manifest_file *files;
	size_t file_count;
} manifest;
void manifest_clear(manifest *m);

/* Takes in the next record. Errors: those of bh_version_edit_parse(), BH_E_INVALID (a family's name), BH_E_NOMEM. */
BH_MUST_CHECK bh_status manifest_take(manifest *m, bh_view record);
/* The newest family of that id; NULL if there has been none. The default family always is. */
const manifest_family *manifest_family_of(const manifest *m, uint32_t id);
/* Whether RocksDB needs the file. */
bool manifest_needs(const manifest *m, const manifest_file *file);
/* Its path below the database directory. */
#define MANIFEST_PATH_SIZE (sizeof(BH_TENANTS_DIR) + BH_CF_NAME_SIZE + 32)
void manifest_path(const manifest *m, const manifest_file *file, char out[MANIFEST_PATH_SIZE]);

#endif
