/* SPDX-License-Identifier: Apache-2.0
 *
 * adopt.c: rows of a plain RocksDB database come into classes of a Bulkhead database, by sorted files (docs/adopting.md).
 * cc -O2 -o adopt adopt.c $(pkg-config --cflags --libs bulkhead rocksdb)
 *
 *     adopt PLAIN-DIR DB-DIR FAMILY[:PREFIX]=MERCHANT/CLASS...
 *
 * Of each column family, the rows whose keys begin with PREFIX (all of them without it) are written to sorted files that are
 * sealed for the class, which are then ingested, all or none. At the end the class is compared with its source, row by row; that is
 * all that is done where the class has rows already. The plain database is only read, and nobody may write to either meanwhile.
 */
#include <bulkhead/bulkhead.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define FILE_BYTES (64u << 20)
#define FILES_MAX 100000

typedef struct plain_db {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *read;
	size_t count; /* of families */
	char **names;
	rocksdb_column_family_handle_t **handles;
} plain_db;

/* One FAMILY[:PREFIX]=MERCHANT/CLASS, cut into its words. */
typedef struct mapping {
	char *family, *prefix, *merchant, *cls;
} mapping;

static void must(bh_status status)
{
	if (status == BH_OK)
		return;
	fprintf(stderr, "adopt: %s: %s\n", bh_status_name(status), bh_status_message());
	exit(bh_status_exit_code(status));
}

static void rocks(char *error)
{
	must(bh_status_of_rocksdb(error));
}

static void refuse(const char *what, const char *name)
{
	fprintf(stderr, "adopt: %s: %s\n", name, what);
	exit(2);
}

static mapping parse(char *text)
{
	mapping m = { .family = text, .prefix = "" };
	char *to = strrchr(text, '='), *slash = to != NULL ? strchr(to, '/') : NULL, *colon;

	if (slash == NULL)
		refuse("not FAMILY[:PREFIX]=MERCHANT/CLASS", text);
	*to = '\0';
	*slash = '\0';
	m.merchant = to + 1;
	m.cls = slash + 1;
	colon = strchr(text, ':');
	if (colon != NULL) {
		*colon = '\0';
		m.prefix = colon + 1;
	}
	return m;
}

/* ---- the source */

static plain_db plain_open(const char *dir)
{
	plain_db plain = { .options = rocksdb_options_create(), .read = rocksdb_readoptions_create() };
	const rocksdb_options_t **options;
	char *error = NULL;

	rocksdb_readoptions_set_fill_cache(plain.read, 0);
	rocksdb_readoptions_set_readahead_size(plain.read, 2u << 20);
	rocksdb_readoptions_set_total_order_seek(plain.read, 1);
	plain.names = rocksdb_list_column_families(plain.options, dir, &plain.count, &error);
	rocks(error);
	plain.handles = calloc(plain.count, sizeof(*plain.handles));
	options = calloc(plain.count, sizeof(*options));
	for (size_t i = 0; i < plain.count; i++)
		options[i] = plain.options;
	plain.db = rocksdb_open_for_read_only_column_families(plain.options, dir, (int)plain.count,
							      (const char *const *)plain.names, options, plain.handles, 0, &error);
	rocks(error);
	free(options);
	return plain;
}

static void plain_close(plain_db *plain)
{
	for (size_t i = 0; i < plain->count; i++)
		rocksdb_column_family_handle_destroy(plain->handles[i]);
	free(plain->handles);
	rocksdb_list_column_families_destroy(plain->names, plain->count);
	rocksdb_close(plain->db);
	rocksdb_readoptions_destroy(plain->read);
	rocksdb_options_destroy(plain->options);
}

/* Stands on the first row of the prefix. */
static rocksdb_iterator_t *source_of(const plain_db *plain, const mapping *m)
{
	rocksdb_iterator_t *rows;
	size_t i = 0;

	while (i < plain->count && strcmp(plain->names[i], m->family) != 0)
		i++;
	if (i == plain->count)
		refuse("the plain database has no such column family", m->family);
	rows = rocksdb_create_iterator_cf(plain->db, plain->read, plain->handles[i]);
	rocksdb_iter_seek(rows, m->prefix, strlen(m->prefix));
	return rows;
}

/* The row, or false behind the last one. */
static bool source_row(rocksdb_iterator_t *rows, const char *prefix, bh_view *key, bh_view *value)
{
	char *error = NULL;

	if (!rocksdb_iter_valid(rows)) {
		rocksdb_iter_get_error(rows, &error);
		rocks(error);
		return false;
	}
	key->data = (const uint8_t *)rocksdb_iter_key(rows, &key->len);
	value->data = (const uint8_t *)rocksdb_iter_value(rows, &value->len);
	return key->len >= strlen(prefix) && memcmp(key->data, prefix, strlen(prefix)) == 0;
}

/* ---- sorted files */

static char *file_path(bh_cf *cf, size_t number)
{
	char name[32], *path;
	bh_buf place = { 0 };

	snprintf(name, sizeof(name), "adopt-%06zu.sst", number);
	must(bh_staging_path(cf, name, &place));
	path = strdup((const char *)place.data);
	bh_buf_clear(&place);
	return path;
}

/* Rows from where `rows` stands, until the file is full or there are no more. */
static void write_file(rocksdb_sstfilewriter_t *writer, const char *path, rocksdb_iterator_t *rows, const char *prefix)
{
	bh_view key, value;
	uint64_t size = 0;
	char *error = NULL;

	rocksdb_sstfilewriter_open(writer, path, &error);
	rocks(error);
	for (; size < FILE_BYTES && source_row(rows, prefix, &key, &value); rocksdb_iter_next(rows)) {
		rocksdb_sstfilewriter_put(writer, (const char *)key.data, key.len, (const char *)value.data, value.len, &error);
		rocks(error);
		rocksdb_sstfilewriter_file_size(writer, &size);
	}
	rocksdb_sstfilewriter_finish(writer, &error);
	rocks(error);
}

/* The rows, into files that wait to be ingested into the class, sealed for it by the database's Env. */
static size_t write_files(bh_db *db, bh_cf *cf, const mapping *m, rocksdb_iterator_t *rows, char **paths)
{
	rocksdb_envoptions_t *env_options = rocksdb_envoptions_create();
	rocksdb_options_t *options = rocksdb_options_create();
	bh_view key, value;
	size_t count = 0;

	rocksdb_options_set_env(options, bh_db_env(db));
	rocksdb_options_set_compression(options, rocksdb_zstd_compression);
	for (; source_row(rows, m->prefix, &key, &value); count++) {
		rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(env_options, options);

		if (count == FILES_MAX)
			refuse("too large for one ingestion: map parts of it, by prefix", m->family);
		paths[count] = file_path(cf, count + 1);
		write_file(writer, paths[count], rows, m->prefix);
		rocksdb_sstfilewriter_destroy(writer);
	}
	rocksdb_options_destroy(options);
	rocksdb_envoptions_destroy(env_options);
	return count;
}

static void bring(const plain_db *plain, bh_db *db, bh_cf *cf, const mapping *m)
{
	const bh_ingest_options move = { .move = true };
	rocksdb_iterator_t *rows = source_of(plain, m);
	char **paths = calloc(FILES_MAX, sizeof(*paths));
	size_t count = write_files(db, cf, m, rows, paths);

	if (count > 0)
		must(bh_ingest(cf, &move, (const char *const *)paths, count));
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
	rocksdb_iter_destroy(rows);
}

/* ---- what came of it */

static bool same(bh_view a, bh_view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool has_rows(bh_cf *cf)
{
	bh_iter *iter;
	bool found;

	must(bh_iter_new(cf, NULL, &iter));
	must(bh_iter_first(iter));
	found = bh_iter_valid(iter);
	bh_iter_free(iter);
	return found;
}

/* Every row of the source is in the class, and no other. */
static void compare(const plain_db *plain, bh_cf *cf, const mapping *m, uint64_t *rows_out, uint64_t *bytes_out)
{
	rocksdb_iterator_t *rows = source_of(plain, m);
	bh_view key, value, got_key, got_value;
	bh_iter *iter;

	must(bh_iter_new(cf, NULL, &iter));
	must(bh_iter_first(iter));
	for (; source_row(rows, m->prefix, &key, &value); rocksdb_iter_next(rows)) {
		if (!bh_iter_valid(iter))
			refuse("rows are missing in the class", m->family);
		must(bh_iter_entry(iter, &got_key, &got_value));
		if (!same(key, got_key) || !same(value, got_value))
			refuse("the class has other rows", m->family);
		*rows_out += 1;
		*bytes_out += key.len + value.len;
		must(bh_iter_next(iter));
	}
	if (bh_iter_valid(iter))
		refuse("the class has more rows", m->family);
	bh_iter_free(iter);
	rocksdb_iter_destroy(rows);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void adopt(const plain_db *plain, bh_db *db, char *text)
{
	const mapping m = parse(text);
	uint64_t rows = 0, bytes = 0;
	double began = now_s(), brought;
	bh_cf *cf;

	must(bh_cf_open(db, m.merchant, m.cls, &cf));
	if (!has_rows(cf))
		bring(plain, db, cf, &m);
	brought = now_s();
	compare(plain, cf, &m, &rows, &bytes);
	printf("%s -> %s/%s: %llu rows, %llu bytes, in %.1f s, compared in %.1f s\n", m.family, m.merchant, m.cls,
	       (unsigned long long)rows, (unsigned long long)bytes, brought - began, now_s() - brought);
	bh_cf_close(cf);
}

/* Files are open all at once while they are ingested. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	plain_db plain;
	bh_db *db;

	if (argc < 4)
		refuse("PLAIN-DIR DB-DIR FAMILY[:PREFIX]=MERCHANT/CLASS...", "usage");
	raise_descriptors();
	plain = plain_open(argv[1]);
	must(bh_db_open(argv[2], NULL, &db));
	for (int i = 3; i < argc; i++)
		adopt(&plain, db, argv[i]);
	bh_db_close(db);
	plain_close(&plain);
	return 0;
}
