/* SPDX-License-Identifier: Apache-2.0
 *
 * span_families.h: the keys of one file's column families, and the sections of its frames: family id -> DEK id -> key.
 *
 * Sealing asks scopes->dek_for_cf at most once per family and frame, announces the first DEK of a family and each change. Opening
 * knows what was announced and asks scopes->dek_by_id at the first section after it: that DEK has to be of the family's class. One
 * that is not available makes the family blank, where nobody will use its bytes. Thread-safety: none.
 */
#ifndef BH_SPAN_FAMILIES_H
#define BH_SPAN_FAMILIES_H

#include "span_place.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_family {
	bool in_use;  /* the slot of the table */
	bool bound;   /* dek_id has been announced */
	bool known;   /* opening: `aead` says whether the DEK is available */
	bool blanked; /* opening: bytes of it were */
	bool asked;   /* sealing: dek_for_cf was */
	uint32_t cf_id;
	unsigned share;   /* its place among the families of the frame `epoch` */
	uint64_t epoch;   /* of the last frame with bytes of it; 0: none yet */
	uint64_t frames;  /* with bytes of it, before the current one */
	uint64_t changes; /* sealing: scopes->changes when it was asked */
	uint8_t dek_id[BH_ID_LEN];
	bh_aead *aead;   /* owned; NULL when opening: not available, to be blanked */
	bh_tally *tally; /* sealing: of the DEK; counted. NULL: none was asked for yet */
	uint64_t sealed; /* bytes that the tally does not have yet */
} bh_family;

/* What a family has of the current frame. */
typedef struct bh_share {
	uint32_t cf_id;
	size_t len; /* bytes of spans */
} bh_share;

typedef struct bh_families {
	const bh_scopes *scopes;
	bh_header header; /* of the file */
	uint64_t epoch;
	bh_family *slots; /* open addressing, a power of two */
	size_t slot_count;
	size_t used;
	bh_family *last;                        /* the family asked for last; NULL after the table has moved */
	bh_share shares[BH_FRAME_FAMILIES_MAX]; /* of the current frame, in order of appearance */
	unsigned share_count;
	bh_announcement pending[BH_FRAME_FAMILIES_MAX]; /* sealing: of the current frame */
	unsigned pending_count;
	uint64_t available; /* opening: the shares of the current frame, by bits, that were not blanked */
	bool blames;        /* the last failure is `blamed`'s alone */
	bh_scope blamed;
} bh_families;

void bh_families_init(bh_families *f, const bh_header *header, const bh_scopes *scopes);
void bh_families_clear(bh_families *f);

/* A frame begins. */
void bh_families_begin(bh_families *f);
static inline bool bh_families_full(const bh_families *f)
{
	return f->share_count == BH_FRAME_FAMILIES_MAX;
}
/* The family's share of the frame, a new one where it has none yet; *new_out says so. Errors: BH_E_FORMAT (too many), BH_E_NOMEM.
 */
BH_MUST_CHECK bh_status bh_families_share(bh_families *f, uint32_t cf_id, unsigned *share_out, bool *new_out);
/* ... when sealing: its key is there afterwards. Errors: those of dek_for_cf; BH_E_UNSUPPORTED, if it says that the family is the
 * platform's; BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_families_share_sealed(bh_families *f, uint32_t cf_id, unsigned *share_out);
/* Bytes of all sections of the frame. */
size_t bh_families_sections_len(const bh_families *f);

/* Seals all shares in place: `sections` has each one's spans, with room for its tag behind. `aad`: the place, then the platform's
 * part. A DEK's tally has the bytes from the family's next frame on, or when the families are cleared. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_families_seal(bh_families *f, uint64_t number, uint8_t *aad, size_t aad_len, uint8_t *sections);
/* Sealing: wipes every key; those still in use are derived anew, from the same DEK. */
void bh_families_forget(bh_families *f);

/* Opens all shares: `plain_out` gets their spans one behind the other, zeros for what is blank. Errors: BH_E_FORMAT (nothing was
 * announced); BH_E_TAG (sets `blames`), those of dek_by_id that do not mean "not available". */
BH_MUST_CHECK bh_status bh_families_open(bh_families *f, uint64_t number, uint8_t *aad, size_t aad_len, const uint8_t *sections,
					 uint8_t *plain_out);
/* An announcement was read. Errors: BH_E_FORMAT (for the default family), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_families_announced(bh_families *f, const bh_announcement *a);
/* The family's bytes are needed after all, to the end of the file: none may have been blanked. Errors: BH_E_TAG. */
BH_MUST_CHECK bh_status bh_families_needed(bh_families *f, uint32_t cf_id);
/* The DEK that was announced last for the family, and whether it is available. Errors: BH_E_NOT_FOUND (none was), as open. */
BH_MUST_CHECK bh_status bh_families_find(bh_families *f, uint32_t cf_id, uint8_t dek_id_out[BH_ID_LEN], bool *available_out);

#ifdef __cplusplus
}
#endif
#endif
