/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h: the two sealed units of a stream, encode and decode side by side: a frame and the sync mark. Byte tables in README.md.
 *
 * Pure functions over one AEAD context; the number of a frame and the sequence of a mark, which make the nonce, are the caller's to
 * keep unique.
 */
#ifndef BH_FRAME_H
#define BH_FRAME_H

#include "env/spans/spans.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_FRAME_MAX (1u << 20)          /* bytes of data in one frame */
#define BH_FRAME_HEAD_LEN 4u             /* the length */
#define BH_FRAME_ANNOUNCEMENTS_MAX 4096u /* in one frame */

/* What a frame carries. */
typedef struct bh_frame {
	const bh_announcement *announcements;
	size_t count; /* of announcements */
	bh_view data;
} bh_frame;

/* Appends the sealed frame. Errors: BH_E_NOMEM, BH_E_CRYPTO; `out` keeps its length and holds no plaintext behind it. */
BH_MUST_CHECK bh_status bh_frame_seal(const bh_aead *aead, uint64_t number, const bh_frame *frame, bh_buf *out);

/* Physical bytes of the frame that begins with these BH_FRAME_HEAD_LEN bytes; 0 for a length that no frame has. */
size_t bh_frame_size(const uint8_t head[BH_FRAME_HEAD_LEN]);

/* A frame opened: a reused buffer, and the parts of it. All zero is a valid empty one. */
typedef struct bh_frame_content {
	bh_buf plain;
	bh_view announcements; /* BH_ANNOUNCEMENT_LEN bytes each */
	bh_view data;
} bh_frame_content;
#define BH_ANNOUNCEMENT_LEN (4u + BH_ID_LEN)

/* Opens a whole frame (bh_frame_size() bytes). Errors: BH_E_TAG; BH_E_FORMAT (authentic, yet malformed), BH_E_NOMEM, BH_E_CRYPTO.
 */
BH_MUST_CHECK bh_status bh_frame_open(const bh_aead *aead, uint64_t number, bh_view bytes, bh_frame_content *out);
bh_announcement bh_frame_announcement(const bh_frame_content *content, size_t idx);

/* What a stream had written, or made durable. */
typedef struct bh_sync_point {
	uint64_t frames;
	uint64_t physical;
} bh_sync_point;

/* What was durable when the mark was made. */
typedef struct bh_sync_mark {
	uint64_t seq;
	bh_sync_point point;
} bh_sync_mark;

BH_MUST_CHECK bh_status bh_sync_mark_seal(const bh_aead *aead, const bh_sync_mark *mark, uint8_t out[BH_SYNC_MARK_LEN]);
/* Errors: BH_E_TAG; BH_E_FORMAT (authentic, yet impossible). */
BH_MUST_CHECK bh_status bh_sync_mark_open(const bh_aead *aead, const uint8_t bytes[BH_SYNC_MARK_LEN], bh_sync_mark *out);

#ifdef __cplusplus
}
#endif
#endif
