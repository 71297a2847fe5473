/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c: model.h's other half.
 */
#include "model.h"

#include <string.h>
#include <xxhash.h>

enum { LONG_KEY = 700, MERGE_LIMIT = 100000 };

static struct {
	uint8_t data[LONG_KEY];
	size_t len;
} keys[MODEL_KEYS];

/* ---- the universe */

static int compare(bh_view a, bh_view b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const void *a, const void *b)
{
	const __typeof__(keys[0]) *x = a, *y = b;

	return compare(bh_view_of(x->data, x->len), bh_view_of(y->data, y->len));
}

/* Few different bytes, so that keys share prefixes; NUL and 0xff among them. Unique by the index in the last two. */
static void make_key(test_random *random, size_t idx)
{
	static const uint8_t alphabet[] = { 0x00, 'a', 'b', 'z', 0xff };
	size_t len = test_random_below(random, 12);

	if (idx == 0)
		return; /* the empty key */
	if (idx % 50 == 1)
		len = LONG_KEY - 2;
	for (size_t i = 0; i < len; i++)
		keys[idx].data[i] = alphabet[test_random_below(random, sizeof(alphabet))];
	keys[idx].data[len] = (uint8_t)idx;
	keys[idx].data[len + 1] = (uint8_t)(idx >> 8);
	keys[idx].len = len + 2;
}

void model_keys_make(uint64_t seed)
{
	test_random random = { seed };

	memset(keys, 0, sizeof(keys));
	for (size_t i = 0; i < MODEL_KEYS; i++)
		make_key(&random, i);
	qsort(keys, MODEL_KEYS, sizeof(keys[0]), compare_keys);
}

bh_view model_key(int idx)
{
	return bh_view_of(keys[idx].data, keys[idx].len);
}

int model_key_from(bh_view key)
{
	int low = 0, high = MODEL_KEYS;

	while (low < high) {
		int middle = (low + high) / 2;

		if (compare(model_key(middle), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int model_key_find(bh_view key)
{
	int idx = model_key_from(key);

	return idx < MODEL_KEYS && compare(model_key(idx), key) == 0 ? idx : MODEL_NOWHERE;
}

/* ---- states */

static void value_unref(model_value *value)
{
	if (value != NULL && --value->refs == 0)
		free(value);
}

uint64_t model_hash(int family, int idx, bh_view value)
{
	return XXH3_64bits_withSeed(value.data, value.len, (uint64_t)family * MODEL_KEYS + (uint64_t)idx + 1);
}

static uint64_t hash_of(int family, int idx, const model_value *value)
{
	return value != NULL ? model_hash(family, idx, bh_view_of(value->data, value->len)) : 0;
}

static void set(model_state *state, int family, int idx, model_value *value)
{
	model_value **slot = &state->values[family][idx];

	state->digest += hash_of(family, idx, value) - hash_of(family, idx, *slot);
	value_unref(*slot);
	*slot = value;
}

void model_copy(const model_state *from, model_state *to)
{
	*to = *from;
	for (int f = 0; f < MODEL_FAMILIES; f++)
		for (int i = 0; i < MODEL_KEYS; i++)
			if (to->values[f][i] != NULL)
				to->values[f][i]->refs++;
}

void model_clear(model_state *state)
{
	for (int f = 0; f < MODEL_FAMILIES; f++)
		for (int i = 0; i < MODEL_KEYS; i++)
			value_unref(state->values[f][i]);
	memset(state, 0, sizeof(*state));
}

int model_next(const model_state *state, int family, int idx, int end)
{
	while (idx < end && state->values[family][idx] == NULL)
		idx++;
	return idx < end ? idx : MODEL_NOWHERE;
}

int model_prev(const model_state *state, int family, int idx, int begin)
{
	while (idx >= begin && state->values[family][idx] == NULL)
		idx--;
	return idx >= begin ? idx : MODEL_NOWHERE;
}

/* ---- operations */

/* Mostly small; some that make blobs, some that cross WAL blocks, a few that are larger than a frame. */
static size_t value_len(test_random *random)
{
	size_t roll = test_random_below(random, 4000);

	if (roll == 0)
		return (1 << 20) + test_random_below(random, 200000);
	if (roll < 20)
		return 30000 + test_random_below(random, 10000);
	if (roll < 200)
		return test_random_below(random, 5000);
	return test_random_below(random, 160);
}

static void make_change(test_random *random, const model_state *state, model_change *out)
{
	size_t roll = test_random_below(random, 100);
	const model_value *before;

	memset(out, 0, sizeof(*out));
	out->family = (int)test_random_below(random, MODEL_FAMILIES);
	out->key = (int)test_random_below(random, MODEL_KEYS);
	out->end = out->key + (int)test_random_below(random, (size_t)(MODEL_KEYS - out->key) / (roll < 99 ? 8 : 1) + 1);
	out->end = out->end < MODEL_KEYS ? out->end : MODEL_KEYS - 1;
	out->seed = test_random_u64(random);
	out->len = value_len(random);
	before = state->values[out->family][out->key];
	if (roll < 62)
		out->kind = CHANGE_PUT;
	else if (roll < 80)
		out->kind = before != NULL && before->len > MERGE_LIMIT ? CHANGE_PUT : CHANGE_MERGE;
	else if (roll < 97)
		out->kind = CHANGE_DELETE;
	else
		out->kind = CHANGE_DELETE_RANGE;
}

static op_kind pick_kind(test_random *random)
{
	static const struct {
		op_kind kind;
		size_t per_mille;
	} weights[] = {
		{ OP_WRITE, 600 },   { OP_GET, 180 }, { OP_MULTI_GET, 60 }, { OP_WALK, 130 },
		{ OP_SNAPSHOT, 20 }, { OP_SYNC, 5 },  { OP_FLUSH, 3 },
	};
	size_t roll = test_random_below(random, 1000);

	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		if (roll < weights[i].per_mille)
			return weights[i].kind;
		roll -= weights[i].per_mille;
	}
	static const op_kind rare[] = { OP_COMPACT, OP_COMPACT, OP_COMPACT, OP_COMPACT, OP_COMPACT,
					OP_FLUSH,   OP_REOPEN,  OP_CYCLE,   OP_ROTATE };

	return rare[test_random_below(random, sizeof(rare) / sizeof(rare[0]))];
}

void model_op_make(test_random *random, const model_state *state, model_op *out)
{
	out->kind = pick_kind(random);
	out->seed = test_random_u64(random);
	out->sync = test_random_below(random, 25) == 0;
	out->batch = test_random_below(random, 3) == 0;
	out->count = out->batch ? 1 + test_random_below(random, MODEL_BATCH_MAX) : 1;
	for (size_t i = 0; i < out->count; i++)
		make_change(random, state, &out->changes[i]);
}

uint8_t *model_value_bytes(const model_change *c)
{
	test_random random = { c->seed };
	uint8_t *bytes = malloc(c->len + 1);

	if (bytes == NULL)
		abort();
	for (size_t i = 0; i < c->len; i++)
		bytes[i] = i % 16 < 8 ? (uint8_t)(i / 64) : (uint8_t)(test_random_u64(&random) >> 56);
	return bytes;
}

static void apply_value(model_state *state, const model_change *c)
{
	const model_value *before = c->kind == CHANGE_MERGE ? state->values[c->family][c->key] : NULL;
	size_t kept = before != NULL ? before->len : 0;
	model_value *value = malloc(sizeof(*value) + kept + c->len);
	uint8_t *bytes = model_value_bytes(c);

	if (value == NULL)
		abort();
	value->refs = 1;
	value->len = kept + c->len;
	if (kept > 0)
		memcpy(value->data, before->data, kept);
	memcpy(value->data + kept, bytes, c->len);
	free(bytes);
	set(state, c->family, c->key, value);
}

static void apply_change(model_state *state, const model_change *c)
{
	switch (c->kind) {
	case CHANGE_PUT:
	case CHANGE_MERGE: apply_value(state, c); break;
	case CHANGE_DELETE: set(state, c->family, c->key, NULL); break;
	case CHANGE_DELETE_RANGE:
		for (int i = c->key; i < c->end; i++)
			set(state, c->family, i, NULL);
		break;
	}
}

void model_op_apply(model_state *state, const model_op *o)
{
	for (size_t i = 0; o->kind == OP_WRITE && i < o->count; i++)
		apply_change(state, &o->changes[i]);
}
