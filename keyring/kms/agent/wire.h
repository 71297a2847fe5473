/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h: what is said between the provider of agent:SOCKET#KEY and bhkms-agent: one request, one answer, then the
 * connection ends. Byte tables in README.md.
 *
 * One codec for both sides. A frame is a length and a body; bodies are bounded, so nobody can make the other side allocate or wait
 * for more. A body is read as a whole or not at all: unknown versions, commands, outcomes and states, wrong lengths, control
 * characters in text and trailing bytes are refused. Frames may hold keys, so they are kept in bh_secrets.
 *
 * Pure: no I/O, no state. Thread-safety: as for plain data.
 */
#ifndef BH_KMS_AGENT_WIRE_H
#define BH_KMS_AGENT_WIRE_H

#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AGENT_BODY_MAX 2040     /* bytes; with its length, a frame fits into one chunk of the secrets' arena */
#define BH_AGENT_LENGTH_SIZE 4     /* bytes of the length before it */
#define BH_AGENT_CONTEXT_MAX 512   /* bytes of an encryption context */
#define BH_AGENT_MESSAGE_MAX 400   /* bytes of a message, without the NUL; longer ones are cut */
#define BH_AGENT_REQUEST_ID_LEN 16 /* random bytes */

typedef enum bh_agent_command {
	BH_AGENT_OPEN = 1, /* is there such a key? */
	BH_AGENT_DESCRIBE = 2,
	BH_AGENT_WRAP = 3,
	BH_AGENT_UNWRAP = 4,
	BH_AGENT_DESTROY = 5,
} bh_agent_command;

typedef struct bh_agent_request {
	bh_agent_command command;
	uint8_t id[BH_AGENT_REQUEST_ID_LEN];
	char key[BH_NAME_MAX + 1];
	bh_view payload; /* WRAP: BH_DEK_LEN secret bytes; UNWRAP: a wrap of at most BH_KMS_WRAPPED_MAX; else empty. Borrowed */
	bh_view context; /* WRAP, UNWRAP: at most BH_AGENT_CONTEXT_MAX; else empty. Borrowed */
} bh_agent_request;

typedef struct bh_agent_answer {
	bh_agent_command command; /* these three as in the request */
	uint8_t id[BH_AGENT_REQUEST_ID_LEN];
	char key[BH_NAME_MAX + 1];
	bh_status outcome; /* one of those that a KMS gives; nothing below is set unless it is BH_OK, but the message */
	char message[BH_AGENT_MESSAGE_MAX + 1]; /* why, where it is not */
	bh_kms_key_info info;                   /* DESCRIBE */
	uint32_t version;                       /* WRAP */
	bh_view payload;                        /* WRAP: the wrap; UNWRAP: the secret bytes, at most BH_DEK_LEN. Borrowed */
	bh_kms_evidence evidence;               /* DESTROY */
} bh_agent_answer;

const char *bh_agent_command_name(bh_agent_command command); /* "unwrap"; never NULL */

/* Makes the frame of it, length included, in `out`, which must be empty and becomes as large as a frame can be. Errors:
 * BH_E_INVALID (longer than the bounds say), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_agent_request_encode(const bh_agent_request *request, bh_secret *out);
BH_MUST_CHECK bh_status bh_agent_answer_encode(const bh_agent_answer *answer, bh_secret *out);
/* The frame in what was encoded. Borrowed. */
bh_view bh_agent_frame_view(const bh_secret *frame);
/* Reads a body (a frame without its length). What is borrowed points into it. Errors: BH_E_VERSION, BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_agent_request_decode(bh_view body, bh_agent_request *out);
BH_MUST_CHECK bh_status bh_agent_answer_decode(bh_view body, bh_agent_answer *out);
/* The length in a frame's first BH_AGENT_LENGTH_SIZE bytes. Errors: BH_E_FORMAT (none, or more than BH_AGENT_BODY_MAX). */
BH_MUST_CHECK bh_status bh_agent_length_decode(const uint8_t *frame, size_t *len_out);

/* What an outcome becomes on the way to another process: the KMS's own reasons stay, trouble of the agent's own (memory, I/O) is no
 * answer: BH_E_KMS_UNREACHABLE. */
bh_status bh_agent_outcome(bh_status status);

#ifdef __cplusplus
}
#endif
#endif
