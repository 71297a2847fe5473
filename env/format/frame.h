/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h: the two sealed units of a stream, encode and decode side by side: a frame and the sync mark. Byte tables in README.md.
 *
 * A frame is sections, which families have sealed, and the platform's part, whose tag is over all of it. The sections are bytes
 * like any others here.
 *
 * Pure functions over one AEAD context; the number of a frame and the sequence of a mark, which make the nonce, are the caller's to
 * keep unique.
 */
#ifndef BH_FRAME_H
#define BH_FRAME_H

#include "header.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_FRAME_MAX (1u << 20)   /* logical bytes in one frame of a WAL or small stream */
#define BH_RECORD_MAX (1u << 30)  /* ... of a MANIFEST, where a frame is a record */
#define BH_FRAME_FAMILIES_MAX 64u /* families, and announcements, in one frame */
#define BH_FRAME_HEAD_MAX 10u     /* bytes of the two lengths; less than the smallest frame has */
#define BH_FRAME_ROOM 64u         /* bytes in front of an opened platform's part, for what goes with it (span_place.h) */

/* From here on the family's bytes are under this DEK. */
typedef struct bh_announcement {
	uint32_t cf_id;
	uint8_t dek_id[BH_ID_LEN];
} bh_announcement;
#define BH_ANNOUNCEMENT_LEN (4u + BH_ID_LEN)
void bh_announcement_put(uint8_t out[BH_ANNOUNCEMENT_LEN], const bh_announcement *a);

/* ---- the lengths at the front */

typedef struct bh_frame_head {
	size_t len;      /* bytes of the head itself */
	size_t sections; /* bytes, tags included */
	size_t part;     /* bytes of the platform's part, without its tag */
} bh_frame_head;

/* Reads the head of the frame that begins with `bytes`, of which BH_FRAME_HEAD_MAX are enough. False: no frame of a file of this
 * kind begins so. */
bool bh_frame_head_read(bh_file_kind kind, bh_view bytes, bh_frame_head *out);
/* Physical bytes of the whole frame. */
static inline size_t bh_frame_size(const bh_frame_head *head)
{
	return head->len + head->sections + head->part + BH_TAG_LEN;
}

/* ---- sealing: begin, fill the sections in, then seal */

/* Makes room for a frame behind out->len and writes its head there. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_frame_begin(size_t sections, size_t part, bh_buf *out, bh_frame_head *head_out);
static inline uint8_t *bh_frame_sections(const bh_frame_head *head, const bh_buf *out)
{
	return out->data + out->len + head->len;
}
static inline uint8_t *bh_frame_part(const bh_frame_head *head, const bh_buf *out)
{
	return bh_frame_sections(head, out) + head->sections;
}
/* Seals `part`, head->part bytes that may be in their place already, and appends the frame. Errors: BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_frame_seal(const bh_aead *aead, uint64_t number, const bh_frame_head *head, const uint8_t *part,
				      bh_buf *out);
/* A frame that was begun and is not to be: wipes what is there of it. */
void bh_frame_drop(const bh_frame_head *head, bh_buf *out);

/* ---- opening */

/* A frame opened: a reused buffer, and the parts of it. All zero is a valid empty one. */
typedef struct bh_frame_content {
	bh_buf plain;          /* BH_FRAME_ROOM bytes, then the platform's part */
	bh_view part;          /* the platform's part: count, announcements, structure */
	bh_view announcements; /* BH_ANNOUNCEMENT_LEN bytes each */
	bh_view structure;
	bh_view sections; /* sealed; borrowed from the frame's bytes */
} bh_frame_content;

/* Opens a whole frame (bh_frame_size() bytes). Errors: BH_E_TAG; BH_E_FORMAT (authentic, yet malformed), BH_E_NOMEM, BH_E_CRYPTO.
 */
BH_MUST_CHECK bh_status bh_frame_open(const bh_aead *aead, uint64_t number, const bh_frame_head *head, bh_view bytes,
				      bh_frame_content *out);
size_t bh_frame_announcement_count(const bh_frame_content *content);
bh_announcement bh_frame_announcement(const bh_frame_content *content, size_t idx);

/* ---- the sync mark */

/* What a stream had written, or made durable. */
typedef struct bh_sync_point {
	uint64_t frames;
	uint64_t physical;
} bh_sync_point;

/* What was durable when the mark was made. */
typedef struct bh_sync_mark {
	uint64_t seq;
	bh_sync_point point;
	uint64_t keyring; /* sequence of a commit mark of KEYRING's that was durable then; 0: of none */
} bh_sync_mark;

BH_MUST_CHECK bh_status bh_sync_mark_seal(const bh_aead *aead, const bh_sync_mark *mark, uint8_t out[BH_SYNC_MARK_LEN]);
/* Errors: BH_E_TAG; BH_E_FORMAT (authentic, yet impossible). */
BH_MUST_CHECK bh_status bh_sync_mark_open(const bh_aead *aead, const uint8_t bytes[BH_SYNC_MARK_LEN], bh_sync_mark *out);

#ifdef __cplusplus
}
#endif
#endif
