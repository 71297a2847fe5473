/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_kms_agent.c: requests and answers of the KMS agent's protocol. Whatever they hold, the readers do not crash; and what they
 * accept is written back to the same bytes.
 */
#include <stdlib.h>

#include "keyring/kms/agent/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect_same(bh_status encoded, bh_secret *frame, bh_view body)
{
	bh_view again = encoded == BH_OK ? bh_agent_frame_view(frame) : bh_view_of(NULL, 0);

	if (again.len != body.len + BH_AGENT_LENGTH_SIZE || memcmp(again.data + BH_AGENT_LENGTH_SIZE, body.data, body.len) != 0)
		abort();
	bh_secret_clear(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	bh_view body = bh_view_of(data, len);
	bh_agent_request request;
	bh_agent_answer answer;
	bh_secret frame = { 0 };
	size_t body_len;

	if (len >= BH_AGENT_LENGTH_SIZE && bh_agent_length_decode(data, &body_len) == BH_OK && body_len > BH_AGENT_BODY_MAX)
		abort();
	if (len > BH_AGENT_BODY_MAX)
		return 0;
	if (bh_agent_request_decode(body, &request) == BH_OK)
		expect_same(bh_agent_request_encode(&request, &frame), &frame, body);
	if (bh_agent_answer_decode(body, &answer) == BH_OK)
		expect_same(bh_agent_answer_encode(&answer, &frame), &frame, body);
	return 0;
}
