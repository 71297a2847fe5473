/* SPDX-License-Identifier: Apache-2.0
 *
 * verify.h: what the parts of `verify` share: cmd_verify.c (the array of checks, the report), verify_files.c (every page and
 * frame), verify_inventory.c (what is there against what the MANIFEST says), verify_open.c (what RocksDB says to all of it),
 * verify_roots.c (which databases there are).
 *
 * A check collects failures and goes on; it returns an error only when it cannot work at all. A failure names the file, and the
 * page or frame with its byte offset where there is one. Thread-safety: none.
 */
#ifndef BHCTL_VERIFY_H
#define BHCTL_VERIFY_H

#include <rocksdb/c.h>

#include "bhctl.h"
#include "inspect.h"
#include "env/fs/manifest_sum.h"
#include "env/spans/records.h"
#include "sealed.h"
#include "engine/report/tree.h"

#define VERIFY_PREFIX_SIZE (sizeof(BH_PARKED_DIR) + BH_NAME_MAX + 2)
#define VERIFY_PATH_SIZE (VERIFY_PREFIX_SIZE + BH_MANIFEST_PATH_SIZE)

/* A RocksDB database among the files. */
typedef struct verify_root {
	char prefix[VERIFY_PREFIX_SIZE]; /* of the paths of its files: "", or "parked/<merchant>/" */
	const char *merchant;            /* whose it is alone; NULL: the live database. Borrowed */
	bh_fs *fs;          /* what a file in it is; owned by `env` once there is one, before that that of the live one is `in`'s */
	rocksdb_env_t *env; /* owned; NULL before it is opened */
	bh_scopes scopes;   /* those of `fs`, but every family counts as attached: its logs as they are */
	bh_manifest_sum manifest; /* of the MANIFEST that CURRENT names */
	bool have_manifest;       /* it could be read to its end */
	char current[64];         /* its name; "": CURRENT could not be read */
} verify_root;

typedef struct verify {
	bhctl *ctl;
	inspect in;
	bh_tree files;
	verify_root *roots; /* the live one first; owned */
	size_t root_count;
	json_t *checks; /* done; owned */
} verify;

/* The report of the check under way. */
typedef struct report {
	const char *name;
	uint64_t files;
	uint64_t units;   /* pages or frames */
	const char *unit; /* "page" or "frame"; NULL: the check has none */
	uint64_t skipped; /* files whose key is not available */
	uint64_t sealed;  /* files that were not opened because an operator has suspended their merchant */
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

/* verify_roots.c */
bh_status verify_roots_find(verify *v);
void verify_roots_clear(verify *v); /* idempotent */
/* Which one a path belongs to; NULL: none, it lies in DB/parked/ where nothing of a merchant should be. */
verify_root *verify_root_of(const verify *v, const char *path);
/* The path below its root. */
const char *verify_below(const verify_root *root, const char *path);
/* Whether the MANIFEST has the family, and its files are in this root. */
bool verify_root_has_family(const verify *v, const verify_root *root, const bh_scope *scope);
bool verify_root_needs(const verify *v, const verify_root *root, const bh_manifest_sum_file *file);
void verify_file_path(const verify_root *root, const bh_manifest_sum_file *file, char out[VERIFY_PATH_SIZE]);
/* Whether an SST or blob file is needed by its database; true where that is not known. */
bool verify_needs(const verify *v, const char *path);
/* The merchant of that name that is not shredded and not being shredded; NULL: there is none. */
const bh_merchant_info *verify_living(const verify *v, const char *name);
/* Whether its files have to be in DB/parked/. */
bool verify_is_parked(const verify *v, const bh_merchant_info *merchant);

/* verify_files.c */
bh_status verify_small(verify *v, report *r);     /* CURRENT, IDENTITY, OPTIONS; learns which MANIFEST is current */
bh_status verify_manifests(verify *v, report *r); /* fills v->bh_manifest_sum */
bh_status verify_wals(verify *v, report *r);
bh_status verify_ssts(verify *v, report *r);
bh_status verify_blobs(verify *v, report *r);

/* verify_inventory.c */
bh_status verify_keyring(verify *v, report *r);
bh_status verify_audit(verify *v, report *r);     /* all of it: the open looks at its end alone */
bh_status verify_log_list(verify *v, report *r);  /* KEYRING and the logs agree on each other: none is older, or missing */
bh_status verify_suspended(verify *v, report *r); /* who is suspended has left the live database, and is in DB/parked/ */
bh_status verify_certificates(verify *v, report *r);
bh_status verify_present(verify *v, report *r); /* every file that the MANIFEST needs is there, with its size */
bh_status verify_strays(verify *v, report *r);  /* what else is there */

/* verify_open.c */
bh_status verify_opening(verify *v, report *r); /* the last one: it takes the file systems over */

/* verify_inventory.c, for the others */
/* Whether it is the audit log, or one that was given up. */
bool verify_is_audit(const char *path);
/* Whether such a database has files of that name in that place. */
bool verify_knows(const verify_root *root, const char *path);

#endif
