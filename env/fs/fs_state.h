/* SPDX-License-Identifier: Apache-2.0
 *
 * fs_state.h: what a bh_fs is made of, for fs.c, fs_files.c and rename.c.
 */
#ifndef BH_FS_STATE_H
#define BH_FS_STATE_H

#include <pthread.h>

#include "env/files/live.h"
#include "env/format/pages.h"
#include "family_table.h"
#include "fresh.h"
#include "fs.h"

struct bh_fs {
	char *root;          /* as its paths begin */
	char *resolved_root; /* as others lead to it */
	bh_keyring *keyring;
	bh_scopes scopes;
	bool read_only;
	bool guarded;            /* no family is made but those of `claims`; under `lock`, like these */
	bh_family_claim *claims; /* borrowed */
	bool scratch;            /* all files are of scratch_scope */
	bh_scope scratch_scope;
	char *only; /* a view: the one merchant whose families it shows; owned. NULL: all */
	pthread_rwlock_t lock;
	bh_family_table families;
	uint64_t *hidden; /* [hidden_count]: SSTs that a view does not show; owned */
	size_t hidden_count;
	void (*on_damage)(void *arg, const bh_damage *damage); /* NULL: nobody hears of it */
	void *on_damage_arg;
	void (*pause)(void *arg); /* NULL: none */
	void *pause_arg;
	bh_room *room;            /* borrowed; NULL: none */
	pthread_mutex_t renaming; /* held while a small file takes another's place: what is sealed anew is not an older one */
	bool voids;
	bool sync_fails;          /* the next one; by atomics */
	bh_fresh fresh;           /* which logs there are; has a lock of its own */
	bh_live live;             /* logs being written; has a lock of its own */
	bh_kept kept;             /* files that RocksDB has removed and that stay for now; the same */
	bh_page_readers *readers; /* paged files being read or written; has locks of its own */
};

#endif
