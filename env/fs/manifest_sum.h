/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_sum.h: what a MANIFEST adds up to: column families, and the files that belong to them.
 *
 * Thread-safety: none.
 */
#ifndef BH_MANIFEST_SUM_H
#define BH_MANIFEST_SUM_H

#include "fs.h"
#include "env/spans/manifest_spans.h"

typedef struct bh_manifest_sum_family {
	uint32_t id;
	bh_scope scope;
	bool dropped;
} bh_manifest_sum_family;

typedef struct bh_manifest_sum_file {
	uint32_t family;
	bool blob;
	bool deleted;
	uint64_t number;
	uint64_t size;        /* logical bytes of the file */
	uint64_t oldest_blob; /* SST: the oldest blob file it refers to, 0 for none */
	uint64_t blobs;       /* blob file: how many ... */
	uint64_t garbage;     /* ... and how many of them nothing refers to */
	uint8_t *bounds;      /* SST: its smallest user key, then its largest; owned by the sum, where it keeps them */
	size_t smallest_len, largest_len;
} bh_manifest_sum_file;

typedef struct bh_manifest_sum {
	bool keeps_bounds;    /* to be set before the first edit */
	bh_version_edit edit; /* the last one taken */
	bh_manifest_sum_family *families;
	size_t family_count;
	bh_manifest_sum_file *files;
	size_t file_count;
	size_t *slots; /* indices into files plus 1, by hash; 0: free */
	size_t slot_count;
} bh_manifest_sum;
void bh_manifest_sum_clear(bh_manifest_sum *m);

/* Takes in the next record. Errors: those of bh_version_edit_parse(), BH_E_INVALID (a family's name), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_manifest_sum_take(bh_manifest_sum *m, bh_view record);
/* Takes in all of the MANIFEST that DIR/CURRENT names. Errors: those of bh_stream_read_small(), of bh_stream_reader and of
 * bh_manifest_sum_take(), BH_E_NOT_FOUND, BH_E_IO. */
BH_MUST_CHECK bh_status bh_manifest_sum_read(const char *dir, const bh_scopes *scopes, bh_manifest_sum *out);
/* The newest family of that id; NULL if there has been none. The default family always is. */
const bh_manifest_sum_family *bh_manifest_sum_family_of(const bh_manifest_sum *m, uint32_t id);
/* Whether RocksDB needs the file. */
bool bh_manifest_sum_needs(const bh_manifest_sum *m, const bh_manifest_sum_file *file);
/* Its path below the database directory. */
#define BH_MANIFEST_PATH_SIZE (sizeof(BH_TENANTS_DIR) + BH_CF_NAME_SIZE + 32)
void bh_manifest_sum_path(const bh_manifest_sum *m, const bh_manifest_sum_file *file, char out[BH_MANIFEST_PATH_SIZE]);

#endif
