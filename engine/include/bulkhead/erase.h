/* SPDX-License-Identifier: Apache-2.0
 *
 * erase.h: the end of one end user's rows in a merchant's class, down to the bytes in the files.
 *
 * An ordinary delete leaves the bytes where they are until RocksDB comes by. An erasure deletes the rows of a key prefix, then has
 * every file rewritten that may hold them, in SSTs, blob files, WALs and the MANIFEST, and looks whether they are gone. It is a
 * workflow on data: no key changes by it, and copies of the files from before still hold the rows, under keys that still exist.
 * `rotate` destroys those in this database's KEYRING; with a KEYRING of before beside them the copies open as long as the CMK
 * unwraps. An erased prefix can be suppressed: a late import then cannot bring its rows back. Thread-safety: as of db.h; one
 * erasure at a time in a database.
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
	bool suppress;    /* keep rows of this prefix out from now on, until bh_erase_unsuppress(); see there */
	unsigned wait_ms; /* how long to wait in all for what still reads the rows: snapshots, iterators, writes to the logs. 0: a
			     snapshot is refused at once, the rest is waited for, 5,000 ms at most */
} bh_erase_options;

/* The evidence. Ownership: bh_erase_result_clear(). */
typedef struct bh_erase_result {
	bool complete;     /* no SST, blob file, WAL or MANIFEST of the database holds a byte of the rows under a key that exists */
	uint64_t sequence; /* RocksDB's sequence number of the deletion: no row written before it is left */
	uint64_t rows;     /* that could be read under the prefix when it began */
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
 * empty prefix: that would be the class; one of 4 GiB), BH_E_BUSY (a snapshot is older, and nothing has been deleted; or another
 * erasure is under way), BH_E_UNSUPPORTED (a RocksDB option is in the way, by its name), BH_E_SUSPENDED, BH_E_SHREDDED and the
 * other reasons of a closed gate (it stopped there: ask again once the merchant serves), BH_E_NO_KEY, BH_E_TAG, BH_E_IO,
 * BH_E_ROCKSDB, BH_E_NOMEM. */
BH_API BH_MUST_CHECK bh_status bh_erase_range(bh_cf *cf, bh_view prefix, const bh_erase_options *options, bh_erase_result *out);

/* ---- suppression
 *
 * With bh_erase_options.suppress a marker is made before the rows are deleted, durable and logged as "erase.suppressed". From then
 * on whatever would write a row under the prefix ends with BH_E_ERASED and writes nothing: bh_put, bh_merge, bh_batch_put,
 * bh_batch_merge, bh_batch_write as a whole (also of what was recorded before), bh_ingest of a file with such a row. Deletions stay
 * allowed. The marker has a digest of the prefix and its length, not the prefix; it holds whatever becomes of the erasure, over
 * reopening, suspension and rotation, and ends with the merchant. Where a class's markers cannot be read, every write to it is
 * refused with the reason. A write to a class with markers costs one HMAC-SHA256 for each length that its prefixes have. Raw
 * handles (bh_cf_handle) heed no marker, nor does a copy of the database from before. */

typedef struct bh_erase_marker {
	uint8_t prefix_digest[BH_ERASE_DIGEST_LEN]; /* as in the audit log */
	uint32_t prefix_len;                        /* bytes */
	int64_t at_s;                               /* when it was made, seconds since 1970 */
} bh_erase_marker;

/* Lets rows of exactly this prefix in again; logged as "erase.lifted", durable when the call returns. Errors: BH_E_NOT_FOUND (it is
 * not suppressed), those of the closed gate, and the others of an erasure. */
BH_API BH_MUST_CHECK bh_status bh_erase_unsuppress(bh_cf *cf, bh_view prefix);

/* Calls `each` for every marker of the class, until one fails. It may not call the database. Errors: those of `each`, of the closed
 * gate, BH_E_FORMAT, BH_E_VERSION, BH_E_IO, BH_E_ROCKSDB. */
BH_API BH_MUST_CHECK bh_status bh_erase_markers(bh_cf *cf, bh_status (*each)(void *arg, const bh_erase_marker *marker), void *arg);

#ifdef __cplusplus
}
#endif
#endif
