/* SPDX-License-Identifier: Apache-2.0
 *
 * fs.c: the keyring's answers, and the files that are open (fs.h).
 */
#include "fs.h"

#include <stdlib.h>

#include "fs_state.h"
#include "look.h"

static void freep(char **p)
{
	free(*p);
}

/* ---- bh_scopes */

static bh_status dek_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	bh_fs *fs = arg;
	uint64_t changes = bh_family_table_changes(&fs->families);
	bh_dek *dek = NULL;
	bh_scope scope;

	if (cf_id == BH_CF_DEFAULT) {
		*out = NULL;
		return BH_OK;
	}
	if (!bh_family_table_find(&fs->families, cf_id, &scope, NULL, &dek))
		return bh_fail(BH_E_NOT_FOUND, "column family %u is unknown: no MANIFEST edit has added it", cf_id);
	if (dek == NULL) {
		BH_TRY(bh_keyring_dek_current(fs->keyring, &scope, &dek));
		bh_family_table_keep_dek(&fs->families, cf_id, dek, changes);
	}
	*out = dek;
	return BH_OK;
}

/* Whether the view shows what is of this scope. */
static bool is_shown(const bh_fs *fs, const bh_scope *scope)
{
	return fs->only == NULL || bh_scope_is_platform(scope) || strcmp(scope->merchant, fs->only) == 0;
}

static bh_status dek_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	const bh_fs *fs = arg;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	BH_TRY(bh_keyring_dek_find(fs->keyring, id, &dek));
	if (!is_shown(fs, bh_dek_scope(dek)))
		return bh_fail(BH_E_NO_KEY, "%s: its bytes are not of merchant '%s'", fs->root, fs->only);
	*out = bh_dek_ref(dek);
	return BH_OK;
}

static bh_status cf_added(void *arg, uint32_t cf_id, bh_view name)
{
	bh_fs *fs = arg;
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	bh_scope scope;

	BH_TRY(bh_cf_name_parse(name, &scope));
	if (bh_scope_is_platform(&scope) != (cf_id == BH_CF_DEFAULT))
		return bh_fail(BH_E_FORMAT, "column family %u cannot be named '%.*s'", cf_id, (int)name.len,
			       (const char *)name.data);
	if (bh_scope_is_platform(&scope))
		return BH_OK;
	if (bh_keyring_merchant(fs->keyring, scope.merchant, &merchant) != BH_OK)
		return bh_fail(BH_E_INVALID, "column family '%.*s': the keyring has no merchant '%s'; add it first", (int)name.len,
			       (const char *)name.data, scope.merchant);
	return bh_family_table_set(&fs->families, cf_id, &scope);
}

/* Whether a family is known by this id, or is one that the engine makes right now; for a bh_fs that nobody has guarded, any. */
static bool is_expected(bh_fs *fs, uint32_t cf_id, const bh_scope *scope)
{
	const bh_family_claim *claim;
	bh_scope known;
	bool expected;

	if (bh_family_table_find(&fs->families, cf_id, &known, NULL, NULL) && bh_scope_is_same(&known, scope))
		return true;
	pthread_rwlock_rdlock(&fs->lock);
	expected = !fs->guarded;
	for (claim = fs->claims; claim != NULL && !expected; claim = claim->next)
		expected = bh_scope_is_same(claim->scope, scope);
	pthread_rwlock_unlock(&fs->lock);
	return expected;
}

/* A family that somebody makes by RocksDB's own handle would keep its files where no merchant's are, or have no key at all, which
 * its first write would find, and end everybody's. */
static bh_status cf_check_new(void *arg, uint32_t cf_id, bh_view name)
{
	bh_fs *fs = arg;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	bh_status status;
	bh_scope scope;

	BH_TRY(bh_cf_name_parse(name, &scope));
	if (!is_expected(fs, cf_id, &scope))
		return bh_fail(
			BH_E_INVALID,
			"column family '%.*s': those of merchants are made by bh_merchant_add(), with all the classes it needs",
			(int)name.len, (const char *)name.data);
	status = bh_keyring_dek_current(fs->keyring, &scope, &dek);
	return bh_fail_prefix(status, "column family '%.*s'", (int)name.len, (const char *)name.data);
}

void bh_fs_guard_families(bh_fs *fs)
{
	pthread_rwlock_wrlock(&fs->lock);
	fs->guarded = true;
	pthread_rwlock_unlock(&fs->lock);
}

void bh_fs_family_begin(bh_fs *fs, bh_family_claim *claim, const bh_scope *scope)
{
	pthread_rwlock_wrlock(&fs->lock);
	*claim = (bh_family_claim){ .scope = scope, .next = fs->claims };
	fs->claims = claim;
	pthread_rwlock_unlock(&fs->lock);
}

void bh_fs_family_end(bh_fs *fs, const bh_family_claim *claim)
{
	pthread_rwlock_wrlock(&fs->lock);
	for (bh_family_claim **at = &fs->claims; *at != NULL; at = &(*at)->next)
		if (*at == claim) {
			*at = claim->next;
			break;
		}
	pthread_rwlock_unlock(&fs->lock);
}

static bh_status cf_dropped(void *arg, uint32_t cf_id)
{
	bh_family_table_drop(&((bh_fs *)arg)->families, cf_id);
	return BH_OK;
}

static void cf_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	bh_family_table_note_log(&((bh_fs *)arg)->families, cf_id, number);
}

static bh_status cf_scope(void *arg, uint32_t cf_id, bh_scope *out)
{
	return bh_family_table_find(&((bh_fs *)arg)->families, cf_id, out, NULL, NULL) ? BH_OK : BH_E_NOT_FOUND;
}

static bool is_attached(const bh_fs *fs, const bh_scope *scope)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	if (!is_shown(fs, scope) || bh_keyring_merchant(fs->keyring, scope->merchant, &merchant) != BH_OK)
		return false;
	if (fs->only == NULL && merchant.state != BH_MERCHANT_CREATING && merchant.state != BH_MERCHANT_ACTIVE)
		return false;
	return bh_keyring_dek_current(fs->keyring, scope, &dek) == BH_OK;
}

static bool cf_attached(void *arg, bh_view name)
{
	bh_scope scope;

	return bh_cf_name_parse(name, &scope) == BH_OK && (bh_scope_is_platform(&scope) || is_attached(arg, &scope));
}

/* RocksDB passes over entries of families that it does not have, and of those whose log number is above the WAL's. */
static bh_status cf_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	bh_fs *fs = arg;
	uint64_t log_number;
	bh_scope scope;

	if (!bh_family_table_find(&fs->families, cf_id, &scope, &log_number, NULL) || !is_attached(fs, &scope))
		return BH_OK;
	return file->kind == BH_KIND_WAL && file->number < log_number ? BH_OK : BH_E_TAG;
}

static const bh_scopes database_scopes = {
	.dek_for_cf = dek_for_cf,
	.dek_by_id = dek_by_id,
	.cf_added = cf_added,
	.cf_dropped = cf_dropped,
	.cf_log_number = cf_log_number,
	.cf_scope = cf_scope,
	.cf_blank = cf_blank,
	.cf_attached = cf_attached,
	.hides_blank_files = true,
};

/* ---- bh_scopes of a scratch: every column family is of the class */

static bh_status scratch_dek_for_cf(void *arg, uint32_t cf_id, bh_dek **out)
{
	const bh_fs *fs = arg;

	if (cf_id != BH_CF_DEFAULT)
		return bh_keyring_dek_current(fs->keyring, &fs->scratch_scope, out);
	*out = NULL; /* the file's own key is the class's already */
	return BH_OK;
}

static bh_status scratch_cf_added(void *arg, uint32_t cf_id, bh_view name)
{
	(void)arg;
	(void)cf_id;
	(void)name;
	return BH_OK;
}

static bh_status scratch_cf_dropped(void *arg, uint32_t cf_id)
{
	(void)arg;
	(void)cf_id;
	return BH_OK;
}

static void scratch_cf_log_number(void *arg, uint32_t cf_id, uint64_t number)
{
	(void)arg;
	(void)cf_id;
	(void)number;
}

static bh_status scratch_cf_scope(void *arg, uint32_t cf_id, bh_scope *out)
{
	(void)cf_id;
	*out = ((const bh_fs *)arg)->scratch_scope;
	return BH_OK;
}

static bh_status scratch_cf_blank(void *arg, uint32_t cf_id, const bh_header *file)
{
	(void)arg;
	(void)cf_id;
	(void)file;
	return BH_E_TAG;
}

static bool scratch_cf_attached(void *arg, bh_view name)
{
	(void)arg;
	(void)name;
	return true;
}

static const bh_scopes scratch_scopes = {
	.dek_for_cf = scratch_dek_for_cf,
	.dek_by_id = dek_by_id,
	.cf_added = scratch_cf_added,
	.cf_dropped = scratch_cf_dropped,
	.cf_log_number = scratch_cf_log_number,
	.cf_scope = scratch_cf_scope,
	.cf_blank = scratch_cf_blank,
	.cf_attached = scratch_cf_attached,
};

/* ---- life */

/* All but the scopes; NULL for lack of memory. */
static bh_fs *fs_make(const char *root, bh_keyring *keyring)
{
	bh_fs *fs = calloc(1, sizeof(*fs));

	if (fs == NULL)
		return NULL;
	fs->keyring = keyring;
	fs->root = strdup(root);
	if (fs->root != NULL && bh_path_resolve(root, &fs->resolved_root) == BH_OK && bh_page_readers_new(&fs->readers) == BH_OK &&
	    pthread_rwlock_init(&fs->lock, NULL) == 0 && bh_family_table_init(&fs->families)) {
		pthread_mutex_init(&fs->fresh.lock, NULL);
		pthread_mutex_init(&fs->renaming, NULL);
		bh_live_init(&fs->live);
		bh_kept_init(&fs->kept);
		return fs;
	}
	bh_page_readers_free(fs->readers);
	free(fs->resolved_root);
	free(fs->root);
	free(fs);
	return NULL;
}

static uint64_t keyring_durable(void *arg)
{
	return bh_keyring_durable(((const bh_fs *)arg)->keyring);
}

/* All but the keyring. */
static void fs_release(bh_fs *fs)
{
	bh_fresh_clear(&fs->fresh);
	bh_family_table_clear(&fs->families);
	bh_live_clear(&fs->live);
	bh_kept_clear(&fs->kept);
	bh_page_readers_free(fs->readers);
	free(fs->hidden);
	free(fs->resolved_root);
	free(fs->root);
	free(fs->only);
	pthread_mutex_destroy(&fs->fresh.lock);
	pthread_mutex_destroy(&fs->renaming);
	pthread_rwlock_destroy(&fs->lock);
	free(fs);
}

bh_status bh_fs_new(const char *root, bh_keyring *keyring, bh_fs **out)
{
	bh_fs *fs = fs_make(root, keyring);
	bh_status status;

	if (fs == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the file system of %s", root);
	fs->scopes = database_scopes;
	fs->scopes.arg = fs;
	fs->scopes.changes = &fs->families.changes;
	fs->scopes.cf_check_new = cf_check_new;
	fs->scopes.keyring_durable = keyring_durable;
	status = bh_fresh_begin(&fs->fresh, keyring, fs->root, &fs->scopes);
	if (status != BH_OK) {
		fs_release(fs);
		return status;
	}
	*out = fs;
	return BH_OK;
}

bh_status bh_fs_new_view(bh_keyring *keyring, const char *root, const char *merchant, bh_fs **out)
{
	char *only = strdup(merchant);
	bh_fs *fs = only != NULL ? fs_make(root, keyring) : NULL;

	if (fs == NULL) {
		free(only);
		return bh_fail(BH_E_NOMEM, "no memory for a view of %s", root);
	}
	fs->only = only;
	fs->scopes = database_scopes;
	fs->scopes.arg = fs;
	fs->scopes.hides_default_files = true;
	fs->scopes.sieves_logs = true;
	*out = fs;
	return BH_OK;
}

bool bh_fs_is_view(const bh_fs *fs)
{
	return fs->only != NULL;
}

bh_status bh_fs_new_scratch(const char *root, const bh_scope *scope, bh_keyring *keyring, bh_fs **out)
{
	bh_fs *fs = fs_make(root, keyring);

	if (fs == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the file system of %s", root);
	fs->scratch = true;
	fs->scratch_scope = *scope;
	fs->scopes = scratch_scopes;
	fs->scopes.arg = fs;
	*out = fs;
	return BH_OK;
}

void bh_fs_set_pause(bh_fs *fs, void (*pause)(void *arg), void *arg)
{
	fs->pause = pause;
	fs->pause_arg = arg;
}

static bool hides_sst(void *arg, uint64_t number)
{
	const bh_fs *fs = arg;

	for (size_t i = 0; i < fs->hidden_count; i++)
		if (fs->hidden[i] == number)
			return true;
	return false;
}

bh_status bh_fs_hide_sst(bh_fs *fs, uint64_t number)
{
	uint64_t *grown = realloc(fs->hidden, (fs->hidden_count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a view of %s", fs->root);
	fs->hidden = grown;
	fs->hidden[fs->hidden_count++] = number;
	fs->scopes.hides_sst = hides_sst;
	return BH_OK;
}

void bh_fs_on_damage(bh_fs *fs, void (*each)(void *arg, const bh_damage *damage), void *arg)
{
	fs->on_damage = each;
	fs->on_damage_arg = arg;
}

void bh_fs_damaged(const bh_fs *fs, const bh_damage *damage)
{
	if (fs->on_damage != NULL)
		fs->on_damage(fs->on_damage_arg, damage);
}

const char *bh_fs_root(const bh_fs *fs)
{
	return fs->root;
}

void bh_fs_pause(const bh_fs *fs)
{
	if (fs->pause != NULL)
		fs->pause(fs->pause_arg);
}

void bh_fs_set_read_only(bh_fs *fs)
{
	fs->read_only = true;
}

void bh_fs_set_room(bh_fs *fs, bh_room *room)
{
	fs->room = room;
}

bh_room *bh_fs_room(const bh_fs *fs)
{
	return fs->room;
}

void bh_fs_set_voids(bh_fs *fs, bool voids)
{
	fs->voids = voids;
}

bool bh_fs_voids(const bh_fs *fs)
{
	return fs->voids && fs->room != NULL;
}

void bh_fs_fail_a_sync(bh_fs *fs)
{
	__atomic_store_n(&fs->sync_fails, true, __ATOMIC_RELEASE);
}

bool bh_fs_takes_failing_sync(bh_fs *fs)
{
	return __atomic_load_n(&fs->sync_fails, __ATOMIC_ACQUIRE) && __atomic_exchange_n(&fs->sync_fails, false, __ATOMIC_ACQ_REL);
}

void bh_fs_free(bh_fs *fs)
{
	bh_keyring *keyring = fs != NULL && fs->only == NULL ? fs->keyring : NULL;

	if (fs == NULL)
		return;
	fs_release(fs);
	bh_keyring_close(keyring);
}

bh_fresh *bh_fs_fresh(bh_fs *fs)
{
	return &fs->fresh;
}

bool bh_fs_is_in_root(const bh_fs *fs, const char *path, const char *name)
{
	BH_CLEANUP(freep) char *resolved = NULL;
	const char *rest = bh_path_below(fs->root, path);

	if (rest == NULL || !bh_path_is_plain(rest)) {
		if (bh_path_resolve(path, &resolved) != BH_OK)
			return false;
		rest = bh_path_below(fs->resolved_root, resolved);
	}
	return rest != NULL && (name != NULL ? strcmp(rest, name) == 0 : strchr(rest, '/') == NULL);
}

bool bh_fs_lists(const bh_fs *fs, const char *path, const bh_path_info *info)
{
	return fs->fresh.keyring != NULL && info->sealed && !info->trash &&
	       (info->kind == BH_KIND_WAL || info->kind == BH_KIND_MANIFEST) && bh_fs_is_in_root(fs, path, NULL);
}

bh_keyring *bh_fs_keyring(const bh_fs *fs)
{
	return fs->keyring;
}

const bh_scopes *bh_fs_scopes(const bh_fs *fs)
{
	return &fs->scopes;
}

bh_status bh_fs_classify(const bh_fs *fs, const char *path, bh_path_info *out)
{
	BH_CLEANUP(freep) char *resolved = NULL;
	const char *rest = bh_path_below(fs->root, path);

	if (fs->scratch) {
		bh_path_classify_as(&fs->scratch_scope, path, out);
		return BH_OK;
	}
	if (rest != NULL && bh_path_is_plain(rest))
		return bh_path_classify(fs->root, path, out);
	BH_TRY(bh_path_resolve(path, &resolved));
	return bh_path_classify(fs->resolved_root, resolved, out);
}

bh_status bh_fs_look(const bh_fs *fs, const char *path)
{
	return bh_path_look(fs->root, path);
}

void bh_fs_keys_changed(bh_fs *fs)
{
	bh_family_table_forget(&fs->families);
	bh_live_forget_keys(&fs->live);
}

/* ---- files that stay for now */

void bh_fs_keep_begin(bh_fs *fs, bh_keeping *keeping)
{
	bh_kept_begin(&fs->kept, keeping);
}

void bh_fs_keep_end(bh_fs *fs, const bh_keeping *keeping)
{
	bh_kept_end(&fs->kept, keeping);
}

bh_status bh_fs_keep(bh_fs *fs, const char *path, bool *kept_out)
{
	bh_path_info info;

	*kept_out = false;
	if (bh_fs_classify(fs, path, &info) != BH_OK)
		return BH_OK; /* nobody's file */
	if (info.kind == BH_KIND_WAL || info.kind == BH_KIND_MANIFEST)
		return bh_kept_remove(&fs->kept, NULL, path, kept_out);
	return bh_file_kind_is_paged(info.kind) ? bh_kept_remove(&fs->kept, info.scope.merchant, path, kept_out) : BH_OK;
}

/* ---- live streams */

bh_live *bh_fs_live(bh_fs *fs)
{
	return &fs->live;
}

bool bh_fs_is_live(bh_fs *fs, const char *path)
{
	return bh_live_has(&fs->live, path);
}

bh_page_readers *bh_fs_page_readers(const bh_fs *fs)
{
	return fs->readers;
}

bh_status bh_fs_expect(bh_fs *fs, bh_stream_reader *log)
{
	uint64_t end;

	BH_TRY(bh_fresh_expect(&fs->fresh, &bh_stream_reader_key(log)->header, &end));
	bh_stream_reader_raise(log, end);
	return BH_OK;
}
