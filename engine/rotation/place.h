/* SPDX-License-Identifier: Apache-2.0
 *
 * place.h: where a survey looks, in the engine or in a tool that opens no database.
 */
#ifndef BH_ENGINE_PLACE_H
#define BH_ENGINE_PLACE_H

#include "engine/core/db.h"

/* A database's files and what they are sealed with, open or not. */
typedef struct bh_place {
	const char *dir;
	const bh_fs *fs;
	bh_keyring *keyring;
} bh_place;
static inline bh_place bh_db_place(const bh_db *db)
{
	return (bh_place){ db->dir, db->fs, db->keyring };
}

#endif
