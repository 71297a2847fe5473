/* SPDX-License-Identifier: Apache-2.0
 *
 * suppress.h: prefixes that were erased are kept from coming back: the markers of them in the platform's column family
 * (erase_record.h), and what writes look at while the merchant is attached (engine/core/suppressed.h).
 */
#ifndef BH_ENGINE_SUPPRESS_H
#define BH_ENGINE_SUPPRESS_H

#include "engine/core/merchant.h"
#include "erase_record.h"

/* Before the gate opens: what is suppressed in its classes is known, or they refuse every write, which is logged. Errors:
 * BH_E_NOMEM, BH_E_NOT_FOUND. */
BH_MUST_CHECK bh_status bh_suppress_load(bh_merchant *merchant);

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
