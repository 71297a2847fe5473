/* SPDX-License-Identifier: Apache-2.0
 *
 * change.c: what changes a key of a local KMS: its owner, and time.
 *
 * Each change is made under the directory's lock, on what is on disk at that moment, and is noted in the key's history with the id
 * of the request. A key with a deletion window is destroyed in two steps:
 *
 *     ENABLED, DISABLED --destroy--> PENDING_DELETION --its date, when next asked--> DESTROYED
 *                                            --enable--> ENABLED
 *
 * There is no process that waits for the date: whoever asks for the key next, for whatever reason, finds its material destroyed
 * before he is answered. Until then nothing is unwrapped by it either.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "parts.h"

#define LOCK_FILE ".lock"

bh_status bh_local_dir_lock(const bh_io_dir *dir, int *fd_out)
{
	BH_CLEANUP(bh_io_closep) int fd = -1;

	bh_status status = bh_io_open(dir, LOCK_FILE, O_RDWR | O_CREAT, &fd, NULL, NULL);

	/* Also where the directory is gone: that says nothing of any key. */
	if (status != BH_OK)
		return status == BH_E_FORMAT ? status : BH_E_KMS_UNREACHABLE;
	if (TEMP_FAILURE_RETRY(flock(fd, LOCK_EX)) != 0)
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s/" LOCK_FILE ": cannot lock: %s", dir->path, strerror(errno));
	*fd_out = fd;
	fd = -1;
	return BH_OK;
}

/* The end of a deletion window */

static bool is_due(const bh_local_key *key, int64_t now_s)
{
	return key->info.state == BH_KMS_PENDING_DELETION && now_s >= key->info.scheduled_s;
}

/* Loads; what is due is destroyed on disk before anybody is told. The caller holds the lock. */
static bh_status load_locked(const bh_io_dir *dir, const bh_local_root *root, const char *name, bh_local_key *out)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	int64_t now_s = (int64_t)time(NULL);

	BH_TRY(bh_local_key_load(dir, root, name, &key));
	if (is_due(&key, now_s)) {
		key.info.state = BH_KMS_DESTROYED;
		BH_TRY(bh_local_key_note(&key, BH_LOCAL_DESTROY, now_s, key.info.request_id));
		BH_TRY(bh_local_key_store(dir, root, &key));
	}
	*out = key;
	key.versions = NULL;
	return BH_OK;
}

bh_status bh_local_key_now(const bh_io_dir *dir, const bh_local_root *root, const char *name, bh_local_key *out)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	BH_CLEANUP(bh_io_closep) int lock = -1;

	BH_TRY(bh_local_key_load(dir, root, name, &key));
	if (is_due(&key, (int64_t)time(NULL))) {
		BH_TRY(bh_local_dir_lock(dir, &lock));
		return load_locked(dir, root, name, out);
	}
	*out = key;
	key.versions = NULL;
	return BH_OK;
}

/* The console */

static bh_status change_begin(const bh_local_kms *kms, bh_io_dir *dir, int *lock, bh_local_key *key)
{
	BH_TRY(bh_local_dir_reopen(kms, dir));
	BH_TRY(bh_local_dir_lock(dir, lock));
	return load_locked(dir, &kms->root, kms->name, key);
}

/* From DESTROYED there is no way, from PENDING_DELETION only that to ENABLED. */
static bh_status refuse_ended(const bh_local_kms *kms, const bh_local_key *key)
{
	if (key->info.state == BH_KMS_DESTROYED)
		return bh_fail(BH_E_KMS_REFUSED, "CMK 'local:%s#%s': is destroyed and cannot be changed", kms->dir, kms->name);
	if (key->info.state == BH_KMS_PENDING_DELETION)
		return bh_fail(BH_E_KMS_REFUSED, "CMK 'local:%s#%s': is to be destroyed; enable it first to keep it", kms->dir,
			       kms->name);
	return BH_OK;
}

bh_status bh_local_rotate(const bh_local_kms *kms, uint32_t *version_out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_io_closep) int lock = -1;
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	int64_t now_s = (int64_t)time(NULL);

	BH_TRY(change_begin(kms, &dir, &lock, &key));
	BH_TRY(refuse_ended(kms, &key));
	BH_TRY(bh_local_key_add_version(&kms->root, &key, now_s));
	BH_TRY(bh_local_key_note(&key, BH_LOCAL_ROTATE, now_s, NULL));
	BH_TRY(bh_local_key_store(&dir, &kms->root, &key));
	*version_out = key.info.version;
	return BH_OK;
}

bh_status bh_local_set_state(const bh_local_kms *kms, bh_kms_key_state state)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_io_closep) int lock = -1;
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };
	bool enable = state == BH_KMS_ENABLED;

	BH_TRY(change_begin(kms, &dir, &lock, &key));
	if (key.info.state == state)
		return BH_OK;
	if (key.info.state == BH_KMS_DESTROYED || !enable)
		BH_TRY(refuse_ended(kms, &key));
	key.info.state = state;
	key.info.scheduled_s = 0;
	BH_TRY(bh_local_key_note(&key, enable ? BH_LOCAL_ENABLE : BH_LOCAL_DISABLE, (int64_t)time(NULL), NULL));
	return bh_local_key_store(&dir, &kms->root, &key);
}

static bh_status destroy(const bh_local_kms *kms, const bh_io_dir *dir, bh_local_key *key)
{
	bool at_once = key->info.deletion_window_s == 0;
	int64_t now_s = (int64_t)time(NULL);

	key->info.state = at_once ? BH_KMS_DESTROYED : BH_KMS_PENDING_DELETION;
	key->info.scheduled_s = at_once ? 0 : now_s + key->info.deletion_window_s;
	BH_TRY(bh_local_key_note(key, at_once ? BH_LOCAL_DESTROY : BH_LOCAL_SCHEDULE, now_s, NULL));
	return bh_local_key_store(dir, &kms->root, key);
}

bh_status bh_local_destroy(const bh_local_kms *kms, bh_kms_evidence *out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir dir = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_io_closep) int lock = -1;
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };

	BH_TRY(change_begin(kms, &dir, &lock, &key));
	if (key.info.state == BH_KMS_ENABLED || key.info.state == BH_KMS_DISABLED)
		BH_TRY(destroy(kms, &dir, &key));
	out->state = key.info.state;
	out->at_s = key.info.changed_at_s;
	out->scheduled_s = key.info.scheduled_s;
	memcpy(out->request_id, key.info.request_id, sizeof(out->request_id));
	return BH_OK;
}

/* Create */

static bh_status refuse_existing(const bh_io_dir *dir, const bh_local_kms *kms)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };

	bh_status status = load_locked(dir, &kms->root, kms->name, &key);
	if (status != BH_OK)
		return status == BH_E_NOT_FOUND ? BH_OK : status;
	if (key.info.state == BH_KMS_DESTROYED)
		return bh_fail(BH_E_EXISTS, "CMK 'local:%s#%s': was destroyed, and its name is not used again; take another",
			       dir->path, kms->name);
	return bh_fail(BH_E_EXISTS, "CMK 'local:%s#%s': is there already", dir->path, kms->name);
}

bh_status bh_local_key_create(const bh_io_dir *dir, const bh_local_kms *kms, const char *region, uint32_t deletion_window_s)
{
	BH_CLEANUP(bh_local_key_clear) bh_local_key key = { 0 };

	BH_TRY(refuse_existing(dir, kms));
	memcpy(key.info.name, kms->name, sizeof(key.info.name));
	memcpy(key.info.region, region, strlen(region) + 1);
	key.info.state = BH_KMS_ENABLED;
	key.info.deletion_window_s = deletion_window_s;
	key.info.created_at_s = (int64_t)time(NULL);
	BH_TRY(bh_local_key_add_version(&kms->root, &key, key.info.created_at_s));
	BH_TRY(bh_local_key_note(&key, BH_LOCAL_CREATE, key.info.created_at_s, NULL));
	return bh_local_key_store(dir, &kms->root, &key);
}
