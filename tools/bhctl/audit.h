/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.h: an entry of the audit log as the commands look at it: cmd_audit.c (show, verify, restart), audit_who.c.
 *
 * Thread-safety: none.
 */
#ifndef BHCTL_AUDIT_H
#define BHCTL_AUDIT_H

#include <jansson.h>

#include "keyring/audit/verify.h"
#include "bhctl.h"

#define AUDIT_FILES_MAX 4096

/* The log to look at, in files one after the other. */
typedef struct audit_files {
	const char *const *paths;
	size_t count;
	const char *last; /* the newest, by which the log is called */
	char *own;        /* owned; NULL where files were named */
} audit_files;
/* The files that are named, or the one of --db. `args` is borrowed. audit_files_clear() it. Errors: BH_E_INVALID (neither). */
BH_MUST_CHECK bh_status audit_files_of(const bhctl *ctl, char **args, int count, audit_files *out);
void audit_files_clear(audit_files *files); /* idempotent */

/* What can be seen of an entry without parsing it, which takes most of the time that a long log needs. */
typedef struct audit_glance {
	int64_t at_ms;
	bh_view process; /* its id; within the line */
} audit_glance;
/* Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status audit_entry_glance(uint64_t seq, bh_view line, audit_glance *out);
/* Whether the line has this member with this text, which needs no escape: never false where it has. */
bool audit_entry_may_have(bh_view line, const char *name, const char *text);
/* An entry's line as a JSON object, and its time; json_decref(). Errors: BH_E_FORMAT. */
BH_MUST_CHECK bh_status audit_entry_parse(uint64_t seq, bh_view line, json_t **out, int64_t *at_ms_out);
/* A text member; "" where there is none. */
const char *audit_text(const json_t *entry, const char *name);

#endif
