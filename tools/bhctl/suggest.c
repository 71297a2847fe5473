/* SPDX-License-Identifier: Apache-2.0
 *
 * suggest.c: see suggest.h.
 */
#include "suggest.h"

#include <stdio.h>
#include <string.h>

#include "keyring/base/base.h"

#define FAR SUGGEST_SIZE

/* Row by row of the usual table; `before` and `above` are the two rows in front of this one. */
static unsigned distance(const char *a, const char *b)
{
	unsigned rows[3][SUGGEST_SIZE] = { 0 };
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];
	const size_t n = strlen(a), m = strlen(b);

	if (n >= SUGGEST_SIZE || m >= SUGGEST_SIZE)
		return FAR;
	for (size_t j = 0; j <= m; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *last = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = BH_MIN(BH_MIN(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = BH_MIN(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = last;
	}
	return above[m];
}

/* A third of the letters may differ; the beginning of a word is like it. */
static unsigned likeness(const char *typed, const char *candidate)
{
	const size_t len = strlen(typed);
	const unsigned d = distance(typed, candidate);

	if (len >= 2 && strncmp(typed, candidate, len) == 0)
		return 1;
	return d <= BH_MAX(len / 3, (size_t)1) && d < len ? d : FAR;
}

void suggest_weigh(const char *typed, const char *candidate, char best[SUGGEST_SIZE])
{
	const unsigned d = likeness(typed, candidate);

	if (d < FAR && (best[0] == '\0' || d < likeness(typed, best)))
		snprintf(best, SUGGEST_SIZE, "%s", candidate);
}
