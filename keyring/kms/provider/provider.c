/* SPDX-License-Identifier: Apache-2.0
 *
 * provider.c: see provider.h.
 */
#include "provider.h"

#include <stdio.h>

static _Thread_local char request_id[BH_KMS_REQUEST_ID_SIZE];

const char *bh_kms_request_id(void)
{
	return request_id;
}

void bh_kms_request_id_set(const char *id)
{
	snprintf(request_id, sizeof(request_id), "%s", id);
}
