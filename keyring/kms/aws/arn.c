/* SPDX-License-Identifier: Apache-2.0
 *
 * arn.c: see arn.h.
 */
#include "arn.h"

#include <stdio.h>

#define SMALL "abcdefghijklmnopqrstuvwxyz"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" SMALL
#define DIGITS "0123456789"

static const char scheme[] = "aws-kms://";

/* The next part, up to ':', of these characters alone. */
static bool part_take(const char **at, const char *allowed, char *out, size_t size)
{
	size_t len = strcspn(*at, ":");

	if (len == 0 || len >= size || strspn(*at, allowed) != len || (*at)[len] != ':')
		return false;
	memcpy(out, *at, len);
	out[len] = '\0';
	*at += len + 1;
	return true;
}

static bool key_take(const char *text, bh_aws_arn *out)
{
	out->is_alias = strncmp(text, "alias/", 6) == 0;
	if (!out->is_alias && strncmp(text, "key/", 4) != 0)
		return false;
	const char *name = strchr(text, '/') + 1;
	size_t len = strlen(name);
	if (len == 0 || len > (out->is_alias ? 256 : 64) ||
	    strspn(name, out->is_alias ? LETTERS DIGITS "/_-" : LETTERS DIGITS "-") != len)
		return false;
	snprintf(out->key, sizeof(out->key), "%s", text);
	return true;
}

bh_status bh_aws_arn_parse(const char *text, bh_aws_arn *out)
{
	bh_aws_arn arn = { 0 };
	const char *at = text;
	char word[8], service[8];

	if (strlen(text) > BH_AWS_ARN_MAX || !part_take(&at, SMALL, word, sizeof(word)) || strcmp(word, "arn") != 0 ||
	    !part_take(&at, SMALL "-", arn.partition, sizeof(arn.partition)) || strncmp(arn.partition, "aws", 3) != 0 ||
	    !part_take(&at, SMALL, service, sizeof(service)) || strcmp(service, "kms") != 0 ||
	    !part_take(&at, SMALL DIGITS "-", arn.region, sizeof(arn.region)) ||
	    !part_take(&at, DIGITS, arn.account, sizeof(arn.account)) || strlen(arn.account) != 12 || !key_take(at, &arn))
		return bh_fail(BH_E_INVALID, "'%.200s' is no ARN of a KMS key: one looks like arn:aws:kms:REGION:ACCOUNT:key/ID",
			       text);
	if (strncmp(arn.key, "key/mrk-", 8) == 0)
		return bh_fail(BH_E_UNSUPPORTED,
			       "'%.200s' is a multi-region key: its material is in other regions as well, where data of a region "
			       "must not be opened; use a key of one region",
			       text);
	snprintf(arn.text, sizeof(arn.text), "%s", text);
	*out = arn;
	return BH_OK;
}

bh_status bh_aws_uri_parse(const char *uri, bh_aws_arn *out)
{
	if (strncmp(uri, scheme, strlen(scheme)) != 0)
		return bh_fail(BH_E_INVALID, "CMK URI '%.200s': it looks like aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID", uri);
	return bh_fail_prefix(bh_aws_arn_parse(uri + strlen(scheme), out), "CMK URI");
}
