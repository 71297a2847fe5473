/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h: calls to a KMS over HTTPS, by libcurl, which is loaded at the first one.
 *
 * An origin is one server as one client sees it: its connections, which are kept, and whether it answers. What always holds: the
 * server's certificate is verified, by the system's authorities or a file of one's own; TLS 1.2 or later; plain HTTP for loopback
 * addresses, and the link-local ones of AWS's machine credentials, alone; no redirect is followed; no proxy is used but
 * BULKHEAD_KMS_PROXY; nothing of ~/.netrc or cookies; an answer has a bound, and a call a deadline, half a second of it at most for
 * the connection. Memory that libcurl and jansson free is wiped, unless the host program has given them allocators of its own.
 *
 * While an origin does not answer, one call at a time tries it; all others end at once (BH_E_KMS_UNREACHABLE). While it says that
 * it takes no more calls, nobody asks it, for as long as it said, or a second (BH_E_KMS_THROTTLED). Other origins are not
 * concerned.
 *
 * Thread-safety: all calls may come from many threads. A child after a fork makes no call through an origin of before.
 */
#ifndef BH_KMS_HTTP_H
#define BH_KMS_HTTP_H

#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_HTTP_ANSWER_MAX (64u << 10) /* bytes of an answer */
#define BH_HTTP_HEADERS_MAX 12

typedef struct bh_http_origin bh_http_origin;

/* Files are read at each new connection. NULL: the system's authorities; no certificate of one's own. */
typedef struct bh_http_tls {
	const char *ca_file, *ca_dir;
	const char *cert_file, *key_file;
} bh_http_tls;

/* `base` is "https://HOST:PORT" or "http://127.0.0.1:PORT", with what else comes before every path. Copies all.
 * Errors: BH_E_UNSUPPORTED (no libcurl), BH_E_INVALID (plain HTTP elsewhere), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_http_origin_new(const char *base, const bh_http_tls *tls, bh_http_origin **out);
void bh_http_origin_free(bh_http_origin *origin); /* NULL-safe */
const char *bh_http_origin_base(const bh_http_origin *origin);

typedef struct bh_http_request {
	const char *method; /* "GET" */
	const char *path;   /* what comes after the base */
	struct {
		const char *name, *value; /* the value may be secret */
	} headers[BH_HTTP_HEADERS_MAX];
	bh_view body;        /* may be secret */
	int64_t deadline_ms; /* bh_http_deadline_ms() */
	const char *sigv4;   /* "aws:amz:REGION:SERVICE": signed so (CURLOPT_AWS_SIGV4), with the two below. NULL: not */
	const char *access_key, *secret_key;
} bh_http_request;

typedef struct bh_http_answer {
	long code;           /* 200 */
	char *body;          /* with a NUL that `len` does not count */
	size_t len;          /* bytes */
	uint32_t retry_s;    /* Retry-After; 0: it does not say */
	char request_id[65]; /* x-amzn-RequestId; "" */
} bh_http_answer;

/* On what clock a call that may take `timeout_ms` has to end. */
int64_t bh_http_deadline_ms(uint32_t timeout_ms);

/* One call. BH_OK: there is an answer, whatever its code. The caller clears it, which wipes it.
 * Errors: BH_E_KMS_UNREACHABLE, BH_E_KMS_THROTTLED (nobody was asked), BH_E_FORMAT (no HTTP, or too large), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_http_call(bh_http_origin *origin, const bh_http_request *request, bh_http_answer *out);
void bh_http_answer_clear(bh_http_answer *answer);
/* For an answer that says "not now": nobody asks the origin for as long as it says, or a second. Returns BH_E_KMS_THROTTLED, with
 * `what` in the message. */
bh_status bh_http_throttled(bh_http_origin *origin, const bh_http_answer *answer, const char *what);

#ifdef __cplusplus
}
#endif
#endif
