/* SPDX-License-Identifier: Apache-2.0
 *
 * door_service.c: a data service for the tests of an open database's door: `door_service DIR MERCHANT [ADMIN-UID]` has DIR open,
 * with leases of LEASE_MS (from the environment) if that is said, and writes rows of MERCHANT, reading each back, until it is told
 * to end (SIGTERM). It says "serving" when it does, and at the end how many rows it wrote and how many calls failed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/bulkhead.h>

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static void print_line(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "door_service: %s\n", line);
}

static int failed(const char *what)
{
	fprintf(stderr, "door_service: %s: %s\n", what, bh_status_message());
	return 1;
}

/* A row, written and read. */
static bool one(bh_cf *cf, unsigned long number)
{
	char key[32];
	bh_buf value = { 0 };
	bool good;

	snprintf(key, sizeof(key), "row%08lu", number);
	good = bh_put(cf, NULL, bh_view_str(key), bh_view_str(key)) == BH_OK &&
	       bh_get(cf, NULL, bh_view_str(key), &value) == BH_OK && value.len == strlen(key) &&
	       memcmp(value.data, key, value.len) == 0;
	if (!good)
		(void)failed(key);
	bh_buf_clear(&value);
	return good;
}

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = end };
	unsigned long rows = 0, errors = 0;
	uint32_t admin = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	const char *lease = getenv("LEASE_MS");
	const bh_db_options options = { .log = print_line,
					.lease_ms = lease != NULL ? (uint32_t)strtoul(lease, NULL, 10) : 0,
					.admin_uids = &admin,
					.admin_uid_count = argc > 3 };
	bh_db *db = NULL;
	bh_cf *cf = NULL;

	if (argc < 3)
		return 2;
	sigaction(SIGTERM, &action, NULL);
	if (bh_db_open(argv[1], &options, &db) != BH_OK)
		return failed(argv[1]);
	if (bh_cf_open(db, argv[2], "data", &cf) != BH_OK)
		return failed(argv[2]);
	puts("serving");
	fflush(stdout);
	while (!ended) {
		errors += !one(cf, rows);
		rows++;
	}
	bh_cf_close(cf);
	bh_db_close(db);
	printf("rows %lu errors %lu\n", rows, errors);
	return errors == 0 ? 0 : 1;
}
