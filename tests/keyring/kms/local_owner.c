/* SPDX-License-Identifier: Apache-2.0
 *
 * local_owner.c: see local_owner.h.
 */
#include "local_owner.h"

#include "keyring/kms/kms.h"
#include "tests/support/harness.h"

workspace owner_workspace;

void owner_make(const char *name)
{
	test_ok(bh_kms_create(workspace_cmk(&owner_workspace, name), "eu-1", NULL));
}

void owner_make_late(const char *name)
{
	const bh_kms_options window = { .deletion_window_s = 86400 };

	test_ok(bh_kms_create(workspace_cmk(&owner_workspace, name), "eu-1", &window));
}

static bh_kms *console(const char *name)
{
	bh_kms *kms = NULL;

	test_ok(bh_kms_open(workspace_cmk(&owner_workspace, name), NULL, &kms));
	return kms;
}

void owner_rotate(const char *name)
{
	uint32_t version = 0;
	bh_kms *kms = console(name);

	test_ok(bh_kms_rotate(kms, &version));
	bh_kms_close(kms);
}

void owner_disable(const char *name)
{
	bh_kms *kms = console(name);

	test_ok(bh_kms_disable(kms));
	bh_kms_close(kms);
}

void owner_enable(const char *name)
{
	bh_kms *kms = console(name);

	test_ok(bh_kms_enable(kms));
	bh_kms_close(kms);
}

void owner_schedule(const char *name)
{
	bh_kms *kms = console(name);

	test_ok(bh_kms_destroy(kms, NULL));
	bh_kms_close(kms);
}
