/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h: one Vault as this process sees it: its connections, a namespace, a way to sign in and the token that this gave. All
 * keys that are opened there in the same way share one, so that 10,000 merchants are one token, renewed once.
 *
 * Where the token comes from is read from the environment when the first key is opened:
 *     BULKHEAD_VAULT_ROLE_ID        AppRole, with the secret id in the file BULKHEAD_VAULT_SECRET_ID_FILE (read at each sign-in),
 * at the mount BULKHEAD_VAULT_AUTH_MOUNT ("approle") VAULT_TOKEN                   a token BULKHEAD_VAULT_TOKEN_FILE     a file
 * with one; read again when it is no good any more VAULT_CLIENT_CERT, VAULT_CLIENT_KEY   a TLS client certificate, at the mount
 * BULKHEAD_VAULT_AUTH_MOUNT ("cert")
 *     ~/.vault-token                as BULKHEAD_VAULT_TOKEN_FILE
 * and further VAULT_NAMESPACE, VAULT_CACERT, VAULT_CAPATH. A token that can be renewed is, at two thirds of its life, by whichever
 * call comes then; one that was refused is replaced once, where there is a way to get another one, and the call made again.
 *
 * Thread-safety: all calls may come from many threads. Nobody waits for another's call, but for one that signs in.
 */
#ifndef BH_KMS_VAULT_SERVER_H
#define BH_KMS_VAULT_SERVER_H

#include "keyring/kms/http/json.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_vault_server bh_vault_server;

/* Counted: bh_vault_server_unref() it. `base` is "https://HOST:PORT". Errors: those of bh_http_origin_new(), BH_E_KMS_REFUSED
 * (there is nothing to sign in by). */
BH_MUST_CHECK bh_status bh_vault_server_get(const char *base, bh_vault_server **out);
void bh_vault_server_unref(bh_vault_server *server); /* NULL-safe */

/* Asks `path` (from "/v1/" on), signed in. `body` may be empty: none is sent. *out: the answer's object; NULL if it has none (204).
 * How it can end: see bh_vault_error(). */
BH_MUST_CHECK bh_status bh_vault_ask(bh_vault_server *server, const char *method, const char *path, bh_view body,
				     int64_t deadline_ms, json_t **out);

/* error.c: what an answer with this code and these "errors" means; sets the message. Never BH_OK. */
bh_status bh_vault_error(bh_http_origin *origin, const bh_http_answer *answer);

#ifdef __cplusplus
}
#endif
#endif
