/* SPDX-License-Identifier: Apache-2.0
 *
 * forge.h: a log in the hands of who has the platform's key: taken apart into its frames, changed at will, and put together again,
 * with tags and sync mark that hold. What families have sealed stays as it is, unless their keys are there too.
 */
#ifndef BH_TESTS_FORGE_H
#define BH_TESTS_FORGE_H

#include "attack.h"
#include "env/format/frame.h"

typedef struct forged_frame {
	bh_buf part;     /* the platform's: count, announcements, structure */
	bh_buf sections; /* sealed */
} forged_frame;

typedef struct forged {
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key;
	uint64_t mark_seq;
	size_t synced; /* frames that the mark counts */
	forged_frame *frames;
	size_t count;
} forged;

/* All of `file`, a WAL or MANIFEST without room at its end. */
void forge_take(const bh_scopes *scopes, bh_view file, forged *out);
void forge_clear(forged *f);
/* The file with its frames sealed anew, numbered as they stand, and a mark newer than its own. */
bh_buf forge_make(const forged *f);

/* The frame's structure; borrowed, as long as nothing is announced in it. */
uint8_t *forge_structure(forged_frame *frame, size_t *len_out);
/* Puts an announcement in front of those that there are. */
void forge_announce(forged_frame *frame, uint32_t cf_id, const uint8_t dek_id[BH_ID_LEN]);
/* Makes one frame a copy of another, of the same log or not. */
void forge_copy(forged_frame *to, const forged_frame *from);
/* A frame of structure alone. */
void forge_plain(forged_frame *frame, bh_view structure);

/* The victim's log, taken apart. */
forged attack_take(const victim *v, const char *name);
/* attack_file() where a merchant may be taken out before the open is refused; of bytes, and of a log put together. */
void attack_forged_bytes(const victim *v, const char *what, const char *name, bh_view bytes, attack_expect expect);
void attack_forged(const victim *v, const char *what, const char *name, const forged *f, attack_expect expect);

#endif
