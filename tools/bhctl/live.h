/* SPDX-License-Identifier: Apache-2.0
 *
 * live.h: the database of --db, by whoever has it: where a service has it open, it is asked through its door; else this program
 * opens it. The commands do not see which.
 *
 * Each function is the library's of that name, with its options, results and errors; through the door, with those of engine/door as
 * well. Thread-safety: none.
 */
#ifndef BHCTL_LIVE_H
#define BHCTL_LIVE_H

#include <bulkhead/erase.h>
#include <bulkhead/rotation.h>

#include "bhctl.h"

typedef struct live {
	bhctl *ctl;
	bh_db *db; /* NULL: a service has it */
	int door;  /* a connection to it that was not used yet; -1: none */
} live;
#define LIVE_CLOSED                                                                                                                \
	{                                                                                                                          \
		NULL, NULL, -1                                                                                                     \
	}

BH_MUST_CHECK bh_status live_open(bhctl *ctl, live *out);
void live_close(live *l); /* idempotent */

typedef struct live_want {
	bool database; /* these three as of bh_document_want */
	const char *merchant;
	bool brief;
	bool live;              /* with what only who has it open can say */
	const char *prometheus; /* a file that gets the metrics; NULL: none */
} live_want;
/* The document of engine/report/document.h, which the caller releases. Where no service has the database open, RocksDB is opened
 * for `live` and `prometheus` alone, to look. */
BH_MUST_CHECK bh_status live_document(bhctl *ctl, const live_want *want, json_t **out);
/* The merchants' names that are not shredded, an array of texts, which the caller releases. */
BH_MUST_CHECK bh_status live_names(live *l, json_t **out);

BH_MUST_CHECK bh_status live_adopt(live *l);
BH_MUST_CHECK bh_status live_audit_archive(live *l, const char *to, bh_audit_archived *out);

BH_MUST_CHECK bh_status live_add(live *l, const char *name, const char *cmk_uri, const bh_merchant_options *options);
BH_MUST_CHECK bh_status live_suspend(live *l, const char *name, const bh_suspend_options *options);
BH_MUST_CHECK bh_status live_resume(live *l, const char *name, const bh_suspend_options *options);
BH_MUST_CHECK bh_status live_shred(live *l, const char *name, bh_buf *certificate_out);
BH_MUST_CHECK bh_status live_shred_finalize(live *l, const char *name, bh_buf *certificate_out);
BH_MUST_CHECK bh_status live_certificate(live *l, const char *name, bh_buf *certificate_out);
BH_MUST_CHECK bh_status live_rotate(live *l, const char *name, const bh_rotate_options *options);
BH_MUST_CHECK bh_status live_sweep(live *l, const char *name, const bh_sweep_options *options); /* NULL: defaults */
BH_MUST_CHECK bh_status live_generations(live *l, const char *name, bh_generation **out, size_t *count_out);
BH_MUST_CHECK bh_status live_rewrap(live *l, const char *name, const bh_rewrap_options *options, bh_rewrap_result *out);
BH_MUST_CHECK bh_status live_compact(live *l, const bh_scope *cls);
BH_MUST_CHECK bh_status live_erase(live *l, const bh_scope *cls, bh_view prefix, const bh_erase_options *options,
				   bh_erase_result *out);
BH_MUST_CHECK bh_status live_unsuppress(live *l, const bh_scope *cls, bh_view prefix);
BH_MUST_CHECK bh_status live_markers(live *l, const bh_scope *cls, bh_status (*each)(void *arg, const bh_erase_marker *marker),
				     void *arg);

#endif
