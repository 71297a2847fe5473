/* SPDX-License-Identifier: Apache-2.0
 *
 * kept.h: files that RocksDB removes while somebody needs them still: they go when nobody does any more.
 *
 * RocksDB's own means is to stop all deletions, and its price is that it lists the directories of all column families under its
 * mutex when they go on: 70 to 280 ms for 3,000 classes, in which nobody writes. Here the removal of a file that is kept is noted,
 * and made up for at the end; nobody waits, and what is not kept goes at once.
 *
 * Thread-safety: all calls but init and clear.
 */
#ifndef BH_KEPT_H
#define BH_KEPT_H

#include <pthread.h>

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In the frame of who keeps. */
typedef struct bh_keeping {
	const char *merchant;
	struct bh_keeping *next;
} bh_keeping;

typedef struct bh_kept {
	pthread_mutex_t lock; /* guards the rest */
	bh_keeping *keepings;
	bh_buf removed; /* paths, each with its NUL */
} bh_kept;

void bh_kept_init(bh_kept *kept);
void bh_kept_clear(bh_kept *kept); /* nobody keeps anything */

void bh_kept_begin(bh_kept *kept, bh_keeping *keeping);
/* The last to end removes what was to be removed meanwhile. */
void bh_kept_end(bh_kept *kept, const bh_keeping *keeping);

/* `path` is to be removed now. *kept_out: it will be, by the last that keeps; else the caller's to remove. `merchant`: whose it is;
 * NULL: anybody's who keeps anything. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_kept_remove(bh_kept *kept, const char *merchant, const char *path, bool *kept_out);

#ifdef __cplusplus
}
#endif
#endif
