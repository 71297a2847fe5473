/* SPDX-License-Identifier: Apache-2.0
 *
 * curl.h: libcurl's functions, found at run time. Thread-safety: all calls.
 */
#ifndef BH_KMS_CURL_H
#define BH_KMS_CURL_H

#include <curl/curl.h>

#include "keyring/kms/provider/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_curl {
	CURL *(*init)(void);
	CURLcode (*set)(CURL *handle, CURLoption option, ...);
	CURLcode (*get)(CURL *handle, CURLINFO info, ...);
	CURLcode (*perform)(CURL *handle);
	void (*reset)(CURL *handle);
	void (*cleanup)(CURL *handle);
	const char *(*error)(CURLcode code);
	struct curl_slist *(*list_append)(struct curl_slist *list, const char *text);
	void (*list_free)(struct curl_slist *list);
} bh_curl;

/* Loads and initialises it, once for the process. Errors: BH_E_UNSUPPORTED. */
BH_MUST_CHECK bh_status bh_curl_load(const bh_curl **out);

#ifdef __cplusplus
}
#endif
#endif
