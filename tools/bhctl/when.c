/* SPDX-License-Identifier: Apache-2.0
 *
 * when.c: points in time on the command line.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "bhctl.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "-1h": that long ago. */
static bool take_ago(const char *text, int64_t *out)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	char *end;
	long long n;

	if (text[0] != '-' || text[1] < '0' || text[1] > '9')
		return false;
	errno = 0;
	n = strtoll(text + 1, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (end[0] == units[i].unit && end[1] == '\0' && errno == 0 && n <= INT64_MAX / units[i].ms / 2) {
			*out = now_ms() - n * units[i].ms;
			return true;
		}
	return false;
}

/* Seconds since 1970. */
static bool take_seconds(const char *text, int64_t *out)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 12 || text[digits] != '\0')
		return false;
	*out = strtoll(text, NULL, 10) * 1000;
	return true;
}

/* ".123": up to three digits count. */
static const char *take_fraction(const char *p, int64_t *ms)
{
	int64_t unit = 100;

	*ms = 0;
	if (*p != '.')
		return p;
	for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
		*ms += (*p - '0') * unit;
	return p;
}

/* RFC 3339, in UTC. */
static bool take_rfc3339(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms;

	if (end == NULL)
		return false;
	end = take_fraction(end, &ms);
	*out = (int64_t)timegm(&tm) * 1000 + ms;
	return strcmp(end, "Z") == 0 || strcmp(end, "+00:00") == 0;
}

bh_status bhctl_time(const char *option, const char *text, int64_t *at_ms_out)
{
	int64_t at_ms;

	if (!take_ago(text, &at_ms) && !take_seconds(text, &at_ms) && !take_rfc3339(text, &at_ms))
		return bh_fail(
			BH_E_INVALID,
			"%s '%.80s': a time is written 2026-01-31T12:00:00Z, as seconds since 1970, or as -90s, -30m, -1h, -2d",
			option, text);
	*at_ms_out = at_ms;
	return BH_OK;
}
