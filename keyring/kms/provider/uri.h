/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.h: CMK URIs of the form scheme://HOST[:PORT]/PATH[?NAME=VALUE[&...]] (RFC 3986), without user, password and fragment, which
 * have no place in what is written down. Pure. Thread-safety: as for plain data.
 */
#ifndef BH_KMS_URI_H
#define BH_KMS_URI_H

#include "provider.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_kms_uri {
	char host[256]; /* lower-case, an IPv6 address without its brackets */
	uint32_t port;  /* 0: none is given */
	bool is_ipv6;
	bool is_loopback;              /* host is 127.0.0.0/8 or ::1, in figures: a name may mean anything */
	char path[BH_KMS_URI_MAX + 1]; /* with its first '/'; percent-encoding undone */
	char query[BH_KMS_URI_MAX + 1];
} bh_kms_uri;

/* Reads what follows "scheme:". Errors: BH_E_INVALID, naming the URI and what is wrong; nothing of a password in it. */
BH_MUST_CHECK bh_status bh_kms_uri_parse(const char *uri, bh_kms_uri *out);
/* The value of `name` in the query, percent-encoding undone; "" where it is not there. Errors: BH_E_INVALID (there twice, or longer
 * than `size`). */
BH_MUST_CHECK bh_status bh_kms_uri_query(const bh_kms_uri *uri, const char *name, char *out, size_t size);
/* Whether the query has no names but these. NULL ends them. Errors: BH_E_INVALID (names the other one). */
BH_MUST_CHECK bh_status bh_kms_uri_query_check(const bh_kms_uri *uri, const char *const *names);

#ifdef __cplusplus
}
#endif
#endif
