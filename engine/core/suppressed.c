/* SPDX-License-Identifier: Apache-2.0
 *
 * suppressed.c: see suppressed.h.
 */
#include "suppressed.h"
#include "keyring/base/base.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct erased_prefix {
	uint32_t len;
	uint8_t digest[BH_SHA256_LEN];
} erased_prefix;

struct bh_suppressed {
	bh_status failed;    /* BH_OK, or why the markers cannot be read */
	char why[200];       /* the sentence that goes with it */
	bh_secret secret;    /* that the digests are made with */
	bh_buf prefixes;     /* of `erased_prefix`, in order */
	bh_buf lengths;      /* uint32_t: those that there are, each once, in order */
	bh_suppressed *next; /* in bh_class.replaced */
};

bh_suppressed *bh_suppressed_new(void)
{
	return calloc(1, sizeof(bh_suppressed));
}

void bh_suppressed_free(bh_suppressed *set)
{
	while (set != NULL) {
		bh_suppressed *next = set->next;

		bh_secret_clear(&set->secret);
		if (set->prefixes.len > 0)
			bh_wipe(set->prefixes.data, set->prefixes.len);
		bh_buf_clear(&set->prefixes);
		bh_buf_clear(&set->lengths);
		free(set);
		set = next;
	}
}

size_t bh_suppressed_count(const bh_suppressed *set)
{
	return set->prefixes.len / sizeof(erased_prefix);
}

static int compare(const void *a, const void *b)
{
	const erased_prefix *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

bh_status bh_suppressed_add(bh_suppressed *set, uint32_t len, const uint8_t digest[BH_SHA256_LEN])
{
	erased_prefix p = { .len = len };

	memcpy(p.digest, digest, sizeof(p.digest));
	return bh_buf_append(&set->prefixes, &p, sizeof(p));
}

bh_status bh_suppressed_finish(bh_suppressed *set, bh_secret *secret)
{
	erased_prefix *all = (erased_prefix *)(void *)set->prefixes.data;
	const size_t count = bh_suppressed_count(set);

	set->secret = bh_secret_take(secret);
	qsort(all, count, sizeof(*all), compare);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || all[i].len != all[i - 1].len)
			BH_TRY(bh_buf_append(&set->lengths, &all[i].len, sizeof(all[i].len)));
	return BH_OK;
}

void bh_suppressed_fail(bh_suppressed *set, bh_status status)
{
	set->failed = status;
	snprintf(set->why, sizeof(set->why), "%s", bh_status_message());
}

bh_status bh_suppressed_status(const bh_suppressed *set, const char *merchant, const char *cls)
{
	if (set == NULL || set->failed == BH_OK)
		return BH_OK;
	return bh_fail(
		set->failed,
		"'%s/%s': nothing is written to it, since its markers of erased prefixes cannot be read: %s; mend that, then open "
		"the database anew",
		merchant, cls, set->why);
}

bh_status bh_suppressed_digest(const bh_secret *secret, bh_view prefix, uint8_t out[BH_SHA256_LEN])
{
	const bh_view parts[] = { bh_view_of("erased prefix", sizeof("erased prefix")), prefix };

	return bh_hmac(bh_secret_view(secret), parts, 2, out);
}

/* ---- as writes look at it */

static bh_status refuse(const char *merchant, const char *cls, const uint8_t digest[BH_SHA256_LEN])
{
	return bh_fail(BH_E_ERASED,
		       "'%s/%s': rows of this key's prefix were erased and are kept out (%02x%02x%02x%02x... in the audit log); "
		       "nothing is written; `bhctl erase --lift`, or bh_erase_unsuppress(), lets them in again",
		       merchant, cls, digest[0], digest[1], digest[2], digest[3]);
}

bh_status bh_suppressed_look(const bh_suppressed *set, const char *merchant, const char *cls, bh_view key)
{
	const uint32_t *lengths = (const uint32_t *)(const void *)set->lengths.data;
	const size_t count = set->lengths.len / sizeof(*lengths);
	erased_prefix head;

	BH_TRY(bh_suppressed_status(set, merchant, cls));
	for (size_t i = 0; i < count && lengths[i] <= key.len; i++) {
		head.len = lengths[i];
		BH_TRY(bh_suppressed_digest(&set->secret, bh_view_of(key.data, head.len), head.digest));
		if (bsearch(&head, set->prefixes.data, bh_suppressed_count(set), sizeof(erased_prefix), compare) != NULL)
			return refuse(merchant, cls, head.digest);
	}
	return BH_OK;
}

/* ---- changes */

void bh_suppressed_publish(bh_class *cls, bh_suppressed *set)
{
	bh_suppressed *old;

	if (bh_suppressed_count(set) == 0 && set->failed == BH_OK) {
		bh_suppressed_free(set);
		set = NULL;
	}
	old = atomic_exchange(&cls->suppressed, set);
	if (old == NULL)
		return;
	old->next = cls->replaced;
	cls->replaced = old;
}

void bh_suppressed_free_replaced(bh_class *cls)
{
	bh_suppressed_free(cls->replaced);
	cls->replaced = NULL;
}

void bh_suppressed_unload(bh_class *classes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bh_suppressed_free(atomic_exchange(&classes[i].suppressed, NULL));
		bh_suppressed_free_replaced(&classes[i]);
	}
}
