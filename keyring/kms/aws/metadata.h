/* SPDX-License-Identifier: Apache-2.0
 *
 * metadata.h: credentials that AWS gives a machine: a container's, and an instance's by IMDSv2. Plain HTTP, at link-local addresses
 * that no network carries, or on loopback. Thread-safety: all calls.
 */
#ifndef BH_KMS_AWS_METADATA_H
#define BH_KMS_AWS_METADATA_H

#include "environment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Errors of both: BH_E_KMS_REFUSED (no role), BH_E_KMS_UNREACHABLE, BH_E_INVALID (a URL elsewhere), BH_E_FORMAT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_aws_container(const bh_aws_environment *environment, int64_t deadline_ms, bh_aws_credentials *out);
BH_MUST_CHECK bh_status bh_aws_instance(const bh_aws_environment *environment, int64_t deadline_ms, bh_aws_credentials *out);

#ifdef __cplusplus
}
#endif
#endif
