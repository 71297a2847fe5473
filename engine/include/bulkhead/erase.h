/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.h: the end of one end user's rows in a merchant's class, down to the bytes in the files.
 *
 * An ordinary delete leaves the bytes where they are until RocksDB comes by. An erasure deletes the rows of a key prefix, then has
 * every file rewritten that may hold them, in SSTs, blob files, WALs and the MANIFEST, and looks whether they are gone. It is a
 * workflow on data: no key changes by it, and copies of the files from before still hold the rows, under keys that still exist
 * (`rotate` is for those). Thread-safety: as of db.h; one erasure at a time in a database.
 */
#ifndef BULKHEAD_ERASE_H
#define BULKHEAD_ERASE_H

#include <bulkhead/db.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_ERASE_DIGEST_LEN 32 /* bytes */

/* All zero: the documented defaults. */
typedef struct bh_erase_options {
	unsigned wait_ms; /* how long to wait in all for what still reads the rows: snapshots, iterators, writes to the logs. 0: a
			     snapshot is refused at once, the rest is waited for, 5,000 ms at most */
} bh_erase_options;

/* The evidence. Ownership: bh_erase_result_clear(). */
typedef struct bh_erase_result {
	bool complete;            /* no SST, blob file, WAL or MANIFEST of the database holds a byte of the rows */
	uint64_t sequence;        /* RocksDB's sequence number of the deletion: no row written before it is left */
	uint64_t rows;            /* that could be read under the prefix when it began */
	uint64_t files_rewritten; /* SST and blob files that may have held them, and are gone */
	uint64_t bytes_rewritten; /* their size */
	uint64_t versions;   /* entries that the scan at the end found under the prefix: written since the deletion, all of them */
	uint32_t generation; /* of the class's DEK that new files are sealed under */
	uint8_t prefix_digest[BH_ERASE_DIGEST_LEN]; /* what stands for the prefix in the audit log: see engine/README.md */
	bh_buf pending; /* unless complete: text, a line for each thing that holds bytes of the rows, with what can be done */
} bh_erase_result;
BH_API void bh_erase_result_clear(bh_erase_result *result);

/* Erases the rows of a class whose keys begin with `prefix`, while the merchant serves: rows written under it after the deletion
 * stay. Asked again for the same prefix, it goes on where a kill or a failure left it. BH_OK: see out->complete; where only logs
 * that are left behind by the next open of the database hold bytes, that open completes it, and says so in the audit log. `options`
 * NULL: defaults. `out` is untouched on failure, and may be NULL where the caller reads the audit log. Errors: BH_E_INVALID (an
 * empty prefix: that would be the class), BH_E_BUSY (a snapshot is older, and nothing has been deleted; or another erasure is under
 * way), BH_E_UNSUPPORTED (a RocksDB option is in the way, by its name), BH_E_SUSPENDED, BH_E_SHREDDED and the other reasons of a
 * closed gate (it stopped there: ask again once the merchant serves), BH_E_NO_KEY, BH_E_TAG, BH_E_IO, BH_E_ROCKSDB, BH_E_NOMEM. */
BH_API BH_MUST_CHECK bh_status bh_erase_range(bh_cf *cf, bh_view prefix, const bh_erase_options *options, bh_erase_result *out);

#ifdef __cplusplus
}
#endif
#endif
