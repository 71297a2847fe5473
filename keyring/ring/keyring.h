/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring.h: the keyring of one database: merchants, their states, their DEKs wrapped and (while in use) unwrapped.
 *
 * The durable half is DB/KEYRING (keyring/manifest/file.h, byte table in README.md); this is the live half. Every change is durable
 * before the call returns: a kill at any point leaves the state before or after it. DEKs are unwrapped by
 * bh_keyring_merchant_unlock(), one KMS call a DEK, never by a lookup. KMS calls happen outside of the keyring's lock, so one
 * merchant's slow KMS never holds up another's lookup.
 *
 * Fork: keys read as zeros in the child, so it gets none and can change nothing (BH_E_NO_KEY, BH_E_INVALID); it may close.
 *
 * Thread-safety: all calls may come from many threads. `lock` (rwlock) guards the tables; a bh_dek is immutable and counted.
 */
#ifndef BH_KEYRING_H
#define BH_KEYRING_H

#include <bulkhead/audit.h>
#include <bulkhead/pin.h>

#include "keyring/audit/audit.h"
#include "keyring/dek/dek.h"
#include "keyring/dek/generations.h"
#include "keyring/kms/kms.h"
#include "keyring/base/secret.h"
#include "keyring/manifest/ledger.h"
#include "keyring/manifest/manifest.h"
#include "keyring/manifest/shred_record.h"
#include "keyring/crypto/sign.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_keyring bh_keyring;

typedef struct bh_keyring_options {
	bh_kms_options kms;
	uint64_t generation_floor;            /* refuse a keyring older than this; 0: no floor */
	const char *actor;                    /* who acts, for the audit log; NULL: "uid:<login name or number>" of the process */
	const bh_audit_position *audit_floor; /* refuse an audit log that does not begin with this; NULL: no floor */
	bool audit_optional;    /* read-only opens: go on, with nothing recorded, where this process may not write the audit log */
	const char *moved_from; /* the platform's CMK is looked for in `moved_to` if its URI begins with this: "local:DIR"; NULL */
	const char *moved_to;
	const char *pin;       /* text: refuse another database, and this one in an older state; NULL: no pin */
	bh_pin_fn pin_changed; /* is told of each new pin; NULL */
	void *pin_arg;
	/* Looks at what else lies in the directory `dir`, before a byte of it is changed: what this fails with ends the open. The
	 * platform's DEKs can be had. NULL: nobody looks. */
	bh_status (*inspect)(bh_keyring *keyring, const char *dir);
	int64_t repeats_span_ms; /* how long the same answer of a KMS is counted before the log is told again; 0: an hour */
	bool audit_restart;      /* writable opens: give up the audit log that is there, lost or damaged; see audit.h */
} bh_keyring_options;

/* Makes DIR/KEYRING and DIR/AUDIT for a new database: fresh database id, root secret and platform DEK wrapped by
 * `platform_cmk_uri`. DIR must exist. Errors: BH_E_EXISTS (a KEYRING, an AUDIT, or anything of that name is there), BH_E_BUSY,
 * BH_E_NOT_FOUND (DIR, or the CMK), BH_E_INVALID (region, URI), BH_E_REGION (the CMK says it is in another region), those of the
 * KMS, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_create(const char *dir, const char *region, const char *platform_cmk_uri,
					  const bh_keyring_options *options);

/* Opens DIR/KEYRING and DIR/AUDIT, unwraps root secret and platform DEKs, checks both files whole. No merchant's DEK is unwrapped
 * yet. Takes an exclusive lock on DIR (flock) for as long as it is open. `writable` false: no byte in DIR is changed, torn tails
 * included, but for AUDIT: who unwraps keys leaves a line, whatever for. Errors: BH_E_NOT_FOUND (no KEYRING), BH_E_BUSY (another
 * process), BH_E_FORMAT, BH_E_TRUNCATED, BH_E_VERSION, BH_E_TAG (also: not the one that is
 * pinned), BH_E_ROLLBACK (below the floor, or the pin), BH_E_INVALID (the pin is none), those of the KMS, BH_E_NO_KEY (there is no
 * such platform CMK any more), BH_E_IO. Never creates anything. */
BH_MUST_CHECK bh_status bh_keyring_open(const char *dir, const bh_keyring_options *options, bool writable, bh_keyring **out);
/* A KMS that lies elsewhere now: every CMK whose URI begins with options->moved_from, up to its '#', gets moved_to in its place,
 * the platform's and the merchants', once it has unwrapped a DEK there. One replacement of KEYRING for all that have; `each` is
 * told of every one of them ("": the platform), and why it stays where that is not BH_OK. Returns the first of these. Errors: those
 * of bh_keyring_open(), BH_E_NOT_FOUND (no URI begins like that), BH_E_INVALID (URI too long), BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_relocate(const char *dir, const bh_keyring_options *options,
					    void (*each)(void *arg, const char *merchant, bh_status status), void *arg);
/* Wipes all DEKs (those still referenced are wiped by their last unref) and frees. NULL-safe. */
void bh_keyring_close(bh_keyring *keyring);

const uint8_t *bh_keyring_database_id(const bh_keyring *keyring); /* BH_ID_LEN bytes */
const char *bh_keyring_region(const bh_keyring *keyring);
uint64_t bh_keyring_generation(bh_keyring *keyring); /* grows with every durable change */
/* The pin of what is durable by now. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_keyring_pin(bh_keyring *keyring, char out[BH_PIN_SIZE]);
/* The URI of the merchant's CMK; "": of the platform's. Errors: BH_E_NO_SUCH_MERCHANT. */
BH_MUST_CHECK bh_status bh_keyring_cmk_uri(bh_keyring *keyring, const char *merchant, char out[BH_KMS_URI_MAX + 1]);

/* The log that every use of a key goes to, for what happens outside of the keyring (a CMK destroyed, a certificate issued).
 * Borrowed: lives as long as the keyring. */
bh_audit *bh_keyring_audit(bh_keyring *keyring);
/* Moves the beginning of AUDIT into the directory `to` (audit/archive.h), up to what KEYRING's commit mark knows. Errors: those of
 * bh_audit_archive(), BH_E_BUSY (a call is under way), BH_E_INVALID (read-only). */
BH_MUST_CHECK bh_status bh_keyring_audit_archive(bh_keyring *keyring, const char *to, bh_audit_archived *out);

/* What the database signs with: Ed25519, its seed derived from the root secret, so that it needs no storage and whoever opens the
 * database has it. Borrowed: lives as long as the keyring. */
const bh_signer *bh_keyring_signer(const bh_keyring *keyring);

/* Whether an earlier change ended so that it is not known whether the next open finds it: until then no other is made. */
bool bh_keyring_is_in_doubt(bh_keyring *keyring);

/* ---- which logs there are (ledger.h): kept in KEYRING's commit mark by who writes them. All calls may come beside all others, and
 * wait for no KMS and for no other change, but for a replacement of KEYRING. */

bool bh_keyring_is_writable(const bh_keyring *keyring);
void bh_keyring_ledger(bh_keyring *keyring, bh_ledger *out);
/* Writes the commit mark with this ledger: a kill leaves it, a power cut perhaps not. Where that fails the next mark has it.
 * Errors: BH_E_INVALID (read-only; after a fork), BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_ledger_put(bh_keyring *keyring, const bh_ledger *ledger);
/* What was put is durable on return. Errors: the same. */
BH_MUST_CHECK bh_status bh_keyring_ledger_sync(bh_keyring *keyring);
/* Each commit mark that is written has a sequence of its own, one more than the last: of the newest one, and of one that is known
 * to be durable. */
uint64_t bh_keyring_sequence(bh_keyring *keyring);
uint64_t bh_keyring_durable(const bh_keyring *keyring);
/* The highest of those that the newest part of AUDIT speaks of: KEYRING is not older. Who opens with `inspect` is refused where it
 * is (BH_E_ROLLBACK). */
uint64_t bh_keyring_audit_knows(const bh_keyring *keyring);

/* Merchants, as copies. */
typedef struct bh_merchant_info {
	char name[BH_NAME_MAX + 1];
	uint8_t id[BH_ID_LEN]; /* random; a name used again after a shred is a new id */
	char region[BH_NAME_MAX + 1];
	bh_merchant_state state;
	int64_t changed_at_s;   /* of the last change of state, seconds since 1970 */
	bh_suspend_cause cause; /* why it is suspended */
	char note[BH_SUSPEND_NOTE_MAX + 1];
	uint8_t parking[BH_ID_LEN]; /* of its files outside of the live database: random, another one each time it goes to
				     * SUSPENDING; all zero while it serves, and where it was suspended by a build without */
	char *cmk_uri;              /* owned */
	size_t class_count;
	char (*classes)[BH_NAME_MAX + 1]; /* owned */
	bool unlocked;                    /* its DEKs are in memory */
	bool cmk_pending; /* being shredded, or shredded, and its CMK, or one that it had before, is not known to be destroyed */
	bool certificate_due; /* shredded, and the certificate that says so is not stored yet */
} bh_merchant_info;
void bh_merchant_info_clear(bh_merchant_info *info);
BH_MUST_CHECK bh_status bh_merchant_info_copy(const bh_merchant_info *info, bh_merchant_info *out);

/* The living merchant of that name, or else its newest tombstone. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_merchant(bh_keyring *keyring, const char *name, bh_merchant_info *out);
/* All of them, tombstones included, in order of creation: an array of `*count_out`, each to be cleared, then freed. */
BH_MUST_CHECK bh_status bh_keyring_merchants(bh_keyring *keyring, bh_merchant_info **out, size_t *count_out);

/* One DEK generation, as a copy without secrets. */
typedef struct bh_dek_info {
	uint8_t id[BH_ID_LEN];
	bh_scope scope;
	uint8_t merchant_id[BH_ID_LEN]; /* all zero for the platform */
	uint32_t generation;
	uint32_t cmk_version; /* that wrapped it */
	int64_t created_at_s;
	unsigned marks; /* BH_DEK_SWEEP, BH_DEK_EXPOSED (generations.h) */
	int64_t marked_at_s;
	uint64_t sealed; /* bytes that were ever sealed under it, as far as is known; 0 in a tombstone. Of the platform's: in SSTs
			    alone */
	bool tombstone;
	int64_t retired_at_s;               /* 0: it was not, but may have gone with its merchant */
	uint8_t fingerprint[BH_SHA256_LEN]; /* of the wrap: of tombstones, and of all from SHREDDING on; else zero */
} bh_dek_info;
/* Every DEK generation the keyring knows, tombstones included: free() the array. Errors: BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_keyring_deks(bh_keyring *keyring, bh_dek_info **out, size_t *count_out);

/* Records a new merchant in state CREATING with a first DEK for each class, wrapped by its CMK; its DEKs are unlocked afterwards.
 * Errors: BH_E_INVALID (names, duplicate classes, none), BH_E_EXISTS (a living merchant of that name, compared without case),
 * BH_E_REGION (the CMK says it is in another region), those of the KMS, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_merchant_add(bh_keyring *keyring, const char *name, const char *cmk_uri,
						const char *const *classes, size_t class_count);
/* Records a transition; cause and note stay as they are, but for ACTIVE, which has none. Refuses those that the state machine does
 * not have (BH_E_INVALID; BH_E_SHREDDED from SHREDDING and SHREDDED), and the one to SHREDDED, which bh_keyring_merchant_destroy()
 * makes. Further errors: BH_E_NO_SUCH_MERCHANT, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_merchant_set_state(bh_keyring *keyring, const char *name, bh_merchant_state state);
/* The same, with why: for SUSPENDING and SUSPENDED. Further error: BH_E_INVALID (a note of more than BH_SUSPEND_NOTE_MAX bytes). */
BH_MUST_CHECK bh_status bh_keyring_merchant_set_suspended(bh_keyring *keyring, const char *name, bh_merchant_state state,
							  bh_suspend_cause cause, const char *note);
/* Unwraps all DEK generations of the merchant, all or none; asks no KMS if they are in memory already. Errors:
 * BH_E_NO_SUCH_MERCHANT (merchant), BH_E_SHREDDED, BH_E_NO_KEY (its CMK does not exist), and the KMS's own reasons, kept distinct:
 * BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_TAG, BH_E_FORMAT, BH_E_VERSION; BH_E_REGION (the CMK by now says it is in another
 * region). */
BH_MUST_CHECK bh_status bh_keyring_merchant_unlock(bh_keyring *keyring, const char *name);
/* Asks the KMS whether the merchant's DEKs may still be used: one call, with no lock held. It unwraps one DEK and compares it with
 * the one in memory, if there is one; memory stays as it is. BH_OK: yes. Errors: BH_E_NO_SUCH_MERCHANT (merchant), BH_E_SHREDDED;
 * the KMS says no: BH_E_KMS_REFUSED, BH_E_NO_KEY (its CMK does not exist), BH_E_REGION; it gives no answer: BH_E_KMS_UNREACHABLE;
 * what it answers is damaged: BH_E_TAG (also a DEK that is not the one in memory), BH_E_FORMAT, BH_E_VERSION. BH_E_NOMEM,
 * BH_E_CRYPTO, BH_E_IO (it could not be logged, and counts for nothing). */
BH_MUST_CHECK bh_status bh_keyring_merchant_renew(bh_keyring *keyring, const char *name);
/* The same for many merchants with one entry into the log, which waits for the disk: the keys are there once commit has returned.
 * Where `add` fails, for that merchant alone, with the errors of unlock, the others are not concerned. Ownership of the group:
 * bh_unlock_free(), which forgets what was not committed. `add` may be called from many threads at once, so that the KMSs are asked
 * side by side; commit and free from one, after them. */
typedef struct bh_unlock bh_unlock;
BH_MUST_CHECK bh_status bh_unlock_new(bh_keyring *keyring, bh_unlock **out);
BH_MUST_CHECK bh_status bh_unlock_add(bh_unlock *unlock, const char *name);
/* Before the first `add`, for the sake of the disk: says of all these merchants at once that their KMSs are about to be asked,
 * which `add` else says of each. Only these may be added then. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, those of
 * bh_audit_append().
 */
BH_MUST_CHECK bh_status bh_unlock_announce(bh_unlock *unlock, const char *const *names, size_t count);
/* Errors: BH_E_IO and those of bh_audit_append(), and then no key of the group is there; BH_E_SHREDDED (a merchant was shredded
 * meanwhile; the others' keys are there). */
BH_MUST_CHECK bh_status bh_unlock_commit(bh_unlock *unlock);
void bh_unlock_free(bh_unlock *unlock); /* NULL-safe */
/* How this keyring calls KMSs; its passphrase is the keyring's. Borrowed. */
const bh_kms_options *bh_keyring_kms_options(const bh_keyring *keyring);
/* What this keyring's calls to the merchant's CMK came to ("": the platform's), over all of the handles it had. All zero where it
 * made none. Memory only. Errors: BH_E_NO_SUCH_MERCHANT. */
BH_MUST_CHECK bh_status bh_keyring_kms_stats(bh_keyring *keyring, const char *merchant, bh_kms_statistics *out);
/* Drops the merchant's DEKs from memory; holders of references keep theirs until they let go. */
BH_MUST_CHECK bh_status bh_keyring_merchant_lock(bh_keyring *keyring, const char *name);
/* From SHREDDING: destroys every wrapped DEK of the merchant (KEYRING is replaced by one without them), drops them from memory,
 * leaves a tombstone in state SHREDDED. The CMK is not touched. BH_OK if it is SHREDDED already. Errors: BH_E_NO_SUCH_MERCHANT,
 * BH_E_INVALID (another state), BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_merchant_destroy(bh_keyring *keyring, const char *name);

/* Rotation; the name "" is the platform. KMS calls are made with no lock held; what is found changed afterwards is refused with
 * BH_E_BUSY, and nothing is written.
 *
 * Adds a generation of DEKs, one for each class, wrapped by the merchant's CMK; all older ones that are not retired get `marks` (0:
 * none). All in one record. The new ones are live on return; dek_current gives them from then on. Errors: BH_E_NO_SUCH_MERCHANT,
 * BH_E_INVALID (marks; a merchant that is being made; more DEKs than a merchant can have), BH_E_SUSPENDED, BH_E_SHREDDED,
 * BH_E_NO_KEY (its keys are not in memory, or its CMK is gone), BH_E_BUSY (somebody rotated it meanwhile, or moved it to another
 * CMK), the KMS's reasons as of unlock, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_merchant_rotate(bh_keyring *keyring, const char *name, unsigned marks);
/* Marks all generations but the newest and the retired; BH_OK without a record if they have the marks already. Errors:
 * BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (marks), BH_E_SHREDDED, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_merchant_mark(bh_keyring *keyring, const char *name, unsigned marks);
/* Destroys the wraps of these DEKs, `count` ids of BH_ID_LEN bytes one after the other: KEYRING is replaced by one without them;
 * they leave memory, and stay as tombstones. Those that are retired already do not count. `detail` says why, for the log; NULL:
 * nothing. All or none. The caller knows that nothing is sealed under them any more. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_NOT_FOUND
 * (an id that is none of its DEKs), BH_E_INVALID (newest of its class), BH_E_BUSY (somebody holds a reference of one),
 * BH_E_SHREDDED, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_deks_retire(bh_keyring *keyring, const char *name, const uint8_t *dek_ids, size_t count,
					       const char *detail);

/* What was sealed under a DEK is `bytes` at least. Nothing for one that was not in memory yet. */
void bh_keyring_sealed_raise(bh_keyring *keyring, const uint8_t dek_id[BH_ID_LEN], uint64_t bytes);
/* Writes down what was sealed under the DEKs of all merchants, where it is more than KEYRING says: one record. A kill loses what
 * was sealed since. Errors: BH_E_INVALID (read-only; after a fork), BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_sealed_store(bh_keyring *keyring);

/* Renews the wraps of a merchant's DEKs ("": of the platform's, and of its root secret) that are below the newest version of its
 * CMK; with a `cmk_uri` that is not the one it has, all of them under that CMK, which is the merchant's afterwards. Each DEK is
 * unwrapped by the CMK it has, so that who has revoked it is not passed by, and each new wrap is unwrapped again and compared
 * before it counts. KEYRING is then replaced, so that no old wrap is left in it. A move is all or none. Without one, what was
 * renewed before the KMS failed is kept, and the KMS's error returned. `out` is untouched on failure. Any merchant that is not
 * being shredded can be rewrapped; what is in memory stays as it is. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_NO_KEY (a
 * CMK does not exist), BH_E_REGION, BH_E_BUSY (rotated, rewrapped or moved meanwhile), the KMS's reasons as of unlock, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_merchant_rewrap(bh_keyring *keyring, const char *name, const char *cmk_uri,
						   bh_rewrap_result *out);

/* The record of a shred, by the merchant's id: a name may have a successor by then. From SHREDDING on, else BH_E_INVALID. */
BH_MUST_CHECK bh_status bh_keyring_shred(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], bh_shred_record *out);
/* Replaces it, durably; `destroyed_at_ms` stays what it is. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (not being shredded),
 * BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_shred_note(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN],
					      const bh_shred_record *record);
/* Asks the KMS to destroy the CMK, then tries what a destroyed CMK refuses: an unwrap while the wraps are there, later a wrap. What
 * came of it goes into `record`; nothing is durable. Two calls to the KMS, with no lock held. The KMS's own failures are part of
 * the record, not of the status. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (not being shredded), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_keyring_shred_ask(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], bh_shred_record *record);

/* The CMKs that a merchant had before: an array of `*count_out`, free() it. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_former_cmks(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN], bh_former_cmk **out,
					       size_t *count_out);
/* Asks the KMS of each of these that is not known to be destroyed to destroy it, then tries a wrap, and records what came of it,
 * durably, one after the other. The KMS's own failures are part of the record. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (not
 * being shredded), BH_E_NOMEM, BH_E_IO. */
BH_MUST_CHECK bh_status bh_keyring_shred_ask_former(bh_keyring *keyring, const uint8_t merchant_id[BH_ID_LEN]);

/* Compacts KEYRING to one snapshot by atomic replacement. Done by itself when edits outgrow the snapshot. */
BH_MUST_CHECK bh_status bh_keyring_compact(bh_keyring *keyring);

/* The newest DEK of a scope (platform: both names ""). Counted reference. Memory only: no I/O, no KMS. What is in memory is given
 * out in any state, so that what RocksDB has begun can end; bh_keyring_merchant_lock() is what stops it. Errors:
 * BH_E_NO_SUCH_MERCHANT, BH_E_NO_SUCH_CLASS, BH_E_SHREDDED, BH_E_NO_KEY (not unlocked), BH_E_SUSPENDED. */
BH_MUST_CHECK bh_status bh_keyring_dek_current(bh_keyring *keyring, const bh_scope *scope, bh_dek **out);
/* The DEK of that id. Errors: BH_E_NO_KEY (unknown id, or not unlocked), BH_E_SHREDDED (retired, shredded, or shredding). */
BH_MUST_CHECK bh_status bh_keyring_dek_find(bh_keyring *keyring, const uint8_t id[BH_ID_LEN], bh_dek **out);

#ifdef __cplusplus
}
#endif
#endif
