/* SPDX-License-Identifier: Apache-2.0
 *
 * suppress.h: prefixes that were erased and are kept from coming back: what every write of a class looks at.
 *
 * What is suppressed lies in markers in the platform's column family (erase_record.h), which have the digest and the length of a
 * prefix, never its bytes. While the merchant is attached, its classes have them in memory: a set that is replaced as a whole and
 * never changed. A class without markers has none, and its writes pay one load for it. In a class with markers a write pays one
 * HMAC for each length that its prefixes have.
 *
 * Where the markers cannot be read, the set says why, and refuses every write: who cannot know what was erased must not bring it
 * back.
 *
 * Thread-safety: a set may be looked at by whoever has entered the gate to write (bh_gate_enter_write). It is changed under the
 * merchant's `marking`, inside the gate, and what was replaced is freed once no write can look at it any more.
 */
#ifndef BH_ENGINE_SUPPRESS_H
#define BH_ENGINE_SUPPRESS_H

#include "erase_record.h"

typedef struct bh_suppressed bh_suppressed;

/* The slow half of bh_suppress_check(). */
BH_MUST_CHECK bh_status bh_suppress_look(const bh_suppressed *set, const char *merchant, const char *cls, bh_view key);

/* Whether a row may be written under `key`. Errors: BH_E_ERASED, BH_E_CRYPTO, and what kept the markers from being read. */
BH_MUST_CHECK static inline bh_status bh_suppress_check(const bh_merchant *merchant, const bh_class *cls, bh_view key)
{
	const bh_suppressed *set = atomic_load(&cls->suppressed);

	return set == NULL ? BH_OK : bh_suppress_look(set, merchant->name, cls->name, key);
}

static inline bool bh_suppress_any(const bh_class *cls)
{
	return atomic_load(&cls->suppressed) != NULL;
}

/* Before the gate opens: what is suppressed in its classes is known, or they refuse every write, which is logged. Errors:
 * BH_E_NOMEM, BH_E_NOT_FOUND. */
BH_MUST_CHECK bh_status bh_suppress_load(bh_merchant *merchant);
/* With the gate closed and nobody inside: wipes and frees it. */
void bh_suppress_unload(bh_merchant *merchant);

/* Inside the gate. BH_OK: the marker is durable and in the audit log, every write from now on heeds it, and those that did not have
 * ended. Failed: it may be there, and in force. Errors: those of a load, of the audit log, of RocksDB, and the reason of a gate
 * that closes. */
BH_MUST_CHECK bh_status bh_suppress_add(bh_merchant *merchant, bh_class *cls, const bh_erase_scope *scope,
					const bh_erase_marker *marker);
/* Inside the gate: whether the class's markers could be read. */
BH_MUST_CHECK bh_status bh_suppress_is_known(bh_merchant *merchant, bh_class *cls);
/* Markers of all its classes; 0 where it is not attached. */
uint64_t bh_suppress_count(bh_merchant *merchant);

#endif
