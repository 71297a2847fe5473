/* SPDX-License-Identifier: Apache-2.0
 *
 * bh_bench.c: the command line of the benchmark; names and flags follow db_bench where it has them.
 */
#include "store.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const bench_engine *const engines[] = { &bench_engine_plain, &bench_engine_bulkhead };

const bench_engine *bench_engine_find(const char *name)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	return NULL;
}

rocksdb_options_t *bench_rocksdb_options(const bench_config *config)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(config->cache_size);
	bool zstd = strcmp(config->compression, "zstd") == 0;

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_options_set_compression(options, zstd ? rocksdb_zstd_compression : rocksdb_no_compression);
	rocksdb_options_set_write_buffer_size(options, config->write_buffer_size);
	rocksdb_options_set_use_direct_reads(options, config->direct);
	rocksdb_options_set_use_direct_io_for_flush_and_compaction(options, config->direct);
	rocksdb_cache_destroy(cache);
	rocksdb_block_based_options_destroy(table);
	return options;
}

static const char usage[] =
	"usage: bh_bench --db=DIR [flags]\n"
	"  --engine=plain|bulkhead       what runs the benchmarks (bulkhead)\n"
	"  --benchmarks=A,B,...          in this order (fillrandom,readrandom): fillseq fillrandom fillsync fillbatch\n"
	"                                overwrite readrandom readmissing multireadrandom readseq\n"
	"                                readreverse seekrandom readwhilewriting\n"
	"                                compact; a fill makes the database anew, the others use what is there\n"
	"  --num=N                       keys (1000000)          --reads=N         operations of read benchmarks (num)\n"
	"  --key_size=N                  bytes (16)              --value_size=N    bytes (100)\n"
	"  --threads=N                   (1)                     --merchants=N     column families, keys spread over them (1)\n"
	"  --cache_size=N                bytes (8388608)         --write_buffer_size=N  bytes (67108864)\n"
	"  --batch_size=N                of fillbatch, multireadrandom (100)\n"
	"  --compression_type=none|zstd  (zstd)                  --use_direct_io   --sync   --seed=N   --json\n";

enum {
	OPT_ENGINE = 1,
	OPT_DB,
	OPT_BENCHMARKS,
	OPT_NUM,
	OPT_READS,
	OPT_KEY_SIZE,
	OPT_VALUE_SIZE,
	OPT_THREADS,
	OPT_MERCHANTS,
	OPT_CACHE,
	OPT_BUFFER,
	OPT_BATCH,
	OPT_COMPRESSION,
	OPT_DIRECT,
	OPT_SYNC,
	OPT_SEED,
	OPT_JSON,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "engine", required_argument, NULL, OPT_ENGINE },
	{ "db", required_argument, NULL, OPT_DB },
	{ "benchmarks", required_argument, NULL, OPT_BENCHMARKS },
	{ "num", required_argument, NULL, OPT_NUM },
	{ "reads", required_argument, NULL, OPT_READS },
	{ "key_size", required_argument, NULL, OPT_KEY_SIZE },
	{ "value_size", required_argument, NULL, OPT_VALUE_SIZE },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "merchants", required_argument, NULL, OPT_MERCHANTS },
	{ "cache_size", required_argument, NULL, OPT_CACHE },
	{ "write_buffer_size", required_argument, NULL, OPT_BUFFER },
	{ "batch_size", required_argument, NULL, OPT_BATCH },
	{ "compression_type", required_argument, NULL, OPT_COMPRESSION },
	{ "use_direct_io", no_argument, NULL, OPT_DIRECT },
	{ "sync", no_argument, NULL, OPT_SYNC },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "bh_bench: '%s' is not a number\n", text);
		exit(2);
	}
	return value;
}

static void set_option(bench_config *config, int opt, const char *arg)
{
	switch (opt) {
	case OPT_ENGINE: config->engine = arg; break;
	case OPT_DB: config->dir = arg; break;
	case OPT_BENCHMARKS: config->benchmarks = arg; break;
	case OPT_NUM: config->num = number(arg); break;
	case OPT_READS: config->reads = number(arg); break;
	case OPT_KEY_SIZE: config->key_size = number(arg); break;
	case OPT_VALUE_SIZE: config->value_size = number(arg); break;
	case OPT_THREADS: config->threads = (unsigned)number(arg); break;
	case OPT_MERCHANTS: config->merchants = (unsigned)number(arg); break;
	case OPT_CACHE: config->cache_size = number(arg); break;
	case OPT_BUFFER: config->write_buffer_size = number(arg); break;
	case OPT_BATCH: config->batch_size = number(arg); break;
	case OPT_COMPRESSION: config->compression = arg; break;
	case OPT_DIRECT: config->direct = true; break;
	case OPT_SYNC: config->sync = true; break;
	case OPT_SEED: config->seed = number(arg); break;
	case OPT_JSON: config->json = true; break;
	case OPT_HELP: fputs(usage, stdout); exit(0);
	default: fputs(usage, stderr); exit(2);
	}
}

int main(int argc, char **argv)
{
	bench_config config = {
		.engine = "bulkhead",
		.benchmarks = "fillrandom,readrandom",
		.num = 1000000,
		.key_size = 16,
		.value_size = 100,
		.threads = 1,
		.merchants = 1,
		.cache_size = 8 << 20,
		.write_buffer_size = 64 << 20,
		.batch_size = 100,
		.compression = "zstd",
		.seed = 1,
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&config, opt, optarg);
	if (config.dir == NULL || bench_engine_find(config.engine) == NULL || config.key_size < 8 || config.threads == 0 ||
	    config.merchants == 0 || config.num == 0 || config.batch_size == 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (config.reads == 0)
		config.reads = config.num;
	if (bench_run(&config) != BH_OK) {
		fprintf(stderr, "bh_bench: %s\n", bh_status_message());
		return 1;
	}
	return 0;
}
