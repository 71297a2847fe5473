/* SPDX-License-Identifier: Apache-2.0
 *
 * verify.h: what the parts of `verify` share: cmd_verify.c (the array of checks, the report), verify_files.c (every page and
 * frame), verify_inventory.c (what is there against what the MANIFEST says).
 *
 * A check collects failures and goes on; it returns an error only when it cannot work at all. A failure names the file, and the
 * page or frame with its byte offset where there is one. Thread-safety: none.
 */
#ifndef BHCTL_VERIFY_H
#define BHCTL_VERIFY_H

#include "tools/bhctl/bhctl.h"
#include "tools/bhctl/inspect.h"
#include "tools/bhctl/manifest.h"
#include "tools/bhctl/records.h"
#include "tools/bhctl/sealed.h"
#include "tools/bhctl/tree.h"

typedef struct verify {
	bhctl *ctl;
	inspect in;
	tree files;
	manifest manifest;  /* of the MANIFEST that CURRENT names */
	bool have_manifest; /* it could be read to its end */
	char current[64];   /* its name; "": CURRENT could not be read */
	json_t *checks;     /* done; owned */
} verify;

/* The report of the check under way. */
typedef struct report {
	const char *name;
	uint64_t files;
	uint64_t units;   /* pages or frames */
	const char *unit; /* "page" or "frame"; NULL: the check has none */
	uint64_t skipped; /* files whose key is not available */
	json_t *failures;
	json_t *notes;
} report;

/* Adds a failure with this thread's message; `unit` NULL: it is about the file as a whole. */
void report_failure(report *r, const char *file, const char *unit, uint64_t idx, uint64_t off, bh_status status);
/* Adds what an operator should know and what is no failure. */
void report_note(report *r, const char *fmt, ...) BH_PRINTF(2, 3);

typedef struct check {
	const char *name;
	const char *unit;
	bh_status (*run)(verify *v, report *r);
} check;

/* verify_files.c */
bh_status verify_small(verify *v, report *r);     /* CURRENT, IDENTITY, OPTIONS; learns which MANIFEST is current */
bh_status verify_manifests(verify *v, report *r); /* fills v->manifest */
bh_status verify_wals(verify *v, report *r);
bh_status verify_ssts(verify *v, report *r);
bh_status verify_blobs(verify *v, report *r);

/* verify_inventory.c */
bh_status verify_keyring(verify *v, report *r);
bh_status verify_certificates(verify *v, report *r);
bh_status verify_present(verify *v, report *r); /* every file that the MANIFEST needs is there, with its size */
bh_status verify_strays(verify *v, report *r);  /* what else is there */
/* Whether an SST or blob file is needed by RocksDB; true where that is not known. */
bool verify_needs(const verify *v, const char *path);
/* Whether a database has files of that name in that place. */
bool verify_knows(const char *path);

#endif
