/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_internal.h (private to keyring*.c): the live half of the keyring.
 *
 * Locks, in the order in which they are taken:
 *     change  one durable change at a time; guards `file`. Held over fsync, never over a call to a KMS.
 *     audit   has a lock of its own, below both; an append is held over fdatasync, so never made while `lock` is held.
 *     lock    guards `state`, `generation`, `live` and `tallies`. Held for memory operations alone, so that a lookup waits for
 * nobody's disk or KMS. `state` is written under both, so either is enough to read it. Everything else is immutable after open.
 */
#ifndef BH_KEYRING_INTERNAL_H
#define BH_KEYRING_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "keyring/audit/audit.h"
#include "cmks.h"
#include "keyring/manifest/file.h"
#include "keyring/manifest/state.h"

/* Whether somebody besides the one who asks, who holds one reference, holds another. */
bool bh_dek_is_shared(const bh_dek *dek);
/* Whether the DEK was inherited over a fork: its bytes are zeros now, and nothing may be sealed under them. */
bool bh_dek_is_wiped(const bh_dek *dek);
/* From now on `tally` is the DEK's. Before anybody else has it. */
void bh_dek_count_in(bh_dek *dek, bh_tally *tally);

/* Unwrapped DEKs, one counted reference each, in two orders. */
typedef struct bh_dek_table {
	bh_dek **by_id;
	bh_dek **by_scope; /* merchant, class, then generation; borrows */
	size_t count;
	size_t cap;
} bh_dek_table;

struct bh_keyring {
	bh_secret passphrase; /* for the KMS, with its NUL; empty if none was given */
	bh_kms_options kms;   /* its passphrase lies there */
	bh_cmk_table *cmks;
	bh_dek *platform;
	bh_signer *signer;             /* made from the platform's DEK */
	bh_audit *audit;               /* immutable after open */
	_Atomic uint64_t audit_marked; /* entries of AUDIT that KEYRING's commit mark knows of */

	pthread_mutex_t change;
	bh_keyring_file file; /* of file.head, the wrap, the CMK and its version are written under `lock`, too; the rest stays */

	pthread_rwlock_t lock;
	bh_keyring_state state;
	uint64_t generation;
	bh_dek_table live;
	bh_tally_table tallies; /* of all DEKs that are live, or were and have a wrap still */
};

static inline void bh_keyring_read_lock(bh_keyring *keyring)
{
	pthread_rwlock_rdlock(&keyring->lock);
}
static inline void bh_keyring_write_lock(bh_keyring *keyring)
{
	pthread_rwlock_wrlock(&keyring->lock);
}
static inline void bh_keyring_unlock(bh_keyring *keyring)
{
	pthread_rwlock_unlock(&keyring->lock);
}

/* Writes one edit and makes what it says the state: appended, or rolled into a new snapshot where the edits would outgrow the one
 * there is. The caller holds `change`. */
BH_MUST_CHECK bh_status bh_keyring_edit(bh_keyring *keyring, bh_keyring_record_type type, bh_view payload);
/* DEKS_ADDED, whose DEKs are live with it, if those are that the merchant has: else BH_E_NO_KEY, or BH_E_NOMEM, though it is
 * durable.
 */
BH_MUST_CHECK bh_status bh_keyring_edit_deks(bh_keyring *keyring, bh_view payload, const char *name, const bh_dek_table *deks);
/* Makes `next` the state by a replacement of KEYRING, so that nothing of the present one stays in the file: the present one is left
 * in `next`. The caller holds `change`. */
BH_MUST_CHECK bh_status bh_keyring_replace(bh_keyring *keyring, bh_keyring_state *next);
/* Replaces KEYRING by one of this head (NULL: as it is) and the state there is. The caller holds `change`. */
BH_MUST_CHECK bh_status bh_keyring_replace_head(bh_keyring *keyring, const bh_keyring_head *head);
/* Refuses what would ask a KMS for a change that cannot be recorded. Errors: BH_E_INVALID (read-only). */
BH_MUST_CHECK bh_status bh_keyring_writable_check(const bh_keyring *keyring);
/* Whether all wraps of the merchant are in memory as DEKs. The caller holds `lock`. */
bool bh_keyring_is_live(const bh_keyring *keyring, const bh_merchant_record *merchant);
int64_t bh_keyring_now_ms(void); /* since 1970 */

/* Opens the CMK with the options the keyring was opened with, or gives the handle that is open (keyring_cmks.h): to be closed. */
BH_MUST_CHECK bh_status bh_keyring_kms_open(const bh_keyring *keyring, const char *uri, bh_kms **out);
/* Closes the merchant's CMK, if it is open, for all but those who hold it. */
void bh_keyring_cmk_close(bh_keyring *keyring, const char *merchant);
/* Refuses a CMK that says it is in another region. One call. Errors: those of bh_kms_describe(), BH_E_REGION. */
BH_MUST_CHECK bh_status bh_keyring_region_check(bh_kms *kms, const char *uri, const char *region);

/* Makes a DEK of fresh random bytes for `scope`, with an id made from them, and wraps it. */
BH_MUST_CHECK bh_status bh_keyring_dek_make(bh_kms *kms, const uint8_t database_id[BH_ID_LEN], const char *region,
					    const bh_scope *scope, uint32_t generation, bh_dek **dek_out, bh_buf *wrapped_out,
					    uint32_t *version_out);
/* Unwraps one. Further error: BH_E_TAG (what the KMS answers is not the DEK of this id). */
BH_MUST_CHECK bh_status bh_keyring_dek_open(bh_kms *kms, const uint8_t database_id[BH_ID_LEN], const char *region,
					    const bh_scope *scope, const uint8_t id[BH_ID_LEN], uint32_t generation,
					    bh_view wrapped, bh_dek **out);

/* Unwraps the DEK of a record of the merchant, by `kms`. */
BH_MUST_CHECK bh_status bh_keyring_record_open(const bh_keyring *keyring, bh_kms *kms, const bh_merchant_record *merchant,
					       const bh_dek_record *record, bh_dek **out);
/* Whether the merchant has other wraps, or another CMK, than `copy` says, which was made before a KMS was asked: what came of that
 * then says nothing. */
bool bh_keyring_has_moved(bh_keyring *keyring, const bh_merchant_record *copy);

/* One merchant's record in a state of its own, so that it can be used without the lock. Errors: BH_E_NOT_FOUND, BH_E_SHREDDED (from
 * SHREDDING on), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_keyring_merchant_copy(bh_keyring *keyring, const char *name, bh_keyring_state *out);
/* Both names are checked ones. */
void bh_scope_set(bh_scope *scope, const char *merchant, const char *cls);

/* The table. Its calls need `lock` for writing, but for find and current, which return borrowed references or NULL. */
BH_MUST_CHECK bh_status bh_dek_table_reserve(bh_dek_table *table, size_t extra);
void bh_dek_table_insert(bh_dek_table *table,
			 bh_dek *dek); /* takes a reference of its own; room is reserved; a known id is left alone */
void bh_dek_table_remove(bh_dek_table *table, const uint8_t id[BH_ID_LEN]); /* nothing, if it is not there */
void bh_dek_table_remove_merchant(bh_dek_table *table, const char *merchant);
bh_dek *bh_dek_table_find(const bh_dek_table *table, const uint8_t id[BH_ID_LEN]);
bh_dek *bh_dek_table_current(const bh_dek_table *table, const bh_scope *scope); /* newest generation */
void bh_dek_table_clear(bh_dek_table *table);

/* keyring_sealed.c; the caller of these holds `lock`. DEKs come into `live` this way alone: `sealed` is what is known to be sealed
 * under it already. Room is reserved. */
BH_MUST_CHECK bh_status bh_keyring_live_reserve(bh_keyring *keyring, size_t extra);
void bh_keyring_live_insert(bh_keyring *keyring, bh_dek *dek, uint64_t sealed);
/* What was sealed under it; 0 for a tombstone. */
uint64_t bh_keyring_sealed_of(const bh_keyring *keyring, const bh_dek_record *dek);
/* Lets the tallies of tombstones go. */
void bh_keyring_sealed_forget(bh_keyring *keyring);

/* keyring_audit.c: what the keyring says to the audit log.
 *
 * Keys are granted only after the log has it. What takes keys away, or closes a merchant, happens even where the log cannot be
 * written: bh_audit_note() then. A change of state is logged before it is made, and once more, with its outcome, if it fails. */

/* Makes the first AUDIT of a new database. */
BH_MUST_CHECK bh_status bh_keyring_audit_create(const bh_io_dir *dir, const bh_keyring_head *head, const bh_signer *signer,
						const bh_keyring_options *options);
/* Opens AUDIT and says that this process has opened the keyring. */
BH_MUST_CHECK bh_status bh_keyring_audit_open(bh_keyring *keyring, const bh_keyring_options *options);
/* Says that the keyring is closed, all keys being wiped. */
void bh_keyring_audit_close(bh_keyring *keyring);

/* Adds the event of one DEK. */
BH_MUST_CHECK bh_status bh_keyring_audit_dek(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
					     const bh_merchant_record *merchant, const bh_dek_record *dek);
/* Adds that the merchant is recorded. */
BH_MUST_CHECK bh_status bh_keyring_audit_added(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
					       bh_status outcome);
/* Adds the event of all of a merchant's DEKs. */
BH_MUST_CHECK bh_status bh_keyring_audit_keys(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
					      const bh_merchant_record *merchant, bh_status outcome);
/* Adds that the merchant's KMS did not do what it was asked, with this thread's message. */
BH_MUST_CHECK bh_status bh_keyring_audit_denied(const bh_keyring *keyring, bh_audit_batch *batch,
						const bh_merchant_record *merchant, bh_status outcome);
/* Adds an event of some of a merchant's DEKs: those of `ids`, `count` of them. `detail` may be NULL. */
BH_MUST_CHECK bh_status bh_keyring_audit_some(const bh_keyring *keyring, bh_audit_batch *batch, const char *action,
					      const bh_merchant_record *merchant, const uint8_t *ids, size_t count,
					      const char *detail, bh_status outcome);
/* Writes that alone, whether it can be or not; and, but where the KMS gave no answer, lets the commit mark know. */
void bh_keyring_audit_denied_note(bh_keyring *keyring, const bh_merchant_record *merchant, bh_status status);
/* Adds that this thread's last call to a KMS made another wrap of the DEK. */
BH_MUST_CHECK bh_status bh_keyring_audit_rewrapped(const bh_keyring *keyring, bh_audit_batch *batch,
						   const bh_merchant_record *merchant, const bh_dek_record *dek,
						   const char *cmk_uri, uint32_t version);
/* Adds that the merchant is about to be moved to the CMK `cmk_uri`. */
BH_MUST_CHECK bh_status bh_keyring_audit_moved(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
					       const char *cmk_uri);
/* Writes, whether it can be or not, that a rewrap under this CMK failed, with this thread's message. */
void bh_keyring_audit_rewrap_failed(bh_keyring *keyring, const bh_merchant_record *merchant, const char *cmk_uri, bh_status status);
/* Adds a change of state. */
BH_MUST_CHECK bh_status bh_keyring_audit_state(const bh_keyring *keyring, bh_audit_batch *batch, const bh_merchant_record *merchant,
					       const bh_state_change *change, bh_status outcome);

/* Lets the next commit mark have the log's position. The caller holds `change`. */
void bh_keyring_audit_follow(bh_keyring *keyring);
/* Brings the commit mark up to the log's position if it is BH_AUDIT_MARK_EVERY entries behind, or `now`. Takes `change`. A keyring
 * that is open read-only has no mark to write. */
BH_MUST_CHECK bh_status bh_keyring_audit_mark(bh_keyring *keyring, bool now);
/* The same, now, where nobody can be told of a failure: the next change finds the file in doubt, and the next open finds the log
 * further than its mark, which is no fault. Leaves this thread's message alone. */
void bh_keyring_audit_mark_try(bh_keyring *keyring);

#endif
