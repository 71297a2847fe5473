/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h: databases, merchants, and the reads and writes of a data service.
 *
 * One database is one RocksDB in one region. Every merchant has a CMK of its own and one column family per data class, sealed under
 * DEKs of its own. Every call that touches a merchant passes that merchant's gate: once it is closed (shredded, suspended), the
 * call ends with the code that says so, and nobody else's calls are concerned.
 *
 * Keys and values are bytes: any length from 0, any content; RocksDB's limits apply (keys 8 MiB and more are stored, values up to 4
 * GiB). Thread-safety: a bh_db and a bh_cf may be used from many threads; a bh_batch and a bh_iter belong to one thread at a time.
 */
#ifndef BULKHEAD_DB_H
#define BULKHEAD_DB_H

#include <bulkhead/certificate.h>
#include <bulkhead/env.h>
#include <bulkhead/kms.h>
#include <bulkhead/audit.h>
#include <bulkhead/pin.h>

#ifdef BH_FFI_BARE
typedef struct rocksdb_t rocksdb_t;
typedef struct rocksdb_column_family_handle_t rocksdb_column_family_handle_t;
#else
#include <rocksdb/c.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_db bh_db;
typedef struct bh_cf bh_cf;             /* one data class of one merchant */
typedef struct bh_batch bh_batch;       /* writes that become visible and durable together, across merchants */
typedef struct bh_iter bh_iter;         /* an ordered walk over one class */
typedef struct bh_snapshot bh_snapshot; /* a point in time of the whole database */

/* Called for what an operator should know (a merchant whose shred was finished at open, a CMK that could not be destroyed). `line`
 * has no newline and no tenant bytes. May come from any thread. */
typedef void (*bh_log_fn)(void *arg, const char *line);

/* Clocks for tests that cannot wait: both in ms, from any beginning, callable from any thread. What they call has to outlive the
 * database. Leases follow them; nothing else does. */
typedef struct bh_clock {
	int64_t (*boottime_ms)(void *arg); /* in place of CLOCK_BOOTTIME */
	int64_t (*realtime_ms)(void *arg); /* in place of CLOCK_REALTIME */
	void *arg;
} bh_clock;

/* All zero: the documented defaults. Borrowed for the call only. */
typedef struct bh_db_options {
	const rocksdb_options_t *rocksdb; /* template for the database and every class, copied; NULL: none. Where it says nothing,
					     that is, has RocksDB's own default, Bulkhead's hold: zstd for `compression` (another by
					     level: compression_per_level), 10 info logs (keep_log_file_num), a MANIFEST of 64 MiB
					     (max_manifest_file_size), WALs of 1 GiB in all (max_total_wal_size). Options that break
					     the promises are refused by name (env.h, bh_options_check) */
	bh_kms_options kms;
	uint64_t generation_floor; /* refuse a keyring older than this; 0: no floor */
	unsigned lease_ms;         /* how long a merchant's keys may be used after its KMS last allowed it, ms: 1,000 to 900,000;
				      0: 300,000. Renewed from 60 % of it in the background */
	unsigned maintenance_ms;   /* how often the database's own thread looks after generations of keys (rotation.h), ms; 0:
				      60,000; UINT_MAX: there is no such thread */
	unsigned dek_age_s;        /* a merchant's DEKs are rotated when they are so old, s; 0: 90 days; UINT_MAX: never */
	uint64_t dek_bytes;        /* ... or when more than so many bytes were ever sealed under one of them: flushes, compactions,
				      logs and reseals, each time anew. Several times of what a class holds; 0: any number */
	bool read_only;            /* looks at what lies there and changes nothing but AUDIT: WALs are read into memory, no merchant
				      is detached, resumed or finished, and who is not attached stays out. Each merchant is
				      served for one lease, since nobody renews it. What would change anything ends with
				      BH_E_UNSUPPORTED */
	bool audit_optional;       /* with read_only, where AUDIT cannot be written: look all the same, with nothing recorded */
	bool merge_operator_changed; /* the template's merge operator is another one than the database was opened with before, and
					understands what that one was for */
	bool newer_table_format;     /* new tables have the block-based format version that the template says. false: 5 at most, so
					that RocksDB 7.8 can open the database again (docs/operations.md) */
	uint64_t min_free_bytes;     /* the floor: writes and compactions are refused (BH_E_FULL) while less is free on the
					database's file system; 0: 64 MiB, or a twentieth of it if that is less. Reads, and what
					makes room (shred, erase, suspend), go on */
	const bh_clock *clock;       /* for tests alone; NULL: the system's. Copied */
	const char *actor;           /* who acts, for the audit log; NULL: "uid:<login name or number>" of the process */
	const char *audit_floor;     /* "SIZE:ROOT": refuse an audit log that does not begin with that; NULL: no floor */
	bool no_admin; /* do not listen at DB/ADMIN, where bhctl works on a database that is open (engine/README.md, "The
			  door"). One that is read-only never does */
	const uint32_t *admin_uids; /* users besides the process's own and root who may come in there. The socket is then open to
				    everybody, and tells them apart by the kernel's word; they need a way into the directory
				    (chmod o+x) */
	size_t admin_uid_count;
	const char *pin;       /* refuse another database, and an older state of this one (pin.h); NULL: no pin. Not for
				  bh_db_create() */
	bh_pin_fn pin_changed; /* is told of each new pin, which takes the place of the one before; NULL */
	void *pin_arg;
	bh_log_fn log; /* NULL: nothing is reported */
	void *log_arg;
} bh_db_options;

/* Makes a database in `dir` (made if missing; it may hold nothing of a database yet), at home in `region`, with its platform key
 * wrapped by `platform_cmk_uri`, which must exist. Does not leave it open.
 * Errors: BH_E_INVALID (region, URI), BH_E_EXISTS (a keyring or a RocksDB is there), BH_E_NOT_FOUND (CMK), BH_E_KMS_REFUSED,
 * BH_E_KMS_UNREACHABLE, BH_E_REGION (the CMK is in another one), BH_E_UNSUPPORTED (option), BH_E_IO. Nothing that
 * was there is changed. */
BH_API BH_MUST_CHECK bh_status bh_db_create(const char *dir, const char *region, const char *platform_cmk_uri,
					    const bh_db_options *options);

/* Opens a database: unwraps the DEKs of every living merchant, recovers RocksDB, finishes what a crash interrupted (a merchant
 * being created or shredded). Acknowledged synced writes are there. Without a template of the caller's, comparator, merge operator
 * and number of levels are those that the database was opened with, if RocksDB can make them by itself. Ownership: bh_db_close().
 * Errors: BH_E_INVALID (a comparator or merge operator that it was opened with is missing; nothing was changed), BH_E_NOT_FOUND (no
 * database, or a plain RocksDB), BH_E_BUSY (another process has it), BH_E_TAG, BH_E_FORMAT, BH_E_TRUNCATED, BH_E_VERSION (damage,
 * by file), BH_E_ROLLBACK, BH_E_KMS_REFUSED and BH_E_KMS_UNREACHABLE (naming the merchant), BH_E_UNSUPPORTED, BH_E_IO,
 * BH_E_ROCKSDB, BH_E_NOMEM. */
BH_API BH_MUST_CHECK bh_status bh_db_open(const char *dir, const bh_db_options *options, bh_db **out);

/* The pin of what is durable by now, also of what belongs to no merchant; see pin.h. Errors: BH_E_INVALID (closing), BH_E_CRYPTO.
 */
BH_API BH_MUST_CHECK bh_status bh_db_pin(bh_db *db, char out[BH_PIN_SIZE]);

/* Closes: waits for every call under way in other threads, resumes and sweeps included (those that have long to go end with
 * BH_E_INVALID), ends iterators and snapshots that are still open, closes RocksDB, wipes all keys. NULL-safe. The bh_db is gone
 * then. bh_cf, bh_batch, bh_iter and bh_snapshot handles stay their owners' to close, before or after, and what else they are used
 * for ends with BH_E_INVALID; bh_cf_handle() is NULL. Not from a callback of this library's. */
BH_API void bh_db_close(bh_db *db);

/* The raw C API handle, borrowed, for what this header does not offer. What goes through it passes no gate. */
BH_API rocksdb_t *bh_db_rocksdb(bh_db *db);

/* ---- merchants */

typedef struct bh_merchant_options {
	const char *const *classes; /* data classes, at least one */
	size_t class_count;
} bh_merchant_options;

/* Adds a merchant under a CMK of its own: DEKs, directories DB/tenants/<name>/<class>/, column families "<name>/<class>". Survives
 * a kill at any point: the merchant is there whole after the next open, or not at all. Errors: BH_E_INVALID (names, no class, a
 * class twice, more than 256), BH_E_EXISTS (a living merchant of that name in any case, or a CMK that another merchant or the
 * platform uses), BH_E_NOT_FOUND (CMK), BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_REGION (the CMK is in another one), BH_E_IO,
 * BH_E_ROCKSDB. */
BH_API BH_MUST_CHECK bh_status bh_merchant_add(bh_db *db, const char *name, const char *cmk_uri,
					       const bh_merchant_options *options);

/* Destroys a merchant for good, suspended ones too: closes its gate, drops its column families, removes its files, has its CMK
 * destroyed by the KMS, destroys its wrapped DEKs, and issues a signed certificate of all that (engine/README.md), which is kept in
 * the database's directory and, if `certificate_out` is not NULL, appended to it as JSON text. Constant time in the size of its
 * data. From the moment of the call there is no way back; a kill is made good by the next open. BH_OK: done; the certificate is
 * FINAL, or PENDING where the KMS destroys the CMK at a later date. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED (already),
 * BH_E_IO, BH_E_ROCKSDB. BH_E_KMS_REFUSED or BH_E_KMS_UNREACHABLE: the merchant is shredded and its DEKs are gone, but the KMS did
 * not destroy the CMK; the certificate is PENDING, and the message says what is left to do. */
BH_API BH_MUST_CHECK bh_status bh_merchant_shred(bh_db *db, const char *name, bh_buf *certificate_out);

/* Asks the KMS of a shredded merchant once more to destroy the CMK, and issues the certificate anew; where there are several of
 * that name, of the newest whose CMK is not known to be destroyed. BH_OK: it is FINAL. `certificate_out` as above. Errors:
 * BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (not shredded), BH_E_BUSY (the KMS has a later date for it), BH_E_KMS_REFUSED,
 * BH_E_KMS_UNREACHABLE, BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_shred_finalize(bh_db *db, const char *name, bh_buf *certificate_out);

/* The certificate of the newest shredded merchant of that name, appended to `certificate_out`. If the stored one is lost, it is
 * made anew, without the list of files. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_INVALID (not shredded), BH_E_NOMEM, BH_E_CRYPTO. */
BH_API BH_MUST_CHECK bh_status bh_merchant_certificate(bh_db *db, const char *name, bh_buf *certificate_out);

/* The public half of the Ed25519 key that signs this database's certificates; the same for the life of the database. */
BH_API void bh_db_public_key(const bh_db *db, uint8_t out[BH_PUBLIC_KEY_LEN]);

/* Says that the database lives on where it lies now. A database that was copied, restored from a backup or moved to another file
 * system or host is not at home: a shred in it ends the merchant there, and leaves its CMK alone, which the database that it comes
 * from may need; the certificate stays PENDING, and bh_merchant_shred() ends with BH_E_KMS_REFUSED. After this call
 * bh_merchant_shred_finalize() asks for the CMK's destruction. Logged. Nothing is done where it is at home. Errors: BH_E_IO,
 * BH_E_FULL, BH_E_UNSUPPORTED (read-only). */
BH_API BH_MUST_CHECK bh_status bh_db_adopt(bh_db *db);

/* Moves the beginning of the audit log into the directory `to`, outside of the database's own: all up to the last of its anchors,
 * of which there is one every 256 KiB. What was moved was read from there, and is proved together with what stays
 * (`bhctl audit verify`). Where there is nothing to be moved yet, out->last is 0. Reads, writes and all other calls go on
 * meanwhile. Errors: BH_E_NOT_FOUND (no such directory), BH_E_INVALID (within the database's directory), BH_E_BUSY (a call is under
 * way), BH_E_EXISTS (other entries are archived there under that name), BH_E_FULL, BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_db_audit_archive(bh_db *db, const char *to, bh_audit_archived *out);

typedef struct bh_suspend_options {
	const char *reason;        /* text for people; NULL: none. At most 240 bytes together with the operator */
	const char *operator_name; /* who asks; NULL: nobody is named */
	bool salvage;              /* resume alone: with what can be read of damaged files; what cannot is given up for good */
	bh_buf *salvaged_out;      /* with salvage: what came back and what did not is appended, a line each: "CLASS: N rows",
				      "CLASS: lost: from HEX to HEX: why", "CLASS: doubtful: from HEX to HEX: why" (rows of a file
				      that is lost: what others have there is back, and may be older, or deleted since),
				      "lost: FILE: why" (a log); keys in hex. NULL: nobody asks */
} bh_suspend_options;

/* Switches a merchant off: from the call on its operations end with BH_E_SUSPENDED, its iterators and older snapshots for good; its
 * rows leave the live database for DB/parked/<name>/, its keys and decrypted blocks leave memory. Nobody else is concerned, and it
 * stays off over reopening, until bh_merchant_resume(). Nothing acknowledged is lost. Survives a kill at any point. A merchant that
 * is detached because of its KMS becomes suspended; suspending twice is BH_OK. Write through raw handles (bh_cf_handle) must have
 * ended. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_INVALID (options too long); BH_E_IO, BH_E_ROCKSDB: closed in this
 * process, but not detached: call again. */
BH_API BH_MUST_CHECK bh_status bh_merchant_suspend(bh_db *db, const char *name, const bh_suspend_options *options);
/* Switches it on again, with exactly what was acknowledged before. bh_cf handles serve again; batches, iterators and snapshots made
 * before do not (BH_E_SUSPENDED). Takes time that grows with the number of its files, and with their size if they hold range
 * tombstones or blobs. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_SHREDDED, BH_E_EXISTS (not suspended), BH_E_BUSY; it stays suspended
 * with those of the KMS, BH_E_REGION, BH_E_TAG, BH_E_FORMAT (its files were changed), BH_E_IO, BH_E_ROCKSDB. */
BH_API BH_MUST_CHECK bh_status bh_merchant_resume(bh_db *db, const char *name, const bh_suspend_options *options);

/* ---- classes */

/* The class of a living merchant. Ownership: bh_cf_close(), before or after bh_db_close().
 * Errors: BH_E_NO_SUCH_MERCHANT, BH_E_NO_SUCH_CLASS, BH_E_SHREDDED, BH_E_SUSPENDED, BH_E_NOMEM. */
BH_API BH_MUST_CHECK bh_status bh_cf_open(bh_db *db, const char *merchant, const char *cls, bh_cf **out);
BH_API void bh_cf_close(bh_cf *cf);
/* The raw handle, borrowed while the database is open and the merchant lives. What goes through it passes no gate, and heeds no
 * prefix that is suppressed (erase.h). */
BH_API rocksdb_column_family_handle_t *bh_cf_handle(bh_cf *cf);

/* ---- reads and writes; a write ends with BH_E_FULL while a disk, its inodes or the process's descriptors are used up, with
 * nothing written, and works again when there is room; each may end with BH_E_SHREDDED, BH_E_SUSPENDED, BH_E_TAG, BH_E_IO,
 * BH_E_ROCKSDB; what writes a row with BH_E_ERASED as well, under a prefix that is suppressed (erase.h) */

typedef struct bh_write_options {
	bool sync;   /* durable before the call returns (fsync of the WAL) */
	bool no_wal; /* lost by a crash unless flushed; excludes sync */
} bh_write_options;

typedef struct bh_read_options {
	const bh_snapshot *snapshot; /* NULL: now */
	bool no_fill_cache;          /* do not put what is read into the block cache */
	bool prefix;                 /* iterators: only keys with the prefix of the one that was sought, by the template's
					extractor, whose filters then spare reads; false: all keys, in order. Without an extractor
					it changes nothing */
	bh_view lower_bound;         /* iterators: first key, inclusive; empty: none. Borrowed until the iterator is closed */
	bh_view upper_bound;         /* iterators: end key, exclusive; empty: none. Borrowed likewise */
} bh_read_options;

/* NULL options mean the defaults. */
BH_API BH_MUST_CHECK bh_status bh_put(bh_cf *cf, const bh_write_options *options, bh_view key, bh_view value);
BH_API BH_MUST_CHECK bh_status bh_merge(bh_cf *cf, const bh_write_options *options, bh_view key, bh_view operand);
BH_API BH_MUST_CHECK bh_status bh_delete(bh_cf *cf, const bh_write_options *options, bh_view key);
BH_API BH_MUST_CHECK bh_status bh_delete_range(bh_cf *cf, const bh_write_options *options, bh_view begin,
					       bh_view end); /* [begin, end) */

/* Replaces the content of `value` (its memory is reused). BH_E_NO_SUCH_KEY leaves `value` as it was. BH_E_UNMERGED, in a database
 * that was opened read-only without the merge operator that it was written with: the key has merges, and `value` becomes the list
 * of them, for bh_unmerged_next(). */
BH_API BH_MUST_CHECK bh_status bh_get(bh_cf *cf, const bh_read_options *options, bh_view key, bh_buf *value);
/* Takes the first part off such a list, oldest first: a value that was put (*is_base_out) or an operand. False: there is none left.
 * `part_out` is borrowed from the list. */
BH_API bool bh_unmerged_next(bh_view *unmerged, bh_view *part_out, bool *is_base_out);
/* `count` keys at once: statuses_out[i] is BH_OK or BH_E_NO_SUCH_KEY or the failure of that key. Returns BH_OK if every status is
 * one of the first two. */
BH_API BH_MUST_CHECK bh_status bh_multi_get(bh_cf *cf, const bh_read_options *options, size_t count, const bh_view *keys,
					    bh_buf *values, bh_status *statuses_out);

/* ---- batches */
BH_API BH_MUST_CHECK bh_status bh_batch_new(bh_db *db, bh_batch **out);
BH_API void bh_batch_free(bh_batch *batch);
BH_API BH_MUST_CHECK bh_status bh_batch_put(bh_batch *batch, bh_cf *cf, bh_view key, bh_view value);
BH_API BH_MUST_CHECK bh_status bh_batch_merge(bh_batch *batch, bh_cf *cf, bh_view key, bh_view operand);
BH_API BH_MUST_CHECK bh_status bh_batch_delete(bh_batch *batch, bh_cf *cf, bh_view key);
BH_API BH_MUST_CHECK bh_status bh_batch_delete_range(bh_batch *batch, bh_cf *cf, bh_view begin, bh_view end);
BH_API size_t bh_batch_count(const bh_batch *batch);
BH_API void bh_batch_clear(bh_batch *batch);
/* All of it or nothing. A batch with a shredded or suspended merchant, or a row that is suppressed by now, is refused whole. The
 * batch can be written again. */
BH_API BH_MUST_CHECK bh_status bh_batch_write(bh_batch *batch, const bh_write_options *options);

/* ---- iterators: created before the first entry; move, then look */
BH_API BH_MUST_CHECK bh_status bh_iter_new(bh_cf *cf, const bh_read_options *options, bh_iter **out);
BH_API void bh_iter_free(bh_iter *iter);
BH_API BH_MUST_CHECK bh_status bh_iter_seek(bh_iter *iter, bh_view key);          /* first entry at or after */
BH_API BH_MUST_CHECK bh_status bh_iter_seek_for_prev(bh_iter *iter, bh_view key); /* last entry at or before */
BH_API BH_MUST_CHECK bh_status bh_iter_first(bh_iter *iter);
BH_API BH_MUST_CHECK bh_status bh_iter_last(bh_iter *iter);
BH_API BH_MUST_CHECK bh_status bh_iter_next(bh_iter *iter);
BH_API BH_MUST_CHECK bh_status bh_iter_prev(bh_iter *iter);
/* Whether it stands on an entry; false at the end and after a failure (which the call that moved it returned). */
BH_API bool bh_iter_valid(const bh_iter *iter);
/* Copies of the entry inside the iterator: valid until the next call on it, also when the merchant goes away. Either may be NULL.
 * Errors: BH_E_NOT_FOUND (stands on no entry), BH_E_UNMERGED (as of bh_get(); both are set). */
BH_API BH_MUST_CHECK bh_status bh_iter_entry(bh_iter *iter, bh_view *key_out, bh_view *value_out);

/* ---- snapshots */
BH_API BH_MUST_CHECK bh_status bh_snapshot_new(bh_db *db, bh_snapshot **out);
BH_API void bh_snapshot_free(bh_snapshot *snapshot);

/* ---- sorted files */

/* The database's Env, borrowed while it is open: what a rocksdb_sstfilewriter_t (rocksdb_options_set_env()) needs to write a file
 * at bh_staging_path(), sealed for that class. */
BH_API rocksdb_env_t *bh_db_env(bh_db *db);
/* Where a sorted file for the class waits until it is ingested: DIR/staging/<merchant>/<class>/<name>, with its NUL, DIR as it was
 * given to bh_db_open(). Makes the directory. `name`: any that ends in .sst. The file is the caller's: a suspension and a resume
 * leave it where it is, a shred removes it; while the merchant is suspended none can be made there. *out is replaced. Errors:
 * BH_E_INVALID (the name), BH_E_FORMAT (something else is in the directory's place), BH_E_UNSUPPORTED (read-only), BH_E_NOMEM, and
 * those of a write. */
BH_API BH_MUST_CHECK bh_status bh_staging_path(bh_cf *cf, const char *name, bh_buf *out);

typedef struct bh_ingest_options {
	bool move; /* link the files in and remove them from where they were; else they are copied and stay */
} bh_ingest_options;

/* Brings `count` sorted files, made with bh_db_env() at bh_staging_path(), into the class: all or none, durable when the
 * call returns, newer than everything that was written before. NULL options mean the defaults. What was not moved is the
 * caller's to remove. Errors: BH_E_INVALID (no file, or one that lies elsewhere), BH_E_TAG (made for another class, or damaged),
 * BH_E_NO_KEY (made in another database), BH_E_FORMAT (not sealed), BH_E_IO (not there), BH_E_ROCKSDB (it holds nothing), and those
 * of a write. */
BH_API BH_MUST_CHECK bh_status bh_ingest(bh_cf *cf, const bh_ingest_options *options, const char *const *paths, size_t count);

/* ---- storage */
/* Memtable to SST, and waits. Errors: those of a write; BH_E_FULL (no room for it: nothing is lost, it is flushed when there is).
 */
BH_API BH_MUST_CHECK bh_status bh_flush(bh_cf *cf);
BH_API BH_MUST_CHECK bh_status bh_compact(bh_cf *cf, bh_view begin, bh_view end); /* key range, empty: open end; waits */
BH_API BH_MUST_CHECK bh_status bh_sync_wal(bh_db *db);                            /* every write so far is durable */

#ifdef __cplusplus
}
#endif
#endif
