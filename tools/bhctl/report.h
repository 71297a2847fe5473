/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h: what `bhctl report` tells an auditor or a customer: one JSON document, and the page that is made of it.
 *
 *     {"format", "version": 1, "made_at", "customer" (--merchant: nothing of others is in it),
 *      "database": {"id", "region", "public_key", "floor", "signed_at", "archived"; not for a customer: "platform_cmk",
 * "platform_deks"}, "merchants": [{... as in `status` ..., "states": [event], "events": [event], "holders": [as of
 * who-could-decrypt], "shred" (its certificate)}]} event: {"seq", "at", "action", "by", "outcome", "what", "class", "dek", "cmk",
 * "cmk_version"}
 *
 * Thread-safety: none.
 */
#ifndef BHCTL_REPORT_H
#define BHCTL_REPORT_H

#include <jansson.h>

#include "bhctl.h"

/* Gathers it: of the database, through whoever has it, and of its audit log in these files, which is proved. Errors: those of
 * live_document() and bh_audit_verify(). The caller releases it. */
BH_MUST_CHECK bh_status report_gather(bhctl *ctl, const char *merchant, char **files, int file_count, json_t **out);

/* The page: one file, without script, that asks for nothing from elsewhere. All text in it is escaped. Appended to `out`. */
BH_MUST_CHECK bh_status report_html(const json_t *report, bh_buf *out);

#endif
