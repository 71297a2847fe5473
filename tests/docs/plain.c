/* SPDX-License-Identifier: Apache-2.0
 *
 * plain.c: the plain RocksDB database that adopting.sh brings over. `plain make DIR ROWS` makes one: the families "default" and
 * "events", with rows of two merchants by prefix in the first; rows that were overwritten, deleted one by one and by range, that
 * are empty, binary, large; the last ones in the log alone. `plain rows DIR FAMILY PREFIX` prints its rows as bhctl's scan --hex.
 */
#include <rocksdb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(char *error)
{
	if (error == NULL)
		return;
	fprintf(stderr, "plain: %s\n", error);
	exit(1);
}

static rocksdb_t *open_both(const char *dir, rocksdb_column_family_handle_t *handles[2])
{
	const char *const names[] = { "default", "events" };
	rocksdb_options_t *options = rocksdb_options_create();
	const rocksdb_options_t *each[] = { options, options };
	char *error = NULL;
	rocksdb_t *db;

	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_create_missing_column_families(options, 1);
	rocksdb_options_set_write_buffer_size(options, 1 << 20);
	db = rocksdb_open_column_families(options, dir, 2, names, each, handles, &error);
	must(error);
	rocksdb_options_destroy(options);
	return db;
}

static void put(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const char *key, size_t key_len, size_t value_len)
{
	rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
	char *value = malloc(value_len + 1), *error = NULL;

	for (size_t i = 0; i < value_len; i++)
		value[i] = (char)(key[i % key_len] + i * 7);
	rocksdb_put_cf(db, options, cf, key, key_len, value, value_len, &error);
	must(error);
	free(value);
	rocksdb_writeoptions_destroy(options);
}

static void put_rows(rocksdb_t *db, rocksdb_column_family_handle_t *cf, const char *merchant, int count)
{
	char key[64];

	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof(key), "%s:%07d", merchant, i * 7 % count);
		put(db, cf, key, strlen(key), (size_t)i % 200);
	}
}

static void make(const char *dir, int rows)
{
	rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
	rocksdb_column_family_handle_t *handles[2];
	rocksdb_t *db = open_both(dir, handles);
	char *error = NULL;

	put_rows(db, handles[0], "acme", rows);
	put_rows(db, handles[0], "blue", rows);
	put_rows(db, handles[0], "acme", rows / 2);
	rocksdb_delete_range_cf(db, options, handles[0], "acme:0000100", 12, "acme:0000200", 12, &error);
	must(error);
	rocksdb_delete_cf(db, options, handles[0], "blue:0000001", 12, &error);
	must(error);
	put(db, handles[0], "blue:\0\xff\n\t", 9, 3);
	put(db, handles[1], "large", 5, 3 << 20);
	put(db, handles[1], "in the log alone", 16, 5);
	for (int i = 0; i < 2; i++)
		rocksdb_column_family_handle_destroy(handles[i]);
	rocksdb_close(db);
	rocksdb_writeoptions_destroy(options);
}

static void print_hex(const char *data, size_t len, char end)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", (unsigned char)data[i]);
	putchar(end);
}

static void print_rows(const char *dir, const char *family, const char *prefix)
{
	rocksdb_readoptions_t *options = rocksdb_readoptions_create();
	rocksdb_column_family_handle_t *handles[2];
	rocksdb_t *db = open_both(dir, handles);
	rocksdb_iterator_t *rows = rocksdb_create_iterator_cf(db, options, handles[strcmp(family, "events") == 0]);

	for (rocksdb_iter_seek(rows, prefix, strlen(prefix)); rocksdb_iter_valid(rows); rocksdb_iter_next(rows)) {
		size_t key_len, value_len;
		const char *key = rocksdb_iter_key(rows, &key_len), *value = rocksdb_iter_value(rows, &value_len);

		if (key_len < strlen(prefix) || memcmp(key, prefix, strlen(prefix)) != 0)
			break;
		print_hex(key, key_len, '\t');
		print_hex(value, value_len, '\n');
	}
	rocksdb_iter_destroy(rows);
	for (int i = 0; i < 2; i++)
		rocksdb_column_family_handle_destroy(handles[i]);
	rocksdb_close(db);
	rocksdb_readoptions_destroy(options);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0)
		make(argv[2], atoi(argv[3]));
	else if (argc == 5 && strcmp(argv[1], "rows") == 0)
		print_rows(argv[2], argv[3], argv[4]);
	else
		return 2;
	return 0;
}
