/* SPDX-License-Identifier: Apache-2.0
 *
 * rotation.h: newer keys for a merchant, or for the platform, without interrupting anybody.
 *
 * Rewrap: the same DEKs under a newer version of their CMK, or under another CMK; no data is rewritten. Rotate: new DEKs; data
 * moves onto them as RocksDB rewrites it. Sweep: what is left under older ones is moved now, and they are destroyed. Thread-safety:
 * all calls may come from many threads.
 */
#ifndef BULKHEAD_ROTATION_H
#define BULKHEAD_ROTATION_H

#include <bulkhead/db.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All zero: the documented defaults. */
typedef struct bh_rewrap_options {
	const char *cmk_uri; /* the CMK to move to; NULL: the merchant's stays, and what is below its newest version is renewed */
	bool keep_deks;      /* a move begins no new generation: its DEKs stay those that the old CMK can unwrap */
} bh_rewrap_options;

/* Renews the wraps of a merchant's DEKs (`name` "": of the platform's DEKs and its root secret), also of one that is suspended.
 * Every DEK is unwrapped by the CMK that it has, and every new wrap is unwrapped again and compared before it counts. When the call
 * returns, no old wrap is in DB/KEYRING. A move to another CMK is all or none; afterwards the old one is asked for nothing any
 * more, and may be destroyed. Until it is, who has an older KEYRING gets the same DEKs from it: so a move begins a new generation,
 * as bh_merchant_rotate() with `sweep` does, if the merchant serves, and the platform always; out->rotated says whether. Where that
 * fails the move stays done, and the message says so. KEYRING keeps the old CMK's URI, and a shred has it destroyed as well.
 * Without a move, what was renewed before the KMS failed is kept. `options` NULL: defaults. `out` may be NULL, and is untouched on
 * failure. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_EXISTS (`cmk_uri` is the CMK of another merchant or of the platform),
 * BH_E_NO_KEY (a CMK does not exist), BH_E_REGION, BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_TAG and BH_E_FORMAT (what the KMS
 * answers is wrong), BH_E_BUSY (somebody else rotated or rewrapped it meanwhile; try again), BH_E_INVALID (URI), BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_rewrap(bh_db *db, const char *name, const bh_rewrap_options *options,
						  bh_rewrap_result *out);

/* All zero: the documented defaults. */
typedef struct bh_rotate_options {
	bool sweep;   /* the older generations are to be swept: bh_merchant_sweep(), or the database's own thread, also after the
			 next open */
	bool exposed; /* somebody may have a key of an older generation: as sweep, and noted in the keyring and in the audit log */
} bh_rotate_options;

/* `name` "" in the three calls below: the platform, whose DEK seals logs, small files and what else is nobody's. A rotation then
 * always asks for a sweep, and has begun new logs when it returns: nothing is written under the older generation any more
 * (BH_E_BUSY: it has a generation, but a log is in use still; the sweep goes on). A sweep leaves what is parked of merchants that
 * are detached as it is, and ends with BH_E_BUSY, the message naming "parked/NAME", where that needs an older generation: it is
 * destroyed when they are back, or shredded. The public key, pins and certificates stay what they are.
 *
 * Begins a new generation of DEKs, one for each class, wrapped by the merchant's CMK. New files, and the merchant's bytes in WAL
 * and MANIFEST, are sealed under it from this moment; what is there stays under the older ones until flushes and compactions have
 * rewritten it, or a sweep. Nobody waits for it. A generation that no file refers to any more is destroyed: its wrap leaves
 * DB/KEYRING. `options` NULL: defaults. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_SUSPENDED and what else its gate says,
 * BH_E_NO_KEY (its keys are not in memory, or its CMK does not exist), BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_TAG and
 * BH_E_FORMAT (what the KMS answers is wrong), BH_E_REGION, BH_E_BUSY (somebody else rotated or rewrapped it meanwhile; try again),
 * BH_E_INVALID (it had 65,535 DEKs), BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_rotate(bh_db *db, const char *name, const bh_rotate_options *options);

typedef struct bh_sweep_progress {
	uint64_t files_total, files_done; /* SSTs and blob files under older generations when the sweep began */
	uint64_t bytes_total, bytes_done; /* of them, on disk */
	int64_t remaining_s;              /* estimated; -1: nothing is known yet */
} bh_sweep_progress;

/* All zero: the documented defaults. */
typedef struct bh_sweep_options {
	uint64_t bytes_per_s;                                           /* at most, on average; 0: 64 MiB/s; UINT64_MAX: no limit */
	void (*progress)(void *arg, const bh_sweep_progress *progress); /* called in the caller's thread, after each file; NULL */
	void *progress_arg;
} bh_sweep_options;

/* Seals anew, under the newest generation, all that lies under older ones of the merchant: SSTs, blob files, its bytes in WALs and
 * in the MANIFEST; each file where it lies, one after the other, while everybody goes on reading and writing. Nothing is compacted:
 * as many bytes are written as lie there. Then the older generations are destroyed. Returns when none is left, or at once if there
 * is none. What a kill or a failure interrupts is gone on with by calling it again. `options` NULL: defaults. Errors:
 * BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_SUSPENDED and what else its gate says (it left meanwhile), BH_E_BUSY (something goes
 * on needing an older generation; the message names it), BH_E_UNSUPPORTED (a file system without renameat2's exchange), BH_E_TAG
 * and BH_E_FORMAT (a damaged file, named; it stays as it is), BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_sweep(bh_db *db, const char *name, const bh_sweep_options *options);

/* One generation of one class, and what in the database's files lies under it: files, bytes and logs are 0 for the newest, for
 * which nobody asks. */
typedef struct bh_generation {
	char cls[65];
	uint32_t generation; /* from 1 */
	bool newest;
	bool retired; /* destroyed */
	bool sweep;   /* its data is to be moved now */
	bool exposed;
	int64_t created_at_s, marked_at_s, retired_at_s; /* 0: not */
	uint64_t sealed;       /* bytes that were ever sealed under it, in files and logs, as far as is known: newest or not; 0:
				* destroyed.       Of the platform's: in SSTs alone */
	uint64_t files, bytes; /* SSTs and blob files, of the platform's small files as well; bytes on disk */
	uint64_t wals, manifests;
	char log[64]; /* the name of one of these, or "parked/NAME"; "" */
} bh_generation;

/* All generations of a merchant, or of the platform, in order: free() the array. Reads the headers of its files and the logs:
 * seconds where logs are large. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_NOMEM, BH_E_IO, those of damaged files. */
BH_API BH_MUST_CHECK bh_status bh_merchant_generations(bh_db *db, const char *name, bh_generation **out, size_t *count_out);

#ifdef __cplusplus
}
#endif
#endif
