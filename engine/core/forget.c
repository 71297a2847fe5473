/* SPDX-License-Identifier: Apache-2.0
 *
 * forget.c: see forget.h.
 */
#include "forget.h"

#include "env/bridge/caches.h"
#include "keyring/ring/keyring.h"
#include "logs.h"

void bh_forget(bh_db *db, const char *merchant)
{
	if (bh_keyring_merchant_lock(db->keyring, merchant) != BH_OK)
		bh_db_log(db, "%s", bh_status_message());
	bh_logs_let_go(db);
	bh_fs_keys_changed(db->fs);
	bh_block_caches_forget(db->caches, merchant);
}
