/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h: the open keyring, as the files of this room share it; keyring.h is what others see of it.
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

#include "keyring.h"
#include "keyring/audit/audit.h"
#include "keyring/dek/dek_table.h"
#include "cmks.h"
#include "repeats.h"
#include "keyring/manifest/file.h"
#include "keyring/manifest/state.h"

struct bh_keyring {
	bh_secret passphrase; /* for the KMS, with its NUL; empty if none was given */
	bh_kms_options kms;   /* its passphrase lies there */
	bh_cmk_table *cmks;
	bh_signer *signer; /* made from the root secret */
	bh_audit *audit;   /* immutable after open, as the next */
	bh_repeats *repeats;
	bh_pin_fn pin_changed; /* NULL: nobody asked for pins */
	void *pin_arg;
	_Atomic bool archiving;        /* the beginning of AUDIT is on its way to an archive */
	_Atomic uint64_t audit_marked; /* entries of AUDIT that KEYRING's commit mark knows of */

	pthread_mutex_t change;
	bh_keyring_file file; /* of file.head, the wrap, the CMK and its version are written under `lock`, too; the rest stays. The
			       * root itself is in memory at an open and in a rewrap alone */

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

#endif
