/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.h: where credentials are found, as AWS's own tools do. In this order:
 *     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *     the profile AWS_PROFILE, or "default" if it says anything of them: keys; a role to assume, with external id, by another
 * profile or by what the machine has; a role by a web identity
 *     AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE
 *     the container's: AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI
 *     the instance's: IMDSv2
 * Files are read anew each time. Thread-safety: all calls.
 */
#ifndef BH_KMS_AWS_CREDENTIALS_H
#define BH_KMS_AWS_CREDENTIALS_H

#include "environment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Looks for credentials. Errors: BH_E_KMS_REFUSED (there are none, or STS says no), BH_E_KMS_UNREACHABLE, BH_E_KMS_THROTTLED,
 * BH_E_INVALID (a profile that is none), BH_E_FORMAT. */
BH_MUST_CHECK bh_status bh_aws_credentials_find(const bh_aws_environment *environment, int64_t deadline_ms,
						bh_aws_credentials *out);

#ifdef __cplusplus
}
#endif
#endif
