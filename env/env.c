/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c: the public face of the Env, and the way of a status through RocksDB's error texts.
 */
#include <bulkhead/env.h>

#include "env/bridge/bridge.h"
#include "env/bridge/options.h"
#include "env/fs/fresh_check.h"
#include "keyring/base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* With keys or without, a merchant is whole: one that is half suspended or half resumed is the engine's to finish. */
static bh_status unlock(bh_keyring *keyring, const bh_merchant_info *merchant)
{
	switch (merchant->state) {
	case BH_MERCHANT_SUSPENDED:
	case BH_MERCHANT_SHREDDING:
	case BH_MERCHANT_SHREDDED: return BH_OK;
	case BH_MERCHANT_SUSPENDING:
	case BH_MERCHANT_RESUMING:
		return bh_fail(BH_E_BUSY,
			       "merchant '%s': is %s; open the database with bh_db_open() (or bhctl) once to finish that",
			       merchant->name, bh_merchant_state_name(merchant->state));
	default: return bh_keyring_merchant_unlock(keyring, merchant->name);
	}
}

static bh_status unlock_all(bh_keyring *keyring)
{
	bh_merchant_info *merchants = NULL;
	bh_status status;
	size_t count = 0;

	BH_TRY(bh_keyring_merchants(keyring, &merchants, &count));
	status = BH_OK;
	for (size_t i = 0; i < count; i++) {
		if (status == BH_OK)
			status = unlock(keyring, &merchants[i]);
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
	return status;
}

bh_status bh_env_create(const char *dir, const bh_env_options *options, rocksdb_env_t **out)
{
	bh_keyring_options keyring_options = { .inspect = bh_fresh_inspect };
	bh_keyring *keyring = NULL;
	bh_fs *fs = NULL;
	bh_status status;

	if (options != NULL) {
		keyring_options.kms = options->kms;
		keyring_options.generation_floor = options->generation_floor;
		keyring_options.pin = options->pin;
		keyring_options.pin_changed = options->pin_changed;
		keyring_options.pin_arg = options->pin_arg;
	}
	BH_TRY(bh_bridge_check_layout());
	BH_TRY(bh_keyring_open(dir, &keyring_options, true, &keyring));
	status = unlock_all(keyring);
	if (status == BH_OK)
		status = bh_fs_new(dir, keyring, &fs);
	if (status != BH_OK) {
		bh_keyring_close(keyring);
		return status;
	}
	return bh_done(bh_bridge_env_new(fs, out));
}

bh_status bh_options_check(const rocksdb_options_t *options)
{
	return bh_done(bh_bridge_check_options(options));
}

static bh_status make_dir(const char *path)
{
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return bh_fail(bh_io_status(errno), "%s: cannot make the directory: %s", path, strerror(errno));
	return BH_OK;
}

bh_status bh_options_use_class(rocksdb_options_t *options, const char *dir, const char *merchant, const char *cls)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_name_check("merchant", merchant));
	BH_TRY(bh_name_check("class", cls));
	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR, dir));
	BH_TRY(make_dir((const char *)path.data));
	BH_TRY(bh_buf_printf(&path, "/%s", merchant));
	BH_TRY(make_dir((const char *)path.data));
	BH_TRY(bh_buf_printf(&path, "/%s", cls));
	BH_TRY(make_dir((const char *)path.data));
	bh_bridge_set_cf_path(options, (const char *)path.data);
	return bh_done(BH_OK);
}

/* The code whose name stands at `name`, "<name>]...": what bridge.cc wrote. */
static bh_status status_by_name(const char *name)
{
	for (int code = 1; code < BH_E_COUNT_; code++) {
		const char *known = bh_status_name((bh_status)code);
		size_t len = strlen(known);

		if (strncmp(name, known, len) == 0 && name[len] == ']')
			return (bh_status)code;
	}
	return BH_E_ROCKSDB;
}

bh_status bh_status_of_rocksdb(char *error)
{
	const char *tagged;
	bh_status status;

	if (error == NULL)
		return bh_done(BH_OK);
	tagged = strstr(error, "bulkhead[");
	status = tagged != NULL ? status_by_name(tagged + strlen("bulkhead[")) : BH_E_ROCKSDB;
	if (tagged == NULL && strstr(error, "unsupported format_version") != NULL)
		status = BH_E_UNSUPPORTED; /* of a table whose pages are authentic: a newer RocksDB's */
	else if (tagged == NULL && strstr(error, "orruption") != NULL)
		status = BH_E_FORMAT;
	else if (tagged == NULL && strstr(error, "read only mode") != NULL)
		status = BH_E_UNSUPPORTED;
	else if (tagged == NULL && strncmp(error, "IO error", 8) == 0)
		status = strstr(error, "lock") != NULL ? BH_E_BUSY : BH_E_IO;
	status = bh_fail(status, "%s", error);
	rocksdb_free(error);
	return status;
}
