/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h: how a database and each of its merchants is doing, as a struct and as metrics for Prometheus.
 *
 * Made from what is in memory and from directory listings: no KMS is asked, no key or value read. Thread-safety: all calls may come
 * from many threads; a report belongs to who made it.
 */
#ifndef BULKHEAD_REPORT_H
#define BULKHEAD_REPORT_H

#include <bulkhead/db.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_merchant_report {
	char name[65];
	const char *state;     /* "active"; static, as all const char here are unless they say otherwise */
	const char *cause;     /* why it is suspended: "operator", "kms-refused" ...; "" while it is not */
	char note[256];        /* that goes with it */
	const char *lease;     /* "held", "late", "lost", "refused", "damaged", "attaching", "doubted", "off" (lease.h has what they
				  mean) */
	int64_t lease_age_ms;  /* since the KMS was last asked with success; -1: its keys are not in use */
	int64_t lease_left_ms; /* until its keys are given up, if the KMS does not say yes before; -1: they are not in use */
	int64_t lease_limit_ms; /* the age at which that is */
	uint64_t live_files;    /* below DB/tenants/<name> */
	uint64_t live_bytes;    /* their sizes on disk as stat() tells them, bytes */
	uint64_t parked_files;  /* below DB/parked/<name>; hard links count where they are */
	uint64_t parked_bytes;
	uint64_t sealed_bytes; /* ever sealed under its newest generation of DEKs; of the class that has most */
	uint32_t dek_count;    /* DEK generations of all its classes, destroyed ones not counted */
	uint64_t suppressed;   /* erased prefixes that are kept out of its classes (erase.h); 0 while it is not attached */
	uint32_t cmk_version;  /* the newest that wrapped one of them; 0: none */
	char *cmk_uri;         /* owned by the report */
	bh_kms_statistics
		kms; /* calls to its CMK since the database was opened, of any kind: how many, how they ended, how long they took */
	int64_t kms_last_ms; /* how long the last one that was made for its lease took; -1: there was none */
} bh_merchant_report;

typedef struct bh_db_report {
	bh_merchant_report *merchants; /* that are not shredded, in order of creation */
	size_t merchant_count;
	bh_kms_statistics platform_kms; /* calls to the platform's CMK likewise */
	uint64_t background_errors;     /* of RocksDB, since the open */
	uint64_t wal_files, wal_bytes;
	uint64_t audit_entries, audit_bytes;
} bh_db_report;

/* How it is now. Ownership: bh_db_report_free(). Errors: BH_E_NOMEM, BH_E_IO, BH_E_CRYPTO. */
BH_API BH_MUST_CHECK bh_status bh_db_status(bh_db *db, bh_db_report **out);
BH_API void bh_db_report_free(bh_db_report *report); /* NULL-safe */

/* The report in Prometheus' text exposition format 0.0.4, metrics bulkhead_*, appended to `out`: for a service that answers
 * scrapes itself. Errors: as above. */
BH_API BH_MUST_CHECK bh_status bh_db_metrics(bh_db *db, bh_buf *out);
/* The same for node_exporter's textfile collector: `path` is replaced whole or not at all (PATH.tmp, fsync, rename). Errors: as
 * above, BH_E_INVALID (path of no or too many bytes). */
BH_API BH_MUST_CHECK bh_status bh_db_metrics_write(bh_db *db, const char *path);

#ifdef __cplusplus
}
#endif
#endif
