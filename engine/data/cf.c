/* SPDX-License-Identifier: Apache-2.0
 *
 * cf.c: a class of a merchant, as callers hold it.
 */
#include "engine/core/merchant.h"
#include "keyring/base/base.h"

#include <stdlib.h>

/* Says why a merchant is not among the living ones. */
static bh_status not_listed(bh_db *db, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	BH_TRY(bh_keyring_merchant(db->keyring, name, &info));
	switch (info.state) {
	case BH_MERCHANT_SHREDDING:
	case BH_MERCHANT_SHREDDED:
		return bh_fail(BH_E_SHREDDED, "merchant '%s' is shredded: its keys and data are destroyed", name);
	case BH_MERCHANT_CREATING: return bh_fail(BH_E_BUSY, "merchant '%s' is being created; the next open completes it", name);
	default: return bh_fail(BH_E_BUSY, "merchant '%s': is being taken up or given away right now", name);
	}
}

static bh_status cf_open_inside(bh_db *db, const char *merchant_name, const char *cls_name, bh_cf **out)
{
	bh_merchant *merchant = bh_merchant_find(db, merchant_name);
	bh_status status;
	bh_class *cls;
	bh_cf *cf;

	if (merchant == NULL)
		return not_listed(db, merchant_name);
	status = bh_gate_enter(&merchant->gate, merchant->name);
	if (status != BH_OK) {
		bh_merchant_unref(merchant);
		return status;
	}
	bh_gate_leave(&merchant->gate);
	cls = bh_merchant_class(merchant, cls_name);
	cf = cls != NULL ? calloc(1, sizeof(*cf)) : NULL;
	if (cf == NULL) {
		bh_merchant_unref(merchant);
		return cls != NULL ? bh_fail(BH_E_NOMEM, "no memory")
				   : bh_fail(BH_E_NO_SUCH_CLASS, "merchant '%s' has no class '%s'", merchant_name, cls_name);
	}
	cf->merchant = merchant;
	cf->cls = cls;
	*out = cf;
	return BH_OK;
}

bh_status bh_cf_open(bh_db *db, const char *merchant_name, const char *cls_name, bh_cf **out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, cf_open_inside(db, merchant_name, cls_name, out));
}

void bh_cf_close(bh_cf *cf)
{
	if (cf == NULL)
		return;
	bh_merchant_unref(cf->merchant);
	free(cf);
}

rocksdb_column_family_handle_t *bh_cf_handle(bh_cf *cf)
{
	return cf->cls->handle;
}
