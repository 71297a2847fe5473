/* SPDX-License-Identifier: Apache-2.0
 *
 * uri.c: see uri.h.
 */
#include "uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent-encoding of `len` bytes into `out`. False: not well formed, a control character, or too long. */
static bool decode(const char *from, size_t len, char *out, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)from[i];
		if (c == '%') {
			int high = len - i >= 3 ? hex_digit(from[i + 1]) : -1, low = high >= 0 ? hex_digit(from[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f || at + 1 >= size)
			return false;
		out[at++] = (char)c;
	}
	out[at] = '\0';
	return true;
}

static bool is_loopback(const bh_kms_uri *uri)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (uri->is_ipv6)
		return inet_pton(AF_INET6, uri->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
	return inet_pton(AF_INET, uri->host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

/* Splits "[::1]:80", "host:80", "host". False: neither. */
static bool authority_parse(const char *text, size_t len, bh_kms_uri *out)
{
	const char *end = text + len, *port = NULL;
	const char *host = text;
	size_t host_len;

	out->is_ipv6 = len > 0 && text[0] == '[';
	if (out->is_ipv6) {
		const char *close = memchr(text, ']', len);
		if (close == NULL || (close + 1 < end && close[1] != ':'))
			return false;
		host++;
		host_len = (size_t)(close - host);
		port = close + 1 < end ? close + 2 : NULL;
	} else {
		const char *colon = memchr(text, ':', len);
		host_len = colon != NULL ? (size_t)(colon - text) : len;
		port = colon != NULL ? colon + 1 : NULL;
	}
	if (host_len == 0 || host_len >= sizeof(out->host))
		return false;
	for (size_t i = 0; i < host_len; i++) {
		if (!isalnum((unsigned char)host[i]) && strchr(out->is_ipv6 ? ":." : "-._", host[i]) == NULL)
			return false;
		out->host[i] = (char)tolower((unsigned char)host[i]);
	}
	out->host[host_len] = '\0';
	out->port = 0;
	if (port == NULL)
		return true;
	for (const char *p = port; p < end; p++) {
		if (!isdigit((unsigned char)*p) || out->port > 65535)
			return false;
		out->port = out->port * 10 + (uint32_t)(*p - '0');
	}
	return out->port > 0 && out->port <= 65535;
}

bh_status bh_kms_uri_parse(const char *text, bh_kms_uri *out)
{
	bh_kms_uri uri = { 0 };
	const char *rest = strchr(text, ':') + 1;

	if (strncmp(rest, "//", 2) != 0)
		return bh_fail(BH_E_INVALID, "CMK URI '%.200s': after the scheme comes //HOST", text);
	rest += 2;
	size_t len = strcspn(rest, "/?#");
	/* A password would be in every log: it is not even said. */
	if (memchr(rest, '@', len) != NULL)
		return bh_fail(BH_E_INVALID, "a CMK URI has no user and no password in it; credentials come from elsewhere");
	if (strchr(rest, '#') != NULL)
		return bh_fail(BH_E_INVALID, "CMK URI '%.200s': '#' has no meaning in it", text);
	if (!authority_parse(rest, len, &uri))
		return bh_fail(BH_E_INVALID, "CMK URI '%.200s': '%.*s' is no HOST or HOST:PORT", text, (int)BH_MIN(len, 100u),
			       rest);
	uri.is_loopback = is_loopback(&uri);
	rest += len;
	len = strcspn(rest, "?");
	if (!decode(rest, len, uri.path, sizeof(uri.path)))
		return bh_fail(BH_E_INVALID, "CMK URI '%.200s': the path has a %%-code or a byte that cannot be", text);
	if (rest[len] == '?')
		memcpy(uri.query, rest + len + 1, strlen(rest + len + 1) + 1);
	*out = uri;
	return BH_OK;
}

bh_status bh_kms_uri_query(const bh_kms_uri *uri, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name);
	bool found = false;

	out[0] = '\0';
	for (const char *p = uri->query; *p != '\0'; p += p[0] == '&' ? 1 : 0) {
		size_t len = strcspn(p, "&");
		if (len > name_len && strncmp(p, name, name_len) == 0 && p[name_len] == '=') {
			if (found)
				return bh_fail(BH_E_INVALID, "CMK URI: '%s' is there twice", name);
			if (!decode(p + name_len + 1, len - name_len - 1, out, size))
				return bh_fail(BH_E_INVALID, "CMK URI: the value of '%s' is too long or not well formed", name);
			found = true;
		}
		p += len;
	}
	return BH_OK;
}

bh_status bh_kms_uri_query_check(const bh_kms_uri *uri, const char *const *names)
{
	for (const char *p = uri->query; *p != '\0'; p += p[0] == '&' ? 1 : 0) {
		size_t len = strcspn(p, "&"), name_len = strcspn(p, "=&");
		bool known = false;
		for (size_t i = 0; names[i] != NULL; i++)
			known = known || (strlen(names[i]) == name_len && strncmp(p, names[i], name_len) == 0);
		if (!known || p[name_len] != '=')
			return bh_fail(BH_E_INVALID, "CMK URI: '%.*s' is nothing that this KMS knows", (int)BH_MIN(name_len, 64u),
				       p);
		p += len;
	}
	return BH_OK;
}
