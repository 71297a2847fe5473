/* SPDX-License-Identifier: Apache-2.0
 *
 * recorded.h: a merchant is switched off, or its shred begun, in the keyring alone: for a database whose merge operator or
 * comparator is the service's, and which bhctl therefore cannot open to write. RocksDB is not opened, no file of it changes. It is
 * what a kill right after the first step of a suspension or a shred leaves: from that record on no open shows the merchant's data,
 * and the service's next one does the rest, before it serves anybody.
 */
#ifndef BHCTL_RECORDED_H
#define BHCTL_RECORDED_H

#include "bhctl.h"

/* Whether bhctl_open() failed for that. */
bool recorded_is_way(bh_status status);
/* Both say on stderr what is left to do. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_BUSY (a process has the database open;
 * or something is left of an earlier step, which the service's next open ends first), those of the keyring. */
BH_MUST_CHECK bh_status recorded_suspend(bhctl *ctl, const char *name, const bh_suspend_options *options);
BH_MUST_CHECK bh_status recorded_shred(bhctl *ctl, const char *name);

#endif
