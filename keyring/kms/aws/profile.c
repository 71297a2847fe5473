/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c: see profile.h.
 */
#include "profile.h"

#include <stdio.h>

#define FILE_SIZE (256u << 10)
#define PATH_SIZE_MAX 4096

static bh_status file_read(const bh_aws_environment *environment, const char *variable, const char *below_home, bh_secret *out)
{
	const char *named = bh_aws_environment_get(environment, variable), *home = bh_aws_environment_get(environment, "HOME");
	char path[PATH_SIZE_MAX];
	bool read;

	if (named == NULL && home == NULL)
		return BH_OK;
	int len = snprintf(path, sizeof(path), "%s%s", named != NULL ? named : home, named != NULL ? "" : below_home);
	return len < (int)sizeof(path) ? bh_secret_file(path, FILE_SIZE, &read, out) : BH_OK;
}

bh_status bh_aws_profiles_read(const bh_aws_environment *environment, bh_aws_profiles *out)
{
	BH_CLEANUP(bh_aws_profiles_clear) bh_aws_profiles profiles = { 0 };

	BH_TRY(file_read(environment, "AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials", &profiles.credentials));
	BH_TRY(file_read(environment, "AWS_CONFIG_FILE", "/.aws/config", &profiles.config));
	out->credentials = bh_secret_take(&profiles.credentials);
	out->config = bh_secret_take(&profiles.config);
	return BH_OK;
}

void bh_aws_profiles_clear(bh_aws_profiles *profiles)
{
	bh_secret_clear(&profiles->credentials);
	bh_secret_clear(&profiles->config);
}

/* A run of characters within a line. */
typedef struct run {
	const char *text;
	size_t len;
} run;

static run trimmed(const char *text, size_t len)
{
	while (len > 0 && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
		len--;
	return (run){ text, len };
}

static bool is(run r, const char *text)
{
	return r.len == strlen(text) && memcmp(r.text, text, r.len) == 0;
}

/* "[name]", in the configuration "[profile name]" but for the default. */
static bool is_section(run line, bool is_config, const char *profile)
{
	const char *close = memchr(line.text, ']', line.len);

	if (close == NULL)
		return false;
	run name = trimmed(line.text + 1, (size_t)(close - line.text) - 1);
	if (is_config && name.len > 8 && memcmp(name.text, "profile", 7) == 0 && (name.text[7] == ' ' || name.text[7] == '\t'))
		name = trimmed(name.text + 8, name.len - 8);
	else if (is_config && strcmp(profile, "default") != 0)
		return false;
	return is(name, profile);
}

/* Whether the section is there; if `name` is given, its value, or a run without text. */
static bool look_up(const bh_secret *file, bool is_config, const char *profile, const char *name, run *out)
{
	bool inside = false, found = false;

	*out = (run){ 0 };
	for (const char *at = (const char *)file->data; at != NULL && *at != '\0'; at += *at != '\0') {
		size_t len = strcspn(at, "\n");
		run line = trimmed(at, len);
		if (line.len > 0 && line.text[0] == '[') {
			inside = is_section(line, is_config, profile);
			found = found || inside;
		} else if (inside && name != NULL && line.len > 0 && line.text == at && strchr("#;", at[0]) == NULL) {
			const char *equals = memchr(line.text, '=', line.len);
			if (equals != NULL && is(trimmed(line.text, (size_t)(equals - line.text)), name))
				*out = trimmed(equals + 1, line.len - (size_t)(equals - line.text) - 1);
		}
		at += len;
	}
	return found;
}

bool bh_aws_profile_exists(const bh_aws_profiles *profiles, const char *profile)
{
	run unused;

	return look_up(&profiles->credentials, false, profile, NULL, &unused) ||
	       look_up(&profiles->config, true, profile, NULL, &unused);
}

bh_status bh_aws_profile_get(const bh_aws_profiles *profiles, const char *profile, const char *name, bh_secret *out)
{
	run value;

	(void)look_up(&profiles->credentials, false, profile, name, &value);
	if (value.len == 0)
		(void)look_up(&profiles->config, true, profile, name, &value);
	if (value.len == 0)
		return BH_OK;
	BH_TRY(bh_secret_init(out, value.len + 1));
	memcpy(out->data, value.text, value.len);
	return BH_OK;
}
