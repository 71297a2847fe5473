/* SPDX-License-Identifier: Apache-2.0
 *
 * sst.h: the entries of one SST, by RocksDB's own reader, for who shows them to people.
 *
 * RocksDB reads through a callback, so neither keys nor files are known here. It shows what a reader of this file alone would see:
 * the newest version of each key that is not deleted; a deletion hides what is under it and is only counted. A value that lies in a
 * blob file is shown as the reference to it. Thread-safety: none.
 */
#ifndef BH_BRIDGE_SST_H
#define BH_BRIDGE_SST_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The plaintext of an SST. */
typedef struct bh_sst_source {
	void *arg;
	uint64_t size; /* bytes */
	/* Exactly `len` bytes at `off`; both lie inside of `size`. */
	bh_status (*read)(void *arg, uint64_t off, size_t len, uint8_t *dst);
} bh_sst_source;

/* What RocksDB counts about an SST when it writes it. Strings are borrowed for the call. */
typedef struct bh_sst_properties {
	const char *family;
	const char *comparator;
	const char *compression;
	uint64_t entries;   /* all versions of all keys, deletions included */
	uint64_t deletions; /* of these, range deletions included */
	uint64_t range_deletions;
	uint64_t merges;
	uint64_t data_blocks;
	uint64_t data_size; /* bytes of the data blocks, as compressed */
	uint64_t key_bytes; /* uncompressed */
	uint64_t value_bytes;
} bh_sst_properties;

typedef struct bh_sst_visitor {
	void *arg;
	bh_status (*properties)(void *arg, const bh_sst_properties *properties);
	/* One entry; *stop_out true: enough. */
	bh_status (*entry)(void *arg, bh_view key, bh_view value, bool *stop_out);
} bh_sst_visitor;

/* Calls `properties` once, then `entry` in order. Errors: those of `read` and of the visitor; BH_E_FORMAT (no SST), BH_E_ROCKSDB (a
 * comparator or merge operator that is not built in). */
BH_MUST_CHECK bh_status bh_bridge_sst_scan(const bh_sst_source *source, const bh_sst_visitor *visitor);

#ifdef __cplusplus
}
#endif
#endif
