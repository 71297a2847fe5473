/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.c: see registry.h.
 */
#include "registry.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static const bh_kms_provider *registered[BH_KMS_PROVIDERS_MAX];
static size_t registered_count;

/* RFC 7512's pin-value, in whichever case; RFC 3986's user and password before a host. */
static bool has_secret(const char *uri)
{
	const char *authority = strstr(uri, "://");

	if (strcasestr(uri, "pin-value") != NULL)
		return true;
	return authority != NULL && memchr(authority + 3, '@', strcspn(authority + 3, "/?#")) != NULL;
}

const char *bh_kms_uri_shown(const char *uri)
{
	return uri != NULL && has_secret(uri) ? "(has a PIN or a password in it, and is not shown)" : uri;
}

static bh_status uri_check(const char *uri)
{
	if (uri == NULL || uri[0] == '\0')
		return bh_fail(BH_E_INVALID, "no CMK URI was given; one looks like local:DIR#KEY");
	if (strlen(uri) > BH_KMS_URI_MAX)
		return bh_fail(BH_E_INVALID, "CMK URI of %zu bytes; %d are the most", strlen(uri), BH_KMS_URI_MAX);
	for (const char *p = uri; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return bh_fail(BH_E_INVALID, "CMK URI with a control character at byte %zu", (size_t)(p - uri));
	}
	if (has_secret(uri))
		return bh_fail(BH_E_INVALID,
			       "a CMK URI is written down, and has no PIN and no password in it: put a PIN into a file, and "
			       "pin-source=file:/PATH in place of pin-value; other credentials come from the environment");
	return BH_OK;
}

static bool has_scheme(const char *uri, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(uri, scheme, len) == 0 && (uri[len] == ':' || uri[len] == '\0');
}

/* The caller holds the lock. */
static const bh_kms_provider *registered_find(const char *uri)
{
	for (size_t i = 0; i < registered_count; i++)
		if (has_scheme(uri, registered[i]->scheme))
			return registered[i];
	return NULL;
}

static const bh_kms_known *known_find(const bh_kms_known *known, size_t count, const char *uri)
{
	for (size_t i = 0; i < count; i++)
		if (has_scheme(uri, known[i].scheme))
			return &known[i];
	return NULL;
}

/* Says what URIs look like here. */
static bh_status unknown_scheme(const bh_kms_known *known, size_t count, const char *uri)
{
	BH_CLEANUP(bh_buf_clear) bh_buf examples = { 0 };

	for (size_t i = 0; i < count; i++)
		if (known[i].provider != NULL)
			BH_TRY(bh_buf_printf(&examples, "%s%s", examples.len > 0 ? ", " : "", known[i].provider->example));
	pthread_mutex_lock(&lock);
	bh_status status = BH_OK;
	for (size_t i = 0; i < registered_count && status == BH_OK; i++)
		status = bh_buf_printf(&examples, ", %s", registered[i]->example);
	pthread_mutex_unlock(&lock);
	BH_TRY(status);
	return bh_fail(BH_E_INVALID, "CMK URI '%.200s': there is no KMS of that scheme; known are %.*s", uri, (int)examples.len,
		       (const char *)examples.data);
}

bh_status bh_kms_provider_find(const bh_kms_known *known, size_t count, const char *uri, const bh_kms_provider **out)
{
	BH_TRY(uri_check(uri));
	const bh_kms_known *own = strchr(uri, ':') != NULL ? known_find(known, count, uri) : NULL;
	if (own != NULL && own->provider == NULL)
		return bh_fail(BH_E_UNSUPPORTED, "CMK URI '%.200s': this build has no %s: KMS, since it was made without %s", uri,
			       own->scheme, own->needs);
	const bh_kms_provider *found = own != NULL ? own->provider : NULL;
	if (found == NULL && strchr(uri, ':') != NULL) {
		pthread_mutex_lock(&lock);
		found = registered_find(uri);
		pthread_mutex_unlock(&lock);
	}
	if (found == NULL)
		return unknown_scheme(known, count, uri);
	*out = found;
	return BH_OK;
}

static bh_status provider_check(const bh_kms_provider *p)
{
	if (p == NULL || p->size != sizeof(*p))
		return bh_fail(BH_E_INVALID, "a KMS provider's table of another size: compile it with this build's kms_provider.h");
	size_t len = p->scheme != NULL ? strlen(p->scheme) : 0;
	if (len == 0 || len > BH_NAME_MAX || strspn(p->scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-") != len)
		return bh_fail(BH_E_INVALID,
			       "a KMS provider's scheme has to be of lower-case letters, digits, '+' and '-', %d at most",
			       BH_NAME_MAX);
	if (p->example == NULL || p->open == NULL || p->close == NULL || p->describe == NULL || p->wrap == NULL ||
	    p->unwrap == NULL || p->destroy == NULL)
		return bh_fail(BH_E_INVALID,
			       "KMS provider '%s': example, open, close, describe, wrap, unwrap and destroy have to be there",
			       p->scheme);
	return BH_OK;
}

bh_status bh_kms_provider_add(const bh_kms_known *known, size_t count, const bh_kms_provider *provider)
{
	BH_TRY(provider_check(provider));
	pthread_mutex_lock(&lock);
	bool taken = known_find(known, count, provider->scheme) != NULL || registered_find(provider->scheme) != NULL;
	bool full = registered_count == BH_KMS_PROVIDERS_MAX;
	if (!taken && !full)
		registered[registered_count++] = provider;
	pthread_mutex_unlock(&lock);
	if (taken)
		return bh_fail(BH_E_EXISTS, "KMS provider '%s': there is one of that scheme already", provider->scheme);
	return full ? bh_fail(BH_E_FULL, "KMS provider '%s': %d are registered, which are the most", provider->scheme,
			      BH_KMS_PROVIDERS_MAX)
		    : BH_OK;
}
