/* SPDX-License-Identifier: Apache-2.0
 *
 * create.c: a database is made: a keyring, then an open that finds nothing else.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bulkhead/status.h>
#include <bulkhead/db.h>

#include "keyring/ring/keyring.h"
#include "engine/core/db.h"
#include "keyring/base/base.h"
#include "engine/core/files.h"
#include "engine/core/home.h"
#include "settings.h"

bh_status bh_db_create(const char *dir, const char *region, const char *platform_cmk_uri, const bh_db_options *options)
{
	const bh_db_options defaults = { 0 };
	bh_keyring_options keyring_options = { 0 };
	bh_db *db = NULL;
	bh_status status;
	bool made;

	if (options == NULL)
		options = &defaults;
	BH_TRY(bh_settings_check(options));
	if (options->pin != NULL)
		return bh_fail(BH_E_INVALID, "%s: a database that is made now has no pin yet; its open hands out the first", dir);
	BH_TRY(bh_name_check("region", region));
	made = mkdir(dir, 0750) == 0;
	if (!made && errno != EEXIST)
		return bh_fail(BH_E_IO, "%s: cannot make the directory: %s", dir, strerror(errno));
	if (bh_dir_has(dir, "CURRENT"))
		return bh_fail(BH_E_EXISTS, "%s: holds a RocksDB already; choose an empty directory", dir);
	keyring_options.kms = options->kms;
	keyring_options.actor = options->actor;
	/* First, so that there is no database without one. What is no directory is refused below. */
	status = bh_home_set(dir);
	if (status == BH_OK || status == BH_E_FORMAT)
		status = bh_keyring_create(dir, region, platform_cmk_uri, &keyring_options);
	/* Refused before anything was written: what is empty can go again. */
	if (status != BH_OK && !bh_dir_has(dir, "KEYRING"))
		bh_home_unset(dir);
	if (status != BH_OK && made)
		(void)rmdir(dir);
	BH_TRY(status);
	/* A kill here leaves a keyring without a database: the next open makes it. */
	BH_TRY(bh_db_open(dir, options, &db));
	bh_db_close(db);
	return bh_done(BH_OK);
}
