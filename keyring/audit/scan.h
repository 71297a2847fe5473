/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h: reads a DB/AUDIT, all of it or from an anchor on, and proves it: order, chain, tree, signatures, floors. Needs the
 * public key alone, so an auditor can do it anywhere; the open of a database does the same from an anchor on.
 *
 * The last checkpoint's signature covers every byte before it, through its root and through the chain, so it is the one that is
 * checked; only where it is wrong are all of them gone through, to say from which line on. What lies behind the last checkpoint was
 * never acknowledged to anybody: whole entries in the chain and then a piece of a line (or a line with a NUL, which blocks that
 * were never written read as) are a torn tail. Anything else that does not fit is an error, which names the line.
 *
 * From an anchor on the same is proved of what follows it, and of nothing before but its length: the anchor's place is signed. A
 * commit mark counts only what was durable, so an anchor that it has passed has a whole append around it.
 *
 * A log whose beginning was archived (archive.h) is a chain of files, each of which begins with the anchor that the one before ends
 * in. Each is proved by itself, as from that anchor on; `before` makes a chain of them.
 *
 * Thread-safety: pure but for reading the file.
 */
#ifndef BH_AUDIT_SCAN_H
#define BH_AUDIT_SCAN_H

#include "format.h"
#include "keyring/crypto/merkle.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called for each entry whose place in chain and order is right. It may still be found to be behind the last checkpoint, or under a
 * false signature. `line` has its newline. */
typedef bh_status (*bh_audit_each)(void *arg, uint64_t seq, bh_view line);

typedef struct bh_audit_scan_options {
	const uint8_t *public_key;       /* BH_SIGN_PUBLIC_LEN bytes; NULL: signatures are not looked at */
	const bh_audit_position *floors; /* what is known of the log: sizes of 0 count for nothing, nor do those within the files
					    before this one, where they are looked at */
	size_t floor_count;
	const struct bh_audit_scan_result *before; /* of the file before, which this one has to go on from; NULL: none is at hand */
	bool more;                                 /* files follow: a floor beyond this one is theirs */
	bool from_anchor; /* begin at the last anchor that is signed by `public_key`, lies where it says, and is not beyond a floor;
			     at the beginning, if there is no such anchor, or no floor. `each` sees what comes from there on */
	bh_audit_each each; /* NULL: none */
	void *arg;
} bh_audit_scan_options;

typedef struct bh_audit_scan_result {
	bh_audit_checkpoint last;    /* the last checkpoint; all zero where there is none */
	bh_merkle tree;              /* up to it */
	uint8_t prev[BH_SHA256_LEN]; /* SHA-256 of its line; zero where there is none */
	uint64_t good_len;           /* bytes of the file up to its end */
	uint64_t file_len;           /* bytes that were there; more than good_len: a torn tail */
	uint64_t base;               /* bytes of the log that lie in files before this one */
	uint64_t first;              /* ... and the entries in them */
	bool is_told;                /* an entry says that these were archived; of a scan from the file's beginning on */
	uint64_t begin;              /* bytes before the anchor where the scan began; 0: it did at the beginning */
	uint64_t anchor;             /* bytes before the last anchor, and ... */
	uint64_t anchored;           /* ... bytes up to the end of the last anchor; 0: there is none */
	uint64_t lines, checkpoints; /* from there to good_len */
	uint64_t tail_entries;       /* whole entries in the torn tail */
} bh_audit_scan_result;

/* Scans the first `len` bytes of the file. Errors: BH_E_FORMAT (no line of a log), BH_E_TAG (order, chain, root, signature, another
 * history than a floor's, does not go on from `before`), BH_E_ROLLBACK (ends before a floor), BH_E_TRUNCATED and BH_E_IO (reading),
 * BH_E_NOMEM, BH_E_CRYPTO, those of `each`. */
BH_MUST_CHECK bh_status bh_audit_scan(int fd, const char *name, uint64_t len, const bh_audit_scan_options *options,
				      bh_audit_scan_result *out);

#ifdef __cplusplus
}
#endif
#endif
