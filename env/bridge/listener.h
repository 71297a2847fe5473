/* SPDX-License-Identifier: Apache-2.0
 *
 * listener.h: what RocksDB tells of its background errors, which its C API does not. Part of the bridge: converts and forwards.
 */
#ifndef BH_BRIDGE_LISTENER_H
#define BH_BRIDGE_LISTENER_H

#include <rocksdb/c.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called from RocksDB's threads, which wait for it. `arg` outlives the database. */
typedef struct bh_bridge_errors {
	/* Something failed that stops writes. `tried`: RocksDB begins to recover by itself, again and again; else it has given that
	 * up, or another try is under way. */
	void (*stopped)(void *arg, bool tried);
	/* The try has ended: writes go on, or it is given up. */
	void (*ended)(void *arg, bool recovered);
	void *arg;
} bh_bridge_errors;
/* `errors` is copied. */
void bh_bridge_listen(rocksdb_options_t *options, const bh_bridge_errors *errors);
/* Has RocksDB try to recover without end from what may pass. */
void bh_bridge_set_recovery(rocksdb_options_t *options);
bool bh_bridge_writes_each_record(const rocksdb_options_t *options); /* not manual_wal_flush */
/* RocksDB's table cache, whose files keep a descriptor each: where it has no bound (-1), it has this one. */
void bh_bridge_bound_open_files(rocksdb_options_t *options, int bound);

#ifdef __cplusplus
}
#endif
#endif
