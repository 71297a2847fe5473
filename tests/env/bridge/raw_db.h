/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_db.h: a Bulkhead database driven as RocksDB's own: opened by the C API through bh_env_create(), with or without transactions.
 * For what bulkhead/db.h does not offer: every option, every kind of record.
 *
 * Seven families: the default one, and classes x and y of the merchants a, b and c.
 *
 * Thread-safety: raw_write and the readers may be called from many threads.
 */
#ifndef BH_TESTS_RAW_DB_H
#define BH_TESTS_RAW_DB_H

#include "tests/support/harness.h"

enum { RAW_FAMILIES = 7 };

/* RocksDB's TxnDBWritePolicy. */
typedef enum raw_policy {
	RAW_WRITE_COMMITTED = 0,
	RAW_WRITE_PREPARED = 1,
	RAW_WRITE_UNPREPARED = 2,
} raw_policy;

typedef struct raw_db {
	rocksdb_env_t *env;
	rocksdb_options_t *options; /* of the default family */
	rocksdb_column_family_handle_t *family[RAW_FAMILIES];
	rocksdb_t *db; /* one of these two */
	rocksdb_transactiondb_t *txn;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write, *write_sync;
} raw_db;

/* Makes the database and its merchants. */
void raw_create(const workspace *ws);
/* Opens it; `changes` is an option string for the database and all its families (harness.h), NULL: none. */
void raw_open(const workspace *ws, const char *changes, raw_db *out);
void raw_open_txn(const workspace *ws, const char *changes, raw_policy policy, raw_db *out);
void raw_close(raw_db *raw);

/* Writes and frees the batch. */
void raw_write(raw_db *raw, bool sync, rocksdb_writebatch_t *batch);
void raw_put(raw_db *raw, int family, const char *key, const char *value);
void raw_flush(raw_db *raw, int family);
void raw_compact(raw_db *raw, int family); /* without transactions alone */
void raw_sync_wal(raw_db *raw, bool sync); /* false: hands to the system what manual_wal_flush held back */

/* The value; NULL where there is none. Released with rocksdb_free(). */
char *raw_get(raw_db *raw, int family, bh_view key, size_t *len_out);
/* The family holds exactly this value; NULL data: none. */
void raw_expect(raw_db *raw, int family, bh_view key, bh_view value);
void raw_expect_str(raw_db *raw, int family, const char *key, const char *value); /* NULL: not there */
size_t raw_count(raw_db *raw, int family);                                        /* rows, by an iterator */

/* `len` bytes that `seed` decides. Free with free(). */
char *raw_pattern(uint64_t seed, size_t len);

#endif
