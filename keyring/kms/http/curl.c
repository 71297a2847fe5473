/* SPDX-License-Identifier: Apache-2.0
 *
 * curl.c: see curl.h.
 *
 * Tokens and DEKs pass through libcurl's and jansson's heap. Both are given a free() that wipes: libcurl if nobody in the process
 * has initialised it before, jansson if it has the C library's. What is wiped so is a bit more than ours, which harms nobody.
 */
#include "curl.h"

#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "keyring/kms/provider/library.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bh_curl curl;
static bh_status loaded;
static char why[BH_MESSAGE_SIZE];

static void wiping_free(void *p)
{
	if (p != NULL)
		bh_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *p, size_t len)
{
	void *grown = malloc(len);

	if (grown == NULL || p == NULL)
		return grown;
	size_t had = malloc_usable_size(p);
	memcpy(grown, p, BH_MIN(had, len));
	wiping_free(p);
	return grown;
}

static void jansson_wipes(void)
{
	json_malloc_t has_malloc = NULL;
	json_free_t has_free = NULL;

	json_get_alloc_funcs(&has_malloc, &has_free);
	if (has_malloc == malloc && has_free == free)
		json_set_alloc_funcs(malloc, wiping_free);
}

static void load(void)
{
	CURLcode (*global_init)(long flags, curl_malloc_callback, curl_free_callback, curl_realloc_callback, curl_strdup_callback,
				curl_calloc_callback) = NULL;
	const bh_library_symbol symbols[] = {
		{ "curl_global_init_mem", &global_init },   { "curl_easy_init", &curl.init },
		{ "curl_easy_setopt", &curl.set },          { "curl_easy_getinfo", &curl.get },
		{ "curl_easy_perform", &curl.perform },     { "curl_easy_reset", &curl.reset },
		{ "curl_easy_cleanup", &curl.cleanup },     { "curl_easy_strerror", &curl.error },
		{ "curl_slist_append", &curl.list_append }, { "curl_slist_free_all", &curl.list_free },
	};

	loaded = bh_library_load("libcurl.so.4", "libcurl4", symbols, sizeof(symbols) / sizeof(symbols[0]));
	if (loaded == BH_OK && global_init(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc) != CURLE_OK)
		loaded = bh_fail(BH_E_UNSUPPORTED, "libcurl cannot be initialised");
	if (loaded == BH_OK)
		jansson_wipes();
	else
		snprintf(why, sizeof(why), "%s", bh_status_message());
}

bh_status bh_curl_load(const bh_curl **out)
{
	pthread_once(&once, load);
	if (loaded != BH_OK)
		return bh_fail(loaded, "%s", why);
	*out = &curl;
	return BH_OK;
}
