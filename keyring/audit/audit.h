/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.h: DB/AUDIT, the append-only log of everything that happens to keys: who, what, when, with which CMK, and how it ended.
 *
 * One JSON object a line. Every line carries the hash of the line before it, and every append ends in a checkpoint: the signed head
 * of an RFC 6962 tree over all entries. So whoever has the database's public key finds any change, offline (scan.h); a cut
 * back to an earlier checkpoint is found by who knows a later size and root: KEYRING's commit mark, or the caller's floor. Now and
 * then a checkpoint is an anchor, from which the next open begins, so that an open does not take longer as the log grows. Byte
 * tables and "what is found by whom" are in README.md. Rows are not logged, and no line holds bytes of a key.
 *
 * Durability: an append is one write and one fdatasync, and counts when it returns. A failing one is taken back; where that fails
 * too, the handle refuses everything further. What a kill left behind the last checkpoint was never acknowledged: the next open
 * cuts it off and says so in the log.
 *
 * Thread-safety: all calls may come from many threads, but for open, close and those on one batch. `lock` orders the appends, and
 * is held over fdatasync; it is the innermost lock of the keyring. After a fork the child appends nothing (BH_E_INVALID).
 */
#ifndef BH_AUDIT_H
#define BH_AUDIT_H

#include "event.h"
#include "keyring/base/io.h"
#include "keyring/crypto/sign.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AUDIT_FILE "AUDIT"
#define BH_AUDIT_TEMP                                                                                                              \
	BH_AUDIT_FILE ".tmp"               /* what a kill while the log was cut has left: of no use, and removed by who may write  \
					    */
#define BH_AUDIT_ANCHOR_EVERY (256u << 10) /* bytes after which a checkpoint is an anchor, from which an open can begin */
#define BH_AUDIT_MARK_EVERY 64 /* entries after which KEYRING's commit mark follows, where nothing brings it along before */

typedef struct bh_audit bh_audit;

typedef struct bh_audit_options {
	const char *actor; /* NULL: "uid:<login name or number>" of the process */
	bool optional;     /* where the file cannot be written for lack of permission, or on a read-only file system: go on, with
			      nothing recorded. A file that is missing or damaged is refused all the same */
	bool restart; /* the operator gives up the log that is there: it is set aside as AUDIT.<ms since 1970> and another begins */
} bh_audit_options;

/* Opens DIR/AUDIT, checks it from the last anchor on that all of `known` have passed (all of it, if there is none), and cuts off a
 * torn tail. `known`: positions that it must have passed, KEYRING's commit mark
 * among them; if all have size 0 nothing is known yet, and then the file may be missing and is made. `signer` and `dir` are
 * borrowed until close. The caller holds the directory's lock. Errors: BH_E_FORMAT (missing though entries are known; symbolic
 * link, directory; damaged line), BH_E_TAG (chain, signature, or another history than `mark`'s), BH_E_ROLLBACK (ends before
 * `mark`), BH_E_IO (cannot be read or written), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_audit_open(const bh_io_dir *dir, const bh_signer *signer, const bh_audit_options *options,
				      const bh_audit_position *known, size_t known_count, bh_audit **out);
/* The highest sequence of a commit mark of KEYRING's that the part of the log that was checked speaks of: KEYRING cannot be older.
 */
uint64_t bh_audit_keyring_known(const bh_audit *audit);
void bh_audit_close(bh_audit *audit); /* frees; writes nothing. NULL-safe */

/* Appends one event, durable on return. What is to be logged must not happen if this fails. Errors: BH_E_IO, BH_E_NOMEM,
 * BH_E_CRYPTO, BH_E_INVALID (too many DEK ids; after a fork). */
BH_MUST_CHECK bh_status bh_audit_append(bh_audit *audit, const bh_audit_event *event);
/* For what happens whether it can be logged or not (a wipe, a gate that closes): a failure is remembered and goes into the log, as
 * "log.gap", with the next append that succeeds. Leaves this thread's message alone. */
void bh_audit_note(bh_audit *audit, const bh_audit_event *event);

/* The clock by which entries have their times: CLOCK_REALTIME, milliseconds since 1970. */
int64_t bh_audit_now_ms(void);

/* Several events in one write and sync. All zero is an empty batch; an event's time is that of its add, and what it points to is
 * copied. A batch that was written is empty again. */
typedef struct bh_audit_batch {
	bh_buf bodies; /* u32 length, then that many bytes; for each event */
	size_t count;
} bh_audit_batch;
BH_MUST_CHECK bh_status bh_audit_batch_add(const bh_audit *audit, bh_audit_batch *batch, const bh_audit_event *event);
BH_MUST_CHECK bh_status bh_audit_batch_write(bh_audit *audit, bh_audit_batch *batch); /* errors: as append's */
void bh_audit_batch_note(bh_audit *audit, bh_audit_batch *batch);                     /* as bh_audit_note() */
/* Moves the events of `from`, which is empty then, to the end of `to`. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_audit_batch_move(bh_audit_batch *to, bh_audit_batch *from);
void bh_audit_batch_clear(bh_audit_batch *batch);

/* Lets the file begin at the anchor at byte `off`: what lies before was archived, and is gone from here on return. Where that fails
 * the file stays as it was. Errors: BH_E_IO, BH_E_FULL, BH_E_INVALID (the log is silent; after a fork). */
BH_MUST_CHECK bh_status bh_audit_cut(bh_audit *audit, const bh_io_dir *dir, uint64_t off);

/* Whether the log can be gone on with, as far as is known. Errors: BH_E_IO (an append failed), BH_E_INVALID (after a fork). */
BH_MUST_CHECK bh_status bh_audit_check(bh_audit *audit);
/* Where the log stands: of what is durable. */
void bh_audit_position_get(bh_audit *audit, bh_audit_position *out);
bool bh_audit_is_silent(const bh_audit *audit); /* nothing is recorded: see `optional` */

#ifdef __cplusplus
}
#endif
#endif
