/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h: the engines under test behind one table, so that every workload runs the same code over each of them.
 *
 * All of them are the same RocksDB in the same layout: one column family per merchant, each with a directory of its own, one block
 * cache for all.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <bulkhead/bulkhead.h>

typedef struct bench_config {
	const char *engine; /* one, or several by commas: by turns of turn_ms, each in a directory of its own in dir */
	unsigned turn_ms;
	const char *dir;
	const char *benchmarks; /* comma-separated */
	uint64_t num;           /* keys */
	uint64_t reads;         /* operations of read workloads; 0: num */
	size_t key_size;        /* bytes, at least 8 */
	size_t value_size;      /* bytes */
	unsigned threads;
	unsigned merchants;
	size_t cache_size;        /* bytes of block cache */
	size_t write_buffer_size; /* bytes, a column family */
	size_t batch_size;        /* entries in a batch of fillbatch and multireadrandom */
	size_t tombstone_width;   /* keys that one operation of deleterange deletes */
	size_t seek_nexts;        /* entries looked at behind each seek of seekrandom */
	unsigned read_percent;    /* reads among the operations of readrandomwriterandom and the mixed ones */
	double zipf_theta;        /* skew of mixedzipf: the k-th merchant's share is proportional to 1 / k^theta */
	uint64_t min_blob_size;   /* values of so many bytes or more go to blob files; 0: none do */
	const char *compression;  /* none, snappy, lz4, zstd */
	bool sync;
	bool direct; /* direct I/O for reads, flushes and compactions */
	bool json;
	bool histogram; /* print the distribution, too */
	uint64_t seed;
} bench_config;

typedef struct bench_store bench_store;

/* What an erasure did. */
typedef struct bench_erased {
	uint64_t rows;
	uint64_t files, bytes; /* rewritten */
} bench_erased;

/* A cursor over one merchant's keys. */
typedef struct bench_cursor bench_cursor;

/* Merchants are numbers below config->merchants. */
typedef struct bench_engine {
	/* `fresh`: makes the database, in a directory that holds none. On failure *out may be set, and close() is owed then. */
	bh_status (*open)(const bench_config *config, bool fresh, bench_store **out);
	void (*close)(bench_store *store);
	bh_status (*put)(bench_store *store, unsigned merchant, bh_view key, bh_view value, bool sync);
	bh_status (*get)(bench_store *store, unsigned merchant, bh_view key, bh_buf *value); /* BH_E_NO_SUCH_KEY */
	bh_status (*multi_get)(bench_store *store, unsigned merchant, size_t count, const bh_view *keys, bh_buf *values,
			       bh_status *found);
	bh_status (*put_batch)(bench_store *store, unsigned merchant, size_t count, const bh_view *keys, bh_view value, bool sync);
	bh_status (*delete_range)(bench_store *store, unsigned merchant, bh_view begin, bh_view end);
	bh_status (*cursor_open)(bench_store *store, unsigned merchant, bench_cursor **out);
	void (*cursor_close)(bench_cursor *cursor);
	bh_status (*seek)(bench_cursor *cursor, bh_view key); /* empty: the first */
	bh_status (*next)(bench_cursor *cursor);
	bh_status (*prev)(bench_cursor *cursor);
	bh_status (*last)(bench_cursor *cursor);
	bool (*valid)(bench_cursor *cursor);
	size_t (*entry)(bench_cursor *cursor); /* looks at key and value; their bytes */
	bh_status (*flush)(bench_store *store);
	bh_status (*compact)(bench_store *store);
	/* What only Bulkhead has; NULL elsewhere. */
	bh_status (*suspend)(bench_store *store, unsigned merchant);
	bh_status (*resume)(bench_store *store, unsigned merchant);
	bh_status (*shred)(bench_store *store, unsigned merchant);
	bh_status (*rotate)(bench_store *store, unsigned merchant); /* a new generation of its DEKs */
	bh_status (*erase)(bench_store *store, unsigned merchant, bh_view prefix, bench_erased *out); /* complete, or it fails */
	bh_status (*renew_cmk)(bench_store *store, unsigned merchant); /* at the KMS: a new version of its CMK */
	bh_status (*rewrap)(bench_store *store, unsigned merchant);    /* its DEKs, under the CMK's newest version */
} bench_engine;

extern const bench_engine bench_engine_rocksdb;  /* plain, and the rivals: RocksDB over an Env */
extern const bench_engine bench_engine_bulkhead; /* the whole product, gate and all */

/* RocksDB options as the configuration has them; the caller destroys them. */
rocksdb_options_t *bench_rocksdb_options(const bench_config *config);

/* Runs the configured benchmarks over `engine` and prints a line (or a JSON document) for each. */
BH_MUST_CHECK bh_status bench_run(const bench_config *config, const bench_engine *engine);

#endif
