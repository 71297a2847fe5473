/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h: AWS's shared files of credentials and configuration: sections in brackets, "name = value", '#' and ';' for comments,
 * indented lines below a name that are another's affair. Thread-safety: as for plain data.
 */
#ifndef BH_KMS_AWS_PROFILE_H
#define BH_KMS_AWS_PROFILE_H

#include "environment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Both files, as they are now. */
typedef struct bh_aws_profiles {
	bh_secret credentials, config; /* with a NUL; empty: there is none */
} bh_aws_profiles;

/* Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_aws_profiles_read(const bh_aws_environment *environment, bh_aws_profiles *out);
void bh_aws_profiles_clear(bh_aws_profiles *profiles); /* wipes */
bool bh_aws_profile_exists(const bh_aws_profiles *profiles, const char *profile);
/* The value of `name` in `profile`: the credentials file's, else the configuration's. *out is empty where there is none; else with
 * a NUL. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_aws_profile_get(const bh_aws_profiles *profiles, const char *profile, const char *name, bh_secret *out);

#ifdef __cplusplus
}
#endif
#endif
