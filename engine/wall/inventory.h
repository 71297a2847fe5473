/* SPDX-License-Identifier: Apache-2.0
 *
 * inventory.h: what a parked directory consists of, sealed under the platform's key: DB/parked/<merchant>/INVENTORY.
 *
 * A log that is missing is no gap that RocksDB sees, and an older file of the same name authenticates. So every file that was
 * parked is in here with its size and a digest of what nothing else vouches for: its header page (salt, and in a stream the sync
 * mark), and what a stream has behind that mark. The rest is authenticated when it is read. The inventory is of one suspension: it
 * has the id that the keyring made for that (bh_merchant_info.parking). Byte table in README.md.
 *
 * Thread-safety: different inventories.
 */
#ifndef BH_ENGINE_INVENTORY_H
#define BH_ENGINE_INVENTORY_H

#include "engine/core/merchant.h"
#include "keyring/crypto/kdf.h"

#define BH_INVENTORY_FILE "INVENTORY"

typedef struct bh_parked_file {
	char *path; /* below the parked directory; owned */
	uint64_t size;
	uint8_t digest[BH_SHA256_LEN];
} bh_parked_file;

/* All zero is empty. */
typedef struct bh_inventory {
	bh_parked_file *files;
	size_t count;
	size_t cap;
} bh_inventory;
void bh_inventory_clear(bh_inventory *inventory);

/* Adds the file DIR/PATH as it is. Errors: BH_E_NOT_FOUND, BH_E_IO, BH_E_FORMAT (no regular file), BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_inventory_add(bh_inventory *inventory, const char *dir, const char *path);
/* Whether the file DIR/PATH is the one that was added. Errors: BH_E_TRUNCATED (shorter), BH_E_FORMAT (missing, longer, no regular
 * file), BH_E_TAG (another one, or changed), BH_E_IO, BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_inventory_check(const bh_parked_file *file, const char *dir);

/* Writes DIR/INVENTORY, and syncs that, not DIR. `merchant` has the ids. Errors: those of bh_stream_write_small(), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_inventory_store(const bh_inventory *inventory, bh_fs *fs, const char *dir,
					   const bh_merchant_info *merchant);
/* Reads DIR/INVENTORY into an empty inventory. Errors: BH_E_FORMAT (missing, malformed, a path that is not of this merchant's
 * files), BH_E_VERSION, BH_E_TAG (of another merchant, or of another suspension), those of bh_stream_read_small(). */
BH_MUST_CHECK bh_status bh_inventory_load(const char *dir, const bh_fs *fs, const bh_merchant_info *merchant, bh_inventory *out);
/* Whether there has to be one: a build without it may have parked the merchant. */
bool bh_inventory_is_due(const bh_merchant_info *merchant);

#endif
