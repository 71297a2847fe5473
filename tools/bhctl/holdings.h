/* SPDX-License-Identifier: Apache-2.0
 *
 * holdings.h: which processes held merchants' keys, and when: from the grants, wipes, opens and closes in the audit log.
 *
 * An instance that neither wiped the keys nor closed (it was killed, or runs) is held until unknown. What bounds it is said: the
 * next instance that opened, which the directory's lock let in only when the one before had ended; and the end of its lease, which
 * the process itself keeps, so an honest one has not used the keys beyond. Renewals are told once for a span of time, ahead: of a
 * killed process the lease can have gone on to the end of that span, and is said to. Thread-safety: none.
 */
#ifndef BHCTL_HOLDINGS_H
#define BHCTL_HOLDINGS_H

#include "audit.h"

/* Why an instance is known not to hold the keys any more. */
typedef enum end_kind {
	END_NONE = 0, /* it is not known to have let go */
	END_WIPED,
	END_CLOSED,
	END_NEXT_OPENED, /* the latest that it can have been */
} end_kind;

/* One stretch of time in which one instance held one merchant's keys. */
typedef struct holding {
	json_t *process; /* the entry of the grant */
	int64_t from_ms;
	int64_t yes_ms;  /* of the last grant or renewal; where the log says so, until then there may have been others */
	int64_t last_ms; /* of the instance's last entry, of any kind */
	int64_t until_ms;
	end_kind end;
} holding;

typedef struct holdings {
	const char *merchant; /* NULL: all */
	int64_t lease_ms;     /* the longest lease of the database's options */
	holding *list;        /* in the order of the grants */
	size_t count;
	size_t first_open; /* all before it have ended */
} holdings;

/* The next line of the log. Errors: BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status holdings_take(holdings *w, uint64_t seq, bh_view line);
void holdings_clear(holdings *w);

/* Whether the keys were held for certain at that time: the instance was heard of afterwards, or is known to have let go later. */
bool holding_is_certain(const holding *h, int64_t at_ms);
/* {process, host, pid, actor, from, certain, end, last_heard_of, lease_until, until (where it is known), deks} */
json_t *holding_json(const holdings *w, const holding *h, bool certain);

#endif
