/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.c: what a database takes of a process's limits. `limits MERCHANTS` makes one with so many merchants of two classes, a row
 * in an SST in each, and prints the descriptors that this took, and the locked KiB.
 */
#include <bulkhead/bulkhead.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static void must(bh_status status)
{
	if (status == BH_OK)
		return;
	fprintf(stderr, "%s\n", bh_status_message());
	exit(bh_status_exit_code(status));
}

/* Those of the walk itself, and ".", "..", not counted. */
static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static long locked_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	fclose(file);
	return kib;
}

static void add_row(bh_db *db, const char *merchant, const char *cls)
{
	bh_cf *cf;

	must(bh_cf_open(db, merchant, cls, &cf));
	must(bh_put(cf, NULL, bh_view_str("key"), bh_view_str("value")));
	must(bh_flush(cf));
	bh_cf_close(cf);
}

static void add(bh_db *db, int number)
{
	const char *const classes[] = { "a", "b" };
	const bh_merchant_options options = { .classes = classes, .class_count = 2 };
	char name[32], uri[64];

	snprintf(name, sizeof(name), "m%d", number);
	snprintf(uri, sizeof(uri), "local:kms#%s", name);
	must(bh_kms_create(uri, "eu", NULL));
	must(bh_merchant_add(db, name, uri, &options));
	add_row(db, name, "a");
	add_row(db, name, "b");
}

int main(int argc, char **argv)
{
	int merchants = argc > 1 ? atoi(argv[1]) : 0, before = descriptors();
	bh_db *db;

	must(bh_kms_create("local:kms#platform", "eu", NULL));
	must(bh_db_create("db", "eu", "local:kms#platform", NULL));
	must(bh_db_open("db", NULL, &db));
	for (int i = 0; i < merchants; i++)
		add(db, i);
	printf("%d %ld\n", descriptors() - before, locked_kib());
	bh_db_close(db);
	return 0;
}
