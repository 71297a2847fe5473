/* SPDX-License-Identifier: Apache-2.0
 *
 * call.c: see call.h.
 */
#include "call.h"

#include <stdio.h>

static bh_status body_digest(bh_view body, char out[2 * BH_SHA256_LEN + 1])
{
	uint8_t digest[BH_SHA256_LEN];

	BH_TRY(bh_sha256(body, digest));
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return BH_OK;
}

bh_status bh_aws_call_make(bh_http_origin *origin, const bh_aws_call *call, const bh_aws_credentials *by, bh_http_answer *out)
{
	bh_http_request request = { .method = "POST", .path = "/", .body = call->body, .deadline_ms = call->deadline_ms };
	char digest[2 * BH_SHA256_LEN + 1], sigv4[64];
	size_t count = 0;

	request.headers[count].name = "Content-Type";
	request.headers[count++].value = call->content_type;
	if (call->target != NULL) {
		request.headers[count].name = "X-Amz-Target";
		request.headers[count++].value = call->target;
	}
	if (by != NULL) {
		BH_TRY(body_digest(call->body, digest));
		request.headers[count].name = "X-Amz-Content-Sha256";
		request.headers[count++].value = digest;
		if (by->token.len > 0) {
			request.headers[count].name = "X-Amz-Security-Token";
			request.headers[count++].value = (const char *)by->token.data;
		}
		snprintf(sigv4, sizeof(sigv4), "aws:amz:%s:%s", call->region, call->service);
		request.sigv4 = sigv4;
		request.access_key = (const char *)by->access_key.data;
		request.secret_key = (const char *)by->secret_key.data;
	}
	return bh_http_call(origin, &request, out);
}
