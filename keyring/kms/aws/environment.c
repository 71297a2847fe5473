/* SPDX-License-Identifier: Apache-2.0
 *
 * environment.c: see environment.h.
 */
#include "environment.h"

#include <stdio.h>

#include "keyring/kms/provider/uri.h"

bh_status bh_aws_secret_text(const char *text, bh_secret *out)
{
	return text[0] != '\0' ? bh_secret_copy(out, bh_view_of(text, strlen(text) + 1)) : BH_OK;
}

void bh_aws_credentials_clear(bh_aws_credentials *credentials)
{
	bh_secret_clear(&credentials->access_key);
	bh_secret_clear(&credentials->secret_key);
	bh_secret_clear(&credentials->token);
	*credentials = (bh_aws_credentials){ 0 };
}

/* ---- the environment */

static const char *const names[] = {
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_PROFILE",
	"AWS_SHARED_CREDENTIALS_FILE",
	"AWS_CONFIG_FILE",
	"HOME",
	"AWS_ROLE_ARN",
	"AWS_ROLE_SESSION_NAME",
	"AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_EC2_METADATA_DISABLED",
	"AWS_EC2_METADATA_SERVICE_ENDPOINT",
	"AWS_CA_BUNDLE",
	"AWS_ENDPOINT_URL",
	"AWS_ENDPOINT_URL_KMS",
	"AWS_ENDPOINT_URL_STS",
	"AWS_USE_FIPS_ENDPOINT",
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

bh_status bh_aws_environment_read(const char *partition, const char *region, bh_aws_environment *out)
{
	size_t size = 1, at = 0;

	for (size_t i = 0; i < NAME_COUNT; i++)
		size += strlen(names[i]) + strlen(bh_env(names[i], "")) + 2;
	BH_TRY(bh_secret_init(&out->text, size));
	for (size_t i = 0; i < NAME_COUNT; i++)
		at += (size_t)snprintf((char *)out->text.data + at, size - at, "%s=%s", names[i], bh_env(names[i], "")) + 1;
	snprintf(out->partition, sizeof(out->partition), "%s", partition);
	snprintf(out->region, sizeof(out->region), "%s", region);
	return BH_OK;
}

void bh_aws_environment_clear(bh_aws_environment *environment)
{
	bh_secret_clear(&environment->text);
}

const char *bh_aws_environment_get(const bh_aws_environment *environment, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = (const char *)environment->text.data; *at != '\0'; at += strlen(at) + 1)
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return at[len + 1] != '\0' ? at + len + 1 : NULL;
	return NULL;
}

/* ---- endpoints */

static bh_status endpoint_of_url(const char *variable, const char *url, const bh_http_tls *tls, bh_http_origin **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 }; /* too large for a stack */
	char base[320];
	bool plain = strncmp(url, "http://", 7) == 0;

	if ((!plain && strncmp(url, "https://", 8) != 0) || strlen(url) > BH_KMS_URI_MAX)
		return bh_fail(BH_E_INVALID, "%s is no URL of https://", variable);
	BH_TRY(bh_secret_init(&room, sizeof(bh_kms_uri)));
	bh_kms_uri *parsed = (bh_kms_uri *)(void *)room.data;
	if (bh_kms_uri_parse(url, parsed) != BH_OK || parsed->query[0] != '\0' ||
	    (parsed->path[0] != '\0' && strcmp(parsed->path, "/") != 0))
		return bh_fail(BH_E_INVALID, "%s is no URL of the form https://HOST:PORT", variable);
	if (plain && !parsed->is_loopback)
		return bh_fail(BH_E_INVALID, "%s: plain HTTP is for 127.0.0.1 and [::1] alone", variable);
	snprintf(base, sizeof(base), "%s://%s%s%s:%u", plain ? "http" : "https", parsed->is_ipv6 ? "[" : "", parsed->host,
		 parsed->is_ipv6 ? "]" : "",
		 parsed->port != 0 ? parsed->port
		 : plain           ? 80
				   : 443);
	return bh_http_origin_new(base, tls, out);
}

bh_status bh_aws_endpoint(const bh_aws_environment *environment, const char *service, bh_http_origin **out)
{
	const char *own = strcmp(service, "kms") == 0 ? "AWS_ENDPOINT_URL_KMS" : "AWS_ENDPOINT_URL_STS";
	const bh_http_tls tls = { .ca_file = bh_aws_environment_get(environment, "AWS_CA_BUNDLE") };
	const char *fips = bh_aws_environment_get(environment, "AWS_USE_FIPS_ENDPOINT");
	char base[128];

	if (bh_aws_environment_get(environment, own) != NULL)
		return endpoint_of_url(own, bh_aws_environment_get(environment, own), &tls, out);
	if (bh_aws_environment_get(environment, "AWS_ENDPOINT_URL") != NULL)
		return endpoint_of_url("AWS_ENDPOINT_URL", bh_aws_environment_get(environment, "AWS_ENDPOINT_URL"), &tls, out);
	snprintf(base, sizeof(base), "https://%s%s.%s.amazonaws.com%s:443", service,
		 fips != NULL && strcmp(fips, "true") == 0 ? "-fips" : "", environment->region,
		 strcmp(environment->partition, "aws-cn") == 0 ? ".cn" : "");
	return bh_http_origin_new(base, &tls, out);
}
