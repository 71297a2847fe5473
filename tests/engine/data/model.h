/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h: what a key-value database ought to hold, in plain memory: a few families of keys out of one fixed, sorted universe, each
 * with a value or none. And random operations on it, which the seed alone decides: so another process can replay them and say what
 * the state was after any of them.
 *
 * The digest of a state is the sum of a hash of each entry: it follows every change at constant cost and needs no order.
 *
 * Thread-safety: none.
 */
#ifndef BH_TESTS_MODEL_H
#define BH_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bulkhead/bytes.h>

#include "tests/support/random.h"

enum {
	MODEL_FAMILIES = 6,
	MODEL_KEYS = 400,
	MODEL_BATCH_MAX = 12,
	MODEL_NOWHERE = -1, /* a position on no entry */
};

/* Counted: states share values. */
typedef struct model_value {
	uint32_t refs;
	size_t len;
	uint8_t data[];
} model_value;

typedef struct model_state {
	model_value *values[MODEL_FAMILIES][MODEL_KEYS]; /* NULL: the key is not there */
	uint64_t digest;
} model_state;

/* ---- the universe: binary, empty, long and neighbouring keys; the same for one seed */
void model_keys_make(uint64_t seed);
bh_view model_key(int idx);
int model_key_find(bh_view key); /* its index, or MODEL_NOWHERE */
int model_key_from(bh_view key); /* the first index at or after `key`; MODEL_KEYS if there is none */

/* ---- states */
void model_copy(const model_state *from, model_state *to); /* `to` is overwritten, not released */
void model_clear(model_state *state);
/* The next entry of the family at or after index `idx`, below `end`; the last at or before `idx`, from `begin` on. */
int model_next(const model_state *state, int family, int idx, int end);
int model_prev(const model_state *state, int family, int idx, int begin);
/* What an entry adds to a digest. */
uint64_t model_hash(int family, int idx, bh_view value);

/* ---- operations */
typedef enum change_kind {
	CHANGE_PUT,
	CHANGE_MERGE,
	CHANGE_DELETE,
	CHANGE_DELETE_RANGE,
} change_kind;

typedef struct model_change {
	change_kind kind;
	int family;
	int key, end;  /* indexes; `end` of a range alone, exclusive */
	uint64_t seed; /* of the value */
	size_t len;    /* of the value, bytes */
} model_change;

typedef enum op_kind {
	OP_WRITE, /* `count` changes at once */
	OP_GET,
	OP_MULTI_GET,
	OP_WALK,
	OP_SNAPSHOT, /* taken or let go */
	OP_SYNC,
	OP_FLUSH,
	OP_COMPACT,
	OP_REOPEN,
	OP_CYCLE,  /* a merchant goes and comes back */
	OP_ROTATE, /* it gets new keys, and perhaps all that lies under older ones is moved */
} op_kind;

typedef struct model_op {
	op_kind kind;
	bool sync;
	bool batch; /* through a batch although it is one change */
	size_t count;
	model_change changes[MODEL_BATCH_MAX];
	uint64_t seed; /* for what a reading operation chooses */
} model_op;

/* The next operation. Depends on `random` and the state alone. */
void model_op_make(test_random *random, const model_state *state, model_op *out);
void model_op_apply(model_state *state, const model_op *o);
/* The bytes of a change's value: malloc'ed. */
uint8_t *model_value_bytes(const model_change *c);

#endif
