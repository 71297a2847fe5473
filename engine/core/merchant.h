/* SPDX-License-Identifier: Apache-2.0
 *
 * merchant.h: the living merchants of an open database, attached or not.
 *
 * What is open in a merchant and cannot outlive its keys, as an iterator, is its guest: bh_merchant_shut() ends all of them.
 */
#ifndef BH_ENGINE_MERCHANT_H
#define BH_ENGINE_MERCHANT_H

#include "class.h"
#include "db.h"
#include "gate.h"

typedef struct bh_guest {
	void (*end)(struct bh_guest *guest); /* with the gate closed and the merchant's `lock` held; takes it off the list */
	struct bh_guest *next, **link;       /* in merchant->guests, under merchant->lock */
} bh_guest;

/* A living merchant, attached or not. Counted: by the database's list while it is there, and by each bh_cf, bh_iter and bh_batch.
 */
typedef struct bh_merchant {
	_Atomic uint32_t refs;
	struct bh_db *db; /* valid while inside the gate */
	char name[BH_NAME_MAX + 1];
	bh_gate gate;              /* open while it is attached */
	_Atomic uint64_t attached; /* bh_db.attaches when it was attached last: what is older does not fit its families */
	bool attach_at_open;       /* while the database is being opened: its keys are there again */
	_Atomic bool hurt;         /* a file of its is damaged: hurt.h */
	char hurt_note[BH_SUSPEND_NOTE_MAX + 1]; /* which one, and what is wrong with it; under bh_db.lock */
	_Atomic bool relaxing;                   /* `relaxer` runs, or has run, and is to be joined: quarantine.c */
	pthread_t relaxer;
	_Atomic unsigned waiting; /* calls inside that may wait for a flush in RocksDB, which hears of no failure but everybody's */
	_Atomic bool closing;     /* compactions that somebody waits for inside the gate shall end */
	pthread_mutex_t op;       /* one change of its state at a time */
	pthread_mutex_t marking;  /* one change of what is suppressed at a time; inside the gate */
	pthread_mutex_t lock;     /* guards `guests` */
	bh_guest *guests;         /* what cannot outlive its keys: ended when the gate closes */
	size_t class_count;
	bh_class *classes;
	struct bh_merchant *next;
} bh_merchant;

struct bh_cf {
	bh_merchant *merchant;
	bh_class *cls; /* in the merchant */
};

BH_MUST_CHECK bh_status bh_merchant_new(bh_db *db, const bh_merchant_info *info, bh_merchant **out);
bh_merchant *bh_merchant_ref(bh_merchant *merchant);
void bh_merchant_unref(bh_merchant *merchant);              /* NULL-safe */
void bh_merchant_link(bh_db *db, bh_merchant *merchant);    /* takes the reference over */
bh_merchant *bh_merchant_find(bh_db *db, const char *name); /* counted; NULL if there is none that lives */
/* The same with `op` held, or NULL; given back with bh_merchant_unlock() (NULL-safe). */
bh_merchant *bh_merchant_find_locked(bh_db *db, const char *name);
void bh_merchant_unlock(bh_merchant *merchant);
bh_class *bh_merchant_class(bh_merchant *merchant, const char *cls);

/* Closes the gate, waits for those inside, ends its guests. */
void bh_merchant_shut(bh_merchant *merchant, bh_status reason);
/* Refuses its operations from now on, and waits for none. */
void bh_merchant_gate_close(bh_db *db, const char *name, bh_status reason);

void bh_guest_add(bh_merchant *merchant, bh_guest *guest);
void bh_guest_remove(bh_guest *guest); /* with the merchant's `lock` held */

#endif
