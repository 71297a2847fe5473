/* SPDX-License-Identifier: Apache-2.0
 *
 * recorded.c: see recorded.h.
 */
#include "recorded.h"

#include <stdio.h>
#include <unistd.h>

#include "engine/database/opened_with.h"
#include "engine/wall/cause.h"
#include "env/fs/path.h"
#include "keyring/ring/keyring.h"

static void close_keyring(bh_keyring **keyring)
{
	bh_keyring_close(*keyring);
}

bool recorded_is_way(bh_status status)
{
	return bh_opened_with_lacks(status, bh_status_message());
}

static bh_status open_keyring(bhctl *ctl, bh_keyring **out)
{
	const bh_keyring_options options = { .kms = ctl->kms, .pin = ctl->pin, .pin_changed = bhctl_keep_pin, .pin_arg = ctl };

	return bh_keyring_open(ctl->db, &options, true, out);
}

/* Of a merchant that is ACTIVE, parked files are what an earlier resume has left: a suspension that finds them would take them for
 * its own. */
static bh_status check_not_parked(const bhctl *ctl, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_PARKED_DIR "/%s", ctl->db, name));
	if (access((const char *)path.data, F_OK) == 0)
		return bh_fail(BH_E_BUSY,
			       "%s: is left of an earlier step, which the service's next open ends; try again after that",
			       (const char *)path.data);
	return BH_OK;
}

static void say_rest(const char *name, const char *rest)
{
	fprintf(stderr,
		"bhctl: note: merchant '%s': this is recorded, and from now on no open shows its data; %s when the service that "
		"has the operator opens the database next\n",
		name, rest);
}

bh_status recorded_suspend(bhctl *ctl, const char *name, const bh_suspend_options *options)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	BH_CLEANUP(close_keyring) bh_keyring *keyring = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf note = { 0 };

	BH_TRY(bh_suspend_note(options, &note));
	BH_TRY(open_keyring(ctl, &keyring));
	BH_TRY(bh_keyring_merchant(keyring, name, &merchant));
	if (merchant.state >= BH_MERCHANT_SHREDDING)
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded: there is nothing to suspend", name);
	if (merchant.state == BH_MERCHANT_SUSPENDED || merchant.state == BH_MERCHANT_SUSPENDING)
		return merchant.cause == BH_SUSPEND_OPERATOR
			       ? BH_OK
			       : bh_keyring_merchant_set_suspended(keyring, name, merchant.state, BH_SUSPEND_OPERATOR,
								   (const char *)note.data);
	if (merchant.state != BH_MERCHANT_ACTIVE)
		return bh_fail(BH_E_BUSY, "merchant '%s' is %s, which the service's next open ends; try again after that", name,
			       bh_merchant_state_name(merchant.state));
	BH_TRY(check_not_parked(ctl, name));
	BH_TRY(bh_keyring_merchant_set_suspended(keyring, name, BH_MERCHANT_SUSPENDING, BH_SUSPEND_OPERATOR,
						 (const char *)note.data));
	say_rest(name, "its files are set aside");
	return BH_OK;
}

bh_status recorded_shred(bhctl *ctl, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	BH_CLEANUP(close_keyring) bh_keyring *keyring = NULL;

	BH_TRY(open_keyring(ctl, &keyring));
	BH_TRY(bh_keyring_merchant(keyring, name, &merchant));
	if (merchant.state != BH_MERCHANT_SHREDDING)
		BH_TRY(bh_keyring_merchant_set_state(keyring, name, BH_MERCHANT_SHREDDING));
	say_rest(name, "its files and keys are destroyed, and its certificate is made,");
	return BH_OK;
}
