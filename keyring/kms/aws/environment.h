/* SPDX-License-Identifier: Apache-2.0
 *
 * environment.h: what the environment says of AWS: where its credentials and its endpoints are; and credentials, as a thing.
 * Thread-safety: as for plain data.
 */
#ifndef BH_KMS_AWS_ENVIRONMENT_H
#define BH_KMS_AWS_ENVIRONMENT_H

#include "keyring/kms/http/http.h"
#include "keyring/kms/http/shared.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What calls are signed by. All zero: none. */
typedef struct bh_aws_credentials {
	bh_secret access_key, secret_key, token; /* with their NULs; token may be empty */
	int64_t expires_at_s;                    /* seconds since 1970; 0: they do not */
	char principal[BH_KMS_PRINCIPAL_SIZE];   /* a role's ARN, or the access key's id */
} bh_aws_credentials;

void bh_aws_credentials_clear(bh_aws_credentials *credentials); /* wipes */
/* Copies `text` with its NUL; nothing for "". Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_aws_secret_text(const char *text, bh_secret *out);

/* The environment as it was when the first key was opened. */
typedef struct bh_aws_environment {
	bh_secret text;                 /* NAME=VALUE, each with its NUL */
	char region[33], partition[16]; /* of the key; STS is asked there */
} bh_aws_environment;

/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_aws_environment_read(const char *partition, const char *region, bh_aws_environment *out);
void bh_aws_environment_clear(bh_aws_environment *environment);
const char *bh_aws_environment_get(const bh_aws_environment *environment, const char *name); /* NULL: not set, or empty */
/* The origin of `service`, "kms" or "sts". Errors: those of bh_http_origin_new(), BH_E_INVALID (the environment's endpoint). */
BH_MUST_CHECK bh_status bh_aws_endpoint(const bh_aws_environment *environment, const char *service, bh_http_origin **out);

#ifdef __cplusplus
}
#endif
#endif
