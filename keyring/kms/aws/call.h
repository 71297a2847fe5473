/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h: one call to a service of AWS's. Thread-safety: all calls.
 */
#ifndef BH_KMS_AWS_CALL_H
#define BH_KMS_AWS_CALL_H

#include "environment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One call of AWS's: always a POST of a body, to "/". */
typedef struct bh_aws_call {
	const char *service, *region; /* "kms" */
	const char *target;           /* "TrentService.Decrypt"; NULL: none is sent */
	const char *content_type;
	bh_view body;
	int64_t deadline_ms;
} bh_aws_call;

/* Signed by `by` (Signature Version 4), or with NULL not at all. As bh_http_call(). */
BH_MUST_CHECK bh_status bh_aws_call_make(bh_http_origin *origin, const bh_aws_call *call, const bh_aws_credentials *by,
					 bh_http_answer *out);

#ifdef __cplusplus
}
#endif
#endif
