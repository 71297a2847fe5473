/* SPDX-License-Identifier: Apache-2.0
 *
 * options_file.c: RocksDB's OPTIONS file is written when nobody waits for it.
 *
 * RocksDB writes it anew, all column families in it, whenever one is made or dropped, and reads it back to check it: 0.25 ms for
 * each family there is, in which 7.8 lets no writer in, and no version whoever wants to make or drop one. So it is held back while
 * merchants come and go, and written when the database is closed; an open writes it in any case. After a kill it names families of
 * the past until then: it is for tools and people, RocksDB itself goes by the MANIFEST.
 */
#include "options_file.h"

#include <bulkhead/env.h>

#include <stdlib.h>
#include <string.h>
#include <stdatomic.h>

#include "env/bridge/bridge.h"
#include "env/bridge/options.h"
#include "files.h"

void bh_options_file_hold(bh_db *db)
{
	if (bh_bridge_options_file_must_be_written(db->options))
		return;
	atomic_store(&db->options_behind, true);
	bh_fs_hold_options_file(true);
}

void bh_options_file_release(void)
{
	bh_fs_hold_options_file(false);
}

static bh_status note_newest(void *arg, const char *name)
{
	static const char prefix[] = "OPTIONS-";
	uint64_t *newest = arg, number;
	char *end;

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return BH_OK;
	number = strtoull(name + strlen(prefix), &end, 10);
	if (*end == '\0') /* else it has a temporary name */
		*newest = BH_MAX(*newest, number);
	return BH_OK;
}

bh_status bh_options_file_newest(const bh_db *db, uint64_t *number_out)
{
	*number_out = 0;
	return bh_dir_each(db->dir, note_newest, number_out);
}

/* 0, too, where nobody can tell. */
static uint64_t newest(const bh_db *db)
{
	uint64_t number;

	return bh_options_file_newest(db, &number) == BH_OK ? number : 0;
}

void bh_options_file_write(bh_db *db)
{
	static const char *const key = "report_bg_io_stats";
	const char *value = rocksdb_options_get_report_bg_io_stats(db->options) ? "true" : "false";
	const uint64_t before = newest(db);
	char *error = NULL;
	bh_status status;

	if (!atomic_load(&db->options_behind))
		return;
	/* What is set is what it is: setting anything has the file written. */
	rocksdb_set_options_cf(db->rocks, db->default_cf, 1, &key, &value, &error);
	status = bh_status_of_rocksdb(error);
	if (status == BH_OK && newest(db) <= before) /* RocksDB itself does not call that a failure */
		status = bh_fail(BH_E_IO, "RocksDB has not written it; its LOG may say why");
	if (status != BH_OK)
		bh_db_log(db, "%s: its OPTIONS file stays behind until it is opened again: %s", db->dir, bh_status_message());
}
