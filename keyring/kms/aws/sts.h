/* SPDX-License-Identifier: Apache-2.0
 *
 * sts.h: roles, by AWS's Security Token Service. Thread-safety: all calls.
 */
#ifndef BH_KMS_AWS_STS_H
#define BH_KMS_AWS_STS_H

#include "environment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_aws_role {
	const char *arn, *session, *external_id; /* the last two may be "": "bulkhead", and none */
} bh_aws_role;

/* Errors: BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_KMS_THROTTLED, BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_aws_assume(const bh_aws_environment *environment, const bh_aws_role *role, const bh_aws_credentials *by,
				      int64_t deadline_ms, bh_aws_credentials *out);
/* By the web identity in a file. */
BH_MUST_CHECK bh_status bh_aws_assume_by_token(const bh_aws_environment *environment, const bh_aws_role *role,
					       const char *token_file, int64_t deadline_ms, bh_aws_credentials *out);
/* "2026-12-01T11:30:00Z", with parts of a second or not, as seconds since 1970; 0: it is none. */
int64_t bh_aws_time(const char *text);

#ifdef __cplusplus
}
#endif
#endif
