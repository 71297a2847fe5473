/* SPDX-License-Identifier: Apache-2.0
 *
 * cause.h: why a merchant is detached: as the keyring keeps it, and as its callers are told.
 */
#ifndef BH_ENGINE_CAUSE_H
#define BH_ENGINE_CAUSE_H

#include <bulkhead/db.h>

#include "keyring/base/base.h"
#include "keyring/manifest/manifest.h"

/* What operations are told while a merchant is detached for `cause`. */
bh_status bh_suspend_status(bh_suspend_cause cause);
/* "REASON (by OPERATOR)", as the keyring keeps it. Errors: BH_E_INVALID (too long), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_suspend_note(const bh_suspend_options *options, bh_buf *out);

#endif
