/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_quiet.h: in a WAL that is read, what becomes of entries whose DEK is not there.
 *
 * Whoever follows a WAL by RocksDB's own means (rocksdb_get_updates_since()) would take spans of zeros for rows. Such an entry
 * cannot be left out: entries after it in the batch, and batches after that, have their sequence numbers by counting. So it becomes
 * a deletion of the empty range from "" to "" of the same family, which takes a sequence number and does nothing, followed by
 * no-operations, in the place that the entry has: no length and no position changes.
 *
 *     05 family 02 "k1" 02 "v1"      ->      0e family 00 00 0d 0d 0d 0d
 *
 * An entry is told by its first span byte, behind its tag and a length, which a fragment may have ended between: the fragment
 * waits. An entry without a span byte (the deletion of the empty key) has nothing to hide, and stays.
 *
 * Positions are logical file offsets. Thread-safety: none.
 */
#ifndef BH_WAL_QUIET_H
#define BH_WAL_QUIET_H

#include "wal_spans.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_WAL_QUIET_WAITING_MAX 4u /* fragments; the head of an entry has 16 bytes at most */

typedef struct bh_wal_run {
	uint64_t begin, end;
} bh_wal_run;

/* All zero: outside of a record, nothing waits. */
typedef struct bh_wal_quiet {
	bh_wal_parser parser;
	uint64_t tag_at;       /* of the current entry */
	uint64_t length_at[5]; /* of its current string: where the bytes of its length are */
	uint8_t length_len;
	bool first;                                   /* its current string is its first one */
	bool decided;                                 /* it has had a span byte ... */
	bool blank;                                   /* ... which was blank */
	bh_buf runs;                                  /* bh_wal_run: blank spans, in order */
	size_t run;                                   /* the first of them that has not passed */
	bh_wal_run waiting[BH_WAL_QUIET_WAITING_MAX]; /* fragments, headers included */
	unsigned waiting_count;
} bh_wal_quiet;
void bh_wal_quiet_clear(bh_wal_quiet *q);

/* The bytes from `off` on are blank. Told in order, before the fragment that has them. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_wal_quiet_blank(bh_wal_quiet *q, uint64_t off, size_t len);
/* A fragment is complete, its header included. buf[0] is the byte at logical offset `base`; all fragments that wait are in it, and
 * those that need not any more get their CRCs. Errors: those of bh_wal_next(). */
BH_MUST_CHECK bh_status bh_wal_quiet_fragment(bh_wal_quiet *q, uint8_t *buf, uint64_t base, bh_wal_run fragment, bool record_end);
/* The log ends: nothing waits any more. */
void bh_wal_quiet_end(bh_wal_quiet *q, uint8_t *buf, uint64_t base);

#ifdef __cplusplus
}
#endif
#endif
