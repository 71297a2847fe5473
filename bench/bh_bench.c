/* SPDX-License-Identifier: Apache-2.0
 *
 * bh_bench.c: the command line of the benchmark; names and flags follow db_bench where it has them.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "keyring/base/base.h"
#include "store.h"
#include "tools/hide.h"
#include "turns.h"

static const struct engine {
	const char *name;
	const bench_engine *engine;
	const char *aead; /* what BH_AEAD has to be; NULL: as it is */
} engines[] = {
	{ "plain", &bench_engine_rocksdb, NULL },
	{ "stock-ctr", &bench_engine_rocksdb, NULL },
	{ "evp-ctr", &bench_engine_rocksdb, NULL },
	{ "bulkhead", &bench_engine_bulkhead, NULL },
	{ "bulkhead-openssl", &bench_engine_bulkhead, "openssl" },
	{ "bulkhead-ipsec-mb", &bench_engine_bulkhead, "ipsec-mb" },
};

#define ENGINE_COUNT (sizeof(engines) / sizeof(engines[0]))

static const struct engine *find_engine(const char *name, size_t len)
{
	for (size_t i = 0; i < ENGINE_COUNT; i++)
		if (strlen(engines[i].name) == len && memcmp(engines[i].name, name, len) == 0)
			return &engines[i];
	return NULL;
}

/* Those of a list by commas; 0: one of them is unknown, or there are too many. */
static unsigned find_engines(const char *list, const struct engine *out[ENGINE_COUNT])
{
	unsigned count = 0;

	for (const char *name = list;; name++) {
		size_t len = strcspn(name, ",");

		if (count == ENGINE_COUNT || (out[count++] = find_engine(name, len)) == NULL)
			return 0;
		name += len;
		if (*name == '\0')
			return count;
	}
}

static const struct compression {
	const char *name;
	int value;
} compressions[] = {
	{ "none", rocksdb_no_compression },
	{ "snappy", rocksdb_snappy_compression },
	{ "lz4", rocksdb_lz4_compression },
	{ "zstd", rocksdb_zstd_compression },
};

static const struct compression *find_compression(const char *name)
{
	for (size_t i = 0; i < sizeof(compressions) / sizeof(compressions[0]); i++)
		if (strcmp(compressions[i].name, name) == 0)
			return &compressions[i];
	return NULL;
}

rocksdb_options_t *bench_rocksdb_options(const bench_config *config)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_cache_t *cache = rocksdb_cache_create_lru(config->cache_size);

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_options_set_compression(options, find_compression(config->compression)->value);
	rocksdb_options_set_write_buffer_size(options, config->write_buffer_size);
	rocksdb_options_set_enable_blob_files(options, config->min_blob_size > 0);
	rocksdb_options_set_min_blob_size(options, config->min_blob_size);
	rocksdb_options_set_use_direct_reads(options, config->direct);
	rocksdb_options_set_use_direct_io_for_flush_and_compaction(options, config->direct);
	rocksdb_cache_destroy(cache);
	rocksdb_block_based_options_destroy(table);
	return options;
}

static const char usage[] =
	"usage: bh_bench --db=DIR [flags]\n"
	"  --engine=NAME                 what runs the benchmarks (bulkhead): plain, stock-ctr, evp-ctr, bulkhead, or\n"
	"                                bulkhead-openssl, bulkhead-ipsec-mb: with that AEAD. Several, by commas: by turns,\n"
	"                                each in a process and in DIR/NAME\n"
	"  --turn_ms=N                   (20)\n"
	"  --benchmarks=A,B,...          in this order (fillrandom,readrandom):\n"
	"    fillseq fillrandom fillsync fillbatch        make the database anew in an empty DIR; the others use what is there\n"
	"    overwrite deleterange compact                \n"
	"    readrandom readmissing multireadrandom readseq readreverse seekrandom\n"
	"    readwhilewriting readrandomwriterandom\n"
	"    mixeduniform mixedzipf                       readrandomwriterandom over merchants, alike or by Zipf's law\n"
	"    open                                         closes and opens; tells the memory that an open database takes\n"
	"    suspend resume shred rotate rewrap erase     every merchant (Bulkhead alone); erase: the rows of one prefix\n"
	"    gate                                         enter and leave a merchant's gate (no database)\n"
	"  --num=N                       keys (1000000)          --reads=N         operations of read benchmarks (num)\n"
	"  --key_size=N                  bytes, from 8 (16)      --value_size=N    bytes (100)\n"
	"  --threads=N                   share the operations (1)\n"
	"  --merchants=N                 column families, keys spread over them (1)\n"
	"  --cache_size=N                bytes (8388608)         --write_buffer_size=N  bytes a family (67108864)\n"
	"  --batch_size=N                of fillbatch, multireadrandom (100)\n"
	"  --range_tombstone_width=N     keys that each of deleterange's num / N / 10 operations deletes (100)\n"
	"  --seek_nexts=N                of seekrandom (0)\n"
	"  --readwritepercent=N          reads among reads and writes (90)\n"
	"  --zipf_theta=X                of mixedzipf (0.99)\n"
	"  --min_blob_size=N             values of N bytes or more go to blob files (0: none do)\n"
	"  --compression_type=NAME       none, snappy, lz4, zstd (zstd)\n"
	"  --use_direct_io   --sync   --histogram   --json   --seed=N\n";

enum {
	OPT_ENGINE = 1,
	OPT_TURN,
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
	OPT_TOMBSTONE,
	OPT_NEXTS,
	OPT_PERCENT,
	OPT_THETA,
	OPT_MIN_BLOB,
	OPT_COMPRESSION,
	OPT_DIRECT,
	OPT_SYNC,
	OPT_HISTOGRAM,
	OPT_SEED,
	OPT_JSON,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "engine", required_argument, NULL, OPT_ENGINE },
	{ "turn_ms", required_argument, NULL, OPT_TURN },
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
	{ "range_tombstone_width", required_argument, NULL, OPT_TOMBSTONE },
	{ "seek_nexts", required_argument, NULL, OPT_NEXTS },
	{ "readwritepercent", required_argument, NULL, OPT_PERCENT },
	{ "zipf_theta", required_argument, NULL, OPT_THETA },
	{ "min_blob_size", required_argument, NULL, OPT_MIN_BLOB },
	{ "compression_type", required_argument, NULL, OPT_COMPRESSION },
	{ "use_direct_io", no_argument, NULL, OPT_DIRECT },
	{ "sync", no_argument, NULL, OPT_SYNC },
	{ "histogram", no_argument, NULL, OPT_HISTOGRAM },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static void bad_number(const char *text)
{
	fprintf(stderr, "bh_bench: '%s' is not a number that fits here\n", text);
	exit(2);
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0')
		bad_number(text);
	return value;
}

static unsigned small_number(const char *text)
{
	uint64_t value = number(text);

	if (value > 1000000)
		bad_number(text);
	return (unsigned)value;
}

static double fraction(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || !(value >= 0 && value <= 10))
		bad_number(text);
	return value;
}

static void set_option(bench_config *config, int opt, const char *arg)
{
	switch (opt) {
	case OPT_ENGINE: config->engine = arg; break;
	case OPT_TURN: config->turn_ms = small_number(arg); break;
	case OPT_DB: config->dir = arg; break;
	case OPT_BENCHMARKS: config->benchmarks = arg; break;
	case OPT_NUM: config->num = number(arg); break;
	case OPT_READS: config->reads = number(arg); break;
	case OPT_KEY_SIZE: config->key_size = number(arg); break;
	case OPT_VALUE_SIZE: config->value_size = number(arg); break;
	case OPT_THREADS: config->threads = small_number(arg); break;
	case OPT_MERCHANTS: config->merchants = small_number(arg); break;
	case OPT_CACHE: config->cache_size = number(arg); break;
	case OPT_BUFFER: config->write_buffer_size = number(arg); break;
	case OPT_BATCH: config->batch_size = small_number(arg); break;
	case OPT_TOMBSTONE: config->tombstone_width = small_number(arg); break;
	case OPT_NEXTS: config->seek_nexts = small_number(arg); break;
	case OPT_PERCENT: config->read_percent = small_number(arg); break;
	case OPT_THETA: config->zipf_theta = fraction(arg); break;
	case OPT_MIN_BLOB: config->min_blob_size = number(arg); break;
	case OPT_COMPRESSION: config->compression = arg; break;
	case OPT_DIRECT: config->direct = true; break;
	case OPT_SYNC: config->sync = true; break;
	case OPT_HISTOGRAM: config->histogram = true; break;
	case OPT_SEED: config->seed = number(arg); break;
	case OPT_JSON: config->json = true; break;
	case OPT_HELP: fputs(usage, stdout); exit(0);
	default: fputs(usage, stderr); exit(2);
	}
}

/* What is wrong; NULL: nothing. */
static const char *refuse(const bench_config *c)
{
	const struct engine *found[ENGINE_COUNT];
	const struct {
		bool broken;
		const char *what;
	} rules[] = {
		{ c->dir == NULL, "--db is missing" },
		{ find_engines(c->engine, found) == 0, "no such --engine" },
		{ c->turn_ms == 0, "--turn_ms is 0" },
		{ find_compression(c->compression) == NULL, "no such --compression_type" },
		{ c->num == 0, "--num is 0" },
		{ c->key_size < 8 || c->key_size > 65536, "--key_size is not 8 to 65536" },
		{ c->value_size > 524288, "--value_size is above 524288" },
		{ c->threads == 0 || c->threads > c->num, "--threads is not 1 to --num" },
		{ c->merchants == 0, "--merchants is 0" },
		{ c->batch_size == 0, "--batch_size is 0" },
		{ c->tombstone_width == 0, "--range_tombstone_width is 0" },
		{ c->read_percent > 100, "--readwritepercent is above 100" },
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].broken)
			return rules[i].what;
	return NULL;
}

static bool run_engine(const bench_config *config, const struct engine *engine)
{
	if (engine->aead != NULL)
		(void)setenv("BH_AEAD", engine->aead, 1);
	if (bench_run(config, engine->engine) == BH_OK)
		return true;
	fprintf(stderr, "bh_bench: %s: %s\n", engine->name, bh_status_message());
	return false;
}

typedef struct several {
	const bench_config *config;
	const struct engine *engines[ENGINE_COUNT];
} several;

static bool run_one_of(void *arg, unsigned i)
{
	const several *s = arg;
	bench_config config = *s->config;
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s/%s", config.dir, s->engines[i]->name);
	config.dir = dir;
	config.engine = s->engines[i]->name;
	return run_engine(&config, s->engines[i]);
}

static bool run_engines(const bench_config *config)
{
	several s = { .config = config };
	unsigned count = find_engines(config->engine, s.engines);

	return count == 1 ? run_engine(config, s.engines[0]) : bench_turns(count, config->turn_ms, run_one_of, &s);
}

int main(int argc, char **argv)
{
	bench_config config = {
		.engine = "bulkhead",
		.benchmarks = "fillrandom,readrandom",
		.turn_ms = 20,
		.num = 1000000,
		.key_size = 16,
		.value_size = 100,
		.threads = 1,
		.merchants = 1,
		.cache_size = 8 << 20,
		.write_buffer_size = 64 << 20,
		.batch_size = 100,
		.tombstone_width = 100,
		.read_percent = 90,
		.zipf_theta = 0.99,
		.compression = "zstd",
		.seed = 1,
	};
	const char *wrong;
	int opt;

	if (!tool_hide())
		return 1;
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&config, opt, optarg);
	wrong = optind < argc ? "there are flags alone" : refuse(&config);
	if (wrong != NULL) {
		fprintf(stderr, "bh_bench: %s; see --help\n", wrong);
		return 2;
	}
	if (config.reads == 0)
		config.reads = config.num;
	return run_engines(&config) ? 0 : 1;
}
