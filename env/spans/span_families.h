/* SPDX-License-Identifier: Apache-2.0
 *
 * span_families.h: the keys of one file's column families: family id -> DEK id -> keystream.
 *
 * Sealing asks scopes->dek_for_cf at most once per family and epoch (the bytes that leave together), announces the first DEK of a
 * family and each change. Opening knows what was announced and asks scopes->dek_by_id at the first span after it; a DEK that is not
 * available makes the family blank. Thread-safety: none.
 */
#ifndef BH_SPAN_FAMILIES_H
#define BH_SPAN_FAMILIES_H

#include "env/format/header.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_announcement {
	uint32_t cf_id;
	uint8_t dek_id[BH_ID_LEN];
} bh_announcement;

typedef struct bh_family {
	bool in_use; /* the slot */
	bool bound;  /* dek_id has been announced */
	bool known;  /* opening: `ctr` says whether the DEK is available */
	uint32_t cf_id;
	uint64_t epoch;   /* sealing: when dek_for_cf was last asked, or found not to have changed since; 0: to be asked */
	uint64_t changes; /* sealing: scopes->changes when it was asked */
	uint8_t dek_id[BH_ID_LEN];
	bh_ctr *ctr;     /* owned; NULL when opening: not available, to be blanked */
	bh_tally *tally; /* sealing: of the DEK; counted. NULL: none was asked for yet */
	uint64_t sealed; /* bytes that the tally does not have yet */
} bh_family;

typedef struct bh_families {
	const bh_scopes *scopes;
	uint8_t salt[BH_SALT_LEN];
	uint64_t epoch;
	bh_family *slots; /* open addressing, a power of two */
	size_t slot_count;
	size_t used;
	bh_family *last; /* the family asked for last; NULL after the table has moved */
	bh_announcement *pending;
	size_t pending_count;
	size_t pending_cap;
} bh_families;

void bh_families_init(bh_families *f, const uint8_t salt[BH_SALT_LEN], const bh_scopes *scopes);
void bh_families_clear(bh_families *f);

/* The keystream to seal spans of the family with. Borrowed until the next epoch. Errors: those of dek_for_cf; BH_E_UNSUPPORTED, if
 * it says that the family is the platform's; BH_E_NOMEM, BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_families_seal(bh_families *f, uint32_t cf_id, bh_ctr **out);
/* Sealing: wipes every keystream; those still in use are derived anew, from the same DEK to the same bytes. */
void bh_families_forget(bh_families *f);
/* `len` bytes of the family, whose keystream was asked for, were sealed. Its DEK's tally has them from the next epoch in which the
 * family has bytes on, or when the families are cleared: one atomic addition for bytes that leave together. */
void bh_families_sealed(bh_families *f, uint32_t cf_id, size_t len);
/* The keystream to open them with, NULL: blank. Borrowed until the next announcement. Errors: BH_E_FORMAT (nothing was announced),
 * those of dek_by_id that do not mean "not available". */
BH_MUST_CHECK bh_status bh_families_open(bh_families *f, uint32_t cf_id, bh_ctr **out);
/* The DEK that was announced last for the family; false: none was. */
bool bh_families_find(const bh_families *f, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN]);
/* An announcement was read. Errors: BH_E_FORMAT (for the default family), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_families_announced(bh_families *f, const bh_announcement *a);

#ifdef __cplusplus
}
#endif
#endif
