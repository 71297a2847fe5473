/* SPDX-License-Identifier: Apache-2.0
 *
 * error.h: what AWS's errors mean. Thread-safety: all calls.
 */
#ifndef BH_KMS_AWS_ERROR_H
#define BH_KMS_AWS_ERROR_H

#include "keyring/kms/http/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an answer with this code and this error's name means; sets the message. Never BH_OK. *credentials_out: it was the
 * credentials that were refused. */
bh_status bh_aws_error(bh_http_origin *origin, const bh_http_answer *answer, bool *credentials_out);
/* ... of STS, whose answers are XML. */
bh_status bh_aws_error_named(bh_http_origin *origin, const bh_http_answer *answer, const char *name, const char *text,
			     bool *credentials_out);

#ifdef __cplusplus
}
#endif
#endif
