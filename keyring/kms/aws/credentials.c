/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.c: see credentials.h.
 */
#include "credentials.h"

#include <stdio.h>

#include "metadata.h"
#include "profile.h"
#include "sts.h"

#define CHAIN_MAX 5 /* profiles that name each other */

/* They go into headers, as they are. */
static bool is_printable(const bh_secret *text)
{
	for (size_t i = 0; i + 1 < text->len; i++)
		if (text->data[i] <= 0x20 || text->data[i] >= 0x7f)
			return false;
	return true;
}

static bh_status credentials_check(const bh_aws_credentials *c, const char *from)
{
	if (c->access_key.len == 0 || c->secret_key.len == 0)
		return bh_fail(BH_E_KMS_REFUSED, "%s has an access key's id or its secret, and not both", from);
	if (!is_printable(&c->access_key) || !is_printable(&c->secret_key) || !is_printable(&c->token))
		return bh_fail(BH_E_KMS_REFUSED, "%s: what stands there for keys has other bytes in it than they have", from);
	return BH_OK;
}

static bh_status from_environment(const bh_aws_environment *environment, bh_aws_credentials *out)
{
	const char *id = bh_aws_environment_get(environment, "AWS_ACCESS_KEY_ID");
	const char *secret = bh_aws_environment_get(environment, "AWS_SECRET_ACCESS_KEY");
	const char *token = bh_aws_environment_get(environment, "AWS_SESSION_TOKEN");

	BH_TRY(bh_aws_secret_text(id != NULL ? id : "", &out->access_key));
	BH_TRY(bh_aws_secret_text(secret != NULL ? secret : "", &out->secret_key));
	BH_TRY(bh_aws_secret_text(token != NULL ? token : "", &out->token));
	snprintf(out->principal, sizeof(out->principal), "%s", id != NULL ? id : "");
	return credentials_check(out, "the environment");
}

typedef struct chain {
	const bh_aws_environment *environment;
	bh_aws_profiles profiles;
	int64_t deadline_ms;
} chain;

static void chain_clear(chain *c)
{
	bh_aws_profiles_clear(&c->profiles);
}

static const char *text_of(const bh_secret *secret)
{
	return secret->len > 0 ? (const char *)secret->data : "";
}

static bh_status keys_of_profile(const chain *c, const char *profile, bh_aws_credentials *out)
{
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "aws_access_key_id", &out->access_key));
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "aws_secret_access_key", &out->secret_key));
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "aws_session_token", &out->token));
	snprintf(out->principal, sizeof(out->principal), "%.128s", text_of(&out->access_key));
	return credentials_check(out, "the profile");
}

/* What the machine has: `source` as "credential_source" has it. */
static bh_status from_machine(const chain *c, const char *source, bh_aws_credentials *out)
{
	if (strcmp(source, "Environment") == 0)
		return from_environment(c->environment, out);
	if (strcmp(source, "EcsContainer") == 0)
		return bh_aws_container(c->environment, c->deadline_ms, out);
	if (strcmp(source, "Ec2InstanceMetadata") == 0)
		return bh_aws_instance(c->environment, c->deadline_ms, out);
	return bh_fail(BH_E_INVALID, "credential_source = %.32s: it is Environment, EcsContainer or Ec2InstanceMetadata", source);
}

static bh_status from_profile(const chain *c, const char *profile, unsigned depth, bh_aws_credentials *out);

/* The credentials that a role is assumed by. */
static bh_status source_of_role(const chain *c, const char *profile, unsigned depth, bh_aws_credentials *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret other = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret machine = { 0 };

	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "source_profile", &other));
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "credential_source", &machine));
	if (other.len > 0 && strcmp(text_of(&other), profile) == 0)
		return keys_of_profile(c, profile, out);
	if (other.len > 0)
		return from_profile(c, text_of(&other), depth + 1, out);
	if (machine.len > 0)
		return from_machine(c, text_of(&machine), out);
	return bh_fail(BH_E_INVALID,
		       "AWS profile '%.64s' has a role_arn, and no source_profile, credential_source or web_identity_token_file",
		       profile);
}

static bh_status role_of_profile(const chain *c, const char *profile, unsigned depth, const bh_secret *role,
				 bh_aws_credentials *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret external = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret session = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret token_file = { 0 };
	BH_CLEANUP(bh_aws_credentials_clear) bh_aws_credentials by = { 0 };

	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "external_id", &external));
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "role_session_name", &session));
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "web_identity_token_file", &token_file));
	const bh_aws_role assumed = { .arn = text_of(role), .session = text_of(&session), .external_id = text_of(&external) };
	if (token_file.len > 0)
		return bh_aws_assume_by_token(c->environment, &assumed, text_of(&token_file), c->deadline_ms, out);
	BH_TRY(source_of_role(c, profile, depth, &by));
	return bh_aws_assume(c->environment, &assumed, &by, c->deadline_ms, out);
}

static bh_status from_profile(const chain *c, const char *profile, unsigned depth, bh_aws_credentials *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret role = { 0 };

	if (depth >= CHAIN_MAX)
		return bh_fail(BH_E_INVALID, "AWS profile '%.64s': profiles that name each other as their source", profile);
	if (!bh_aws_profile_exists(&c->profiles, profile))
		return bh_fail(BH_E_INVALID, "there is no AWS profile '%.64s'", profile);
	BH_TRY(bh_aws_profile_get(&c->profiles, profile, "role_arn", &role));
	if (role.len > 0)
		return role_of_profile(c, profile, depth, &role, out);
	return bh_fail_prefix(keys_of_profile(c, profile, out), "AWS profile '%.64s'", profile);
}

/* Whether the default profile, that nobody has asked for, says anything of credentials. */
static bh_status default_says(const chain *c, bool *says_out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret id = { 0 };
	BH_CLEANUP(bh_secret_clear) bh_secret role = { 0 };

	BH_TRY(bh_aws_profile_get(&c->profiles, "default", "aws_access_key_id", &id));
	BH_TRY(bh_aws_profile_get(&c->profiles, "default", "role_arn", &role));
	*says_out = id.len > 0 || role.len > 0;
	return BH_OK;
}

static bh_status find(const chain *c, bh_aws_credentials *out)
{
	const bh_aws_environment *environment = c->environment;
	const char *profile = bh_aws_environment_get(environment, "AWS_PROFILE");
	const char *role = bh_aws_environment_get(environment, "AWS_ROLE_ARN");
	const char *token_file = bh_aws_environment_get(environment, "AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *session = bh_aws_environment_get(environment, "AWS_ROLE_SESSION_NAME");
	bool says = false;

	if (bh_aws_environment_get(environment, "AWS_ACCESS_KEY_ID") != NULL)
		return from_environment(environment, out);
	if (profile == NULL)
		BH_TRY(default_says(c, &says));
	if (profile != NULL || says)
		return from_profile(c, profile != NULL ? profile : "default", 0, out);
	if (role != NULL && token_file != NULL) {
		const bh_aws_role assumed = { .arn = role, .session = session != NULL ? session : "", .external_id = "" };
		return bh_aws_assume_by_token(environment, &assumed, token_file, c->deadline_ms, out);
	}
	if (bh_aws_environment_get(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL ||
	    bh_aws_environment_get(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL)
		return bh_aws_container(environment, c->deadline_ms, out);
	return bh_fail_prefix(bh_aws_instance(environment, c->deadline_ms, out),
			      "no credentials for AWS in the environment or the profile 'default'; the instance's");
}

bh_status bh_aws_credentials_find(const bh_aws_environment *environment, int64_t deadline_ms, bh_aws_credentials *out)
{
	BH_CLEANUP(chain_clear) chain c = { .environment = environment, .deadline_ms = deadline_ms };
	BH_CLEANUP(bh_aws_credentials_clear) bh_aws_credentials found = { 0 };

	BH_TRY(bh_aws_profiles_read(environment, &c.profiles));
	BH_TRY(find(&c, &found));
	BH_TRY(credentials_check(&found, "what AWS answers"));
	*out = found;
	found = (bh_aws_credentials){ 0 };
	return BH_OK;
}
