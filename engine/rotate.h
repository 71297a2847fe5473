/* SPDX-License-Identifier: Apache-2.0
 *
 * rotate.h: what an open does about generations of DEKs.
 */
#ifndef BH_ENGINE_ROTATE_H
#define BH_ENGINE_ROTATE_H

#include <bulkhead/rotation.h>

#include "internal.h"

/* Destroys the wraps of those generations that nothing in the database refers to any more. At open, when RocksDB has just begun a
 * new MANIFEST and emptied its WALs. A failure is logged: the generations stay, and the next open tries again. */
void bh_retire_at_open(bh_db *db);

#endif
