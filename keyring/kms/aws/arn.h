/* SPDX-License-Identifier: Apache-2.0
 *
 * arn.h: names of AWS's keys, as URIs have them and as its answers have them. Pure. Thread-safety: as for plain data.
 */
#ifndef BH_KMS_AWS_ARN_H
#define BH_KMS_AWS_ARN_H

#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AWS_ARN_MAX 512

typedef struct bh_aws_arn {
	char text[BH_AWS_ARN_MAX + 1]; /* all of it */
	char partition[16];            /* "aws", "aws-cn", "aws-us-gov" */
	char region[33];
	char account[13];
	char key[301]; /* "key/ID" or "alias/NAME" */
	bool is_alias;
} bh_aws_arn;

/* Reads "arn:PARTITION:kms:REGION:ACCOUNT:key/ID" or ":alias/NAME". Errors: BH_E_INVALID, BH_E_UNSUPPORTED (a multi-region key). */
BH_MUST_CHECK bh_status bh_aws_arn_parse(const char *text, bh_aws_arn *out);
/* ... after "aws-kms://". */
BH_MUST_CHECK bh_status bh_aws_uri_parse(const char *uri, bh_aws_arn *out);

#ifdef __cplusplus
}
#endif
#endif
