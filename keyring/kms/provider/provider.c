/* SPDX-License-Identifier: Apache-2.0
 *
 * provider.c: see provider.h.
 */
#include "provider.h"

#include <stdio.h>

_Static_assert(BH_KMS_DEK_LEN == BH_DEK_LEN, "a provider wraps DEKs");

static _Thread_local char request_id[BH_KMS_REQUEST_ID_SIZE];
static _Thread_local char principal[BH_KMS_PRINCIPAL_SIZE];

const char *bh_kms_request_id(void)
{
	return request_id;
}

void bh_kms_request_id_set(const char *id)
{
	snprintf(request_id, sizeof(request_id), "%s", id);
}

const char *bh_kms_principal(void)
{
	return principal;
}

void bh_kms_principal_set(const char *name)
{
	snprintf(principal, sizeof(principal), "%s", name);
}
