/* SPDX-License-Identifier: Apache-2.0
 *
 * settings.c: see settings.h.
 */
#include "settings.h"

#include <bulkhead/env.h>

#include "env/bridge/bridge.h"
#include "env/bridge/caches.h"
#include "env/bridge/options.h"

bh_status bh_settings_check(const bh_db_options *options)
{
	if (options->rocksdb == NULL)
		return BH_OK;
	BH_TRY(bh_options_check(options->rocksdb));
	return bh_bridge_check_promises(options->rocksdb);
}

/* What stands as RocksDB has it of its own accord gets a value that suits many families in one database: its own lets 1,000 info
 * logs, a MANIFEST of 1 GiB, and WALs of four times all write buffers together lie about. */
static void set_defaults(rocksdb_options_t *options)
{
	rocksdb_options_t *stock = rocksdb_options_create();

	if (rocksdb_options_get_compression(options) == rocksdb_options_get_compression(stock) &&
	    !bh_bridge_compresses_by_level(options))
		rocksdb_options_set_compression(options, rocksdb_zstd_compression);
	if (rocksdb_options_get_keep_log_file_num(options) == rocksdb_options_get_keep_log_file_num(stock))
		rocksdb_options_set_keep_log_file_num(options, BH_INFO_LOGS);
	if (rocksdb_options_get_max_manifest_file_size(options) == rocksdb_options_get_max_manifest_file_size(stock))
		rocksdb_options_set_max_manifest_file_size(options, BH_MANIFEST_BYTES);
	if (rocksdb_options_get_max_total_wal_size(options) == rocksdb_options_get_max_total_wal_size(stock))
		rocksdb_options_set_max_total_wal_size(options, BH_WAL_BYTES);
	rocksdb_options_destroy(stock);
}

static rocksdb_options_t *copy_template(const rocksdb_options_t *template)
{
	rocksdb_options_t *copy;

	if (template == NULL) {
		copy = rocksdb_options_create();
		bh_bridge_let_options_file_fail(
			copy); /* as before RocksDB 8.8: with it each change of a family waits for that file */
	} else {
		copy = rocksdb_options_create_copy((rocksdb_options_t *)(uintptr_t) template); /* not const in C, only read */
		bh_bridge_redact_info_log(copy);
	}
	set_defaults(copy);
	return copy;
}

bh_status bh_settings_make(bh_db *db, const bh_db_options *options)
{
	BH_TRY(bh_settings_check(options));
	db->options = copy_template(options->rocksdb);
	if (!options->newer_table_format)
		bh_bridge_bound_table_format(db->options);
	db->caches = bh_block_caches_new();
	rocksdb_options_set_error_if_exists(db->options, 0); /* bh_db_create() has its own word for that */
	db->read = rocksdb_readoptions_create();
	rocksdb_readoptions_set_total_order_seek(db->read, 1);
	db->write = rocksdb_writeoptions_create();
	db->write_sync = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(db->write_sync, 1);
	db->write_no_wal = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(db->write_no_wal, 1);
	return BH_OK;
}
