/* SPDX-License-Identifier: Apache-2.0
 *
 * claim.h: who is at work on a name or a CMK that is no listed merchant's: one that is being added, or finalized after its shred.
 *
 * A claim is held over calls to a KMS, so it excludes nobody but those who come for the same name or the same CMK.
 */
#ifndef BH_ENGINE_CLAIM_H
#define BH_ENGINE_CLAIM_H

#include "db.h"

/* In the frame of who holds it. */
typedef struct bh_claim {
	const char *name;
	const char *cmk_uri; /* NULL: no CMK is claimed */
	struct bh_claim *next;
} bh_claim;

/* The URI that a CMK is claimed and recorded by: `uri`, or what its alias stands for, in `room` of BH_KMS_URI_MAX + 1 bytes.
 * Errors: those of bh_kms_open(), for an alias. */
BH_MUST_CHECK bh_status bh_cmk_resolve(bh_db *db, const char *uri, char *room, const char **out);
void bh_claim_take(bh_db *db, bh_claim *claim); /* waits for others that conflict with it */
void bh_claim_end(bh_db *db, const bh_claim *claim);

/* Refuses a CMK (BH_E_EXISTS) that is the platform's or a merchant's other than `except` ("": but the platform's; NULL: any). The
 * caller has claimed it. */
BH_MUST_CHECK bh_status bh_cmk_check_free(bh_db *db, const char *cmk_uri, const char *except);

#endif
