/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h: AWS KMS in one region as this process sees it: its connections, and the credentials that calls are signed by. All keys
 * of a region that are opened under the same environment share one, so that 10,000 merchants are one sign-in.
 *
 * Credentials that end are renewed five minutes before, by whichever call comes then; ones that are refused are looked for again,
 * and the call made once more if there are others.
 *
 * Thread-safety: all calls may come from many threads. Nobody waits for another's call, but for one that looks for credentials.
 */
#ifndef BH_KMS_AWS_SERVER_H
#define BH_KMS_AWS_SERVER_H

#include "arn.h"
#include "keyring/kms/http/json.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_aws_server bh_aws_server;

/* That of the key's region. Counted: bh_aws_server_unref() it. Errors: those of bh_http_origin_new(), BH_E_INVALID (an endpoint
 * that is none). */
BH_MUST_CHECK bh_status bh_aws_server_get(const bh_aws_arn *key, bh_aws_server **out);
void bh_aws_server_unref(bh_aws_server *server); /* NULL-safe */

/* Asks for `operation`, such as "Decrypt", with a JSON body. *out: the answer's object; NULL where it has none. How it can end: see
 * bh_aws_error(). */
BH_MUST_CHECK bh_status bh_aws_ask(bh_aws_server *server, const char *operation, bh_view body, int64_t deadline_ms, json_t **out);

#ifdef __cplusplus
}
#endif
#endif
