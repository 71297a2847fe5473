/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c: which database a URI names, whose keys are unlocked, and what may be done to which path (plugin.h).
 */
#include "plugin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "env/fs/fresh_check.h"
#include "env/fs/fs.h"
#include "env/fs/look.h"
#include "keyring/base/io.h"

#define URI_PREFIX BH_PLUGIN_SCHEME "://"
#define DUMP_SUFFIX "_dump.txt"
#define PIN_VARIABLE "BULKHEAD_PIN"

/* A merchant whose keys were not unlocked, and why. */
struct left_out {
	char name[BH_NAME_MAX + 1];
	bh_status status;
	char *message;
};

struct tenant_file {
	char *path;       /* below the root */
	const char *name; /* its last component */
};

struct bh_plugin {
	char *root; /* the database, resolved */
	bool scratch;
	const bh_fs *fs; /* borrowed */
	struct left_out *left_out;
	size_t left_out_count;
	struct tenant_file *files; /* inspection: by name */
	size_t file_count, file_cap;
};

void bh_plugin_start(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

void bh_plugin_note(const char *line)
{
	fprintf(stderr, "bulkhead: %s\n", line);
}

static void freep(char **p)
{
	free(*p);
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* ---- the URI */

static bool is_database(const char *dir)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	struct stat st;

	return bh_buf_printf(&path, "%s/" BH_KEYRING_FILE, dir) == BH_OK && lstat((const char *)path.data, &st) == 0;
}

/* The database that `path` is or lies in: the first of it and its parents that has a keyring, "." or a prefix of `path`, to be
 * freed. NULL if there is none. */
static char *find_database(const char *path)
{
	BH_CLEANUP(freep) char *copy = strdup(path);
	const char *dir = copy;

	while (dir != NULL && !is_database(dir)) {
		if (strcmp(dir, "/") == 0 || strcmp(dir, ".") == 0)
			return NULL;
		dir = dirname(copy);
	}
	return dir != NULL ? strdup(dir) : NULL;
}

/* Sets `root` and, where `path` is a class's directory below it, *scope_out. */
static bh_status parse_uri(const char *uri, bh_plugin *plugin, bh_scope *scope_out)
{
	const char *path = uri + strlen(URI_PREFIX);
	BH_CLEANUP(freep) char *dir = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf file = { 0 };
	bh_path_info info = { 0 };

	if (strncmp(uri, URI_PREFIX, strlen(URI_PREFIX)) != 0 || *path == '\0')
		return bh_fail(BH_E_INVALID,
			       "%s: a URI is " URI_PREFIX "DB or " URI_PREFIX "DB/" BH_TENANTS_DIR "/<merchant>/<class>", uri);
	dir = find_database(path);
	if (dir == NULL)
		return bh_fail(BH_E_NOT_FOUND, "%s: no Bulkhead database (there is no " BH_KEYRING_FILE ")", path);
	plugin->root = realpath(dir, NULL);
	if (plugin->root == NULL)
		return bh_fail(BH_E_IO, "%s: %s", dir, strerror(errno));
	path += strncmp(path, dir, strlen(dir)) == 0 ? strlen(dir) : 0; /* "." may have been found above "tenants/..." */
	path += strspn(path, "/");
	if (*path == '\0')
		return BH_OK;
	BH_TRY(bh_buf_printf(&file, "%s/%s/CURRENT", plugin->root, path));
	BH_TRY(bh_path_classify(plugin->root, (const char *)file.data, &info));
	if (bh_scope_is_platform(&info.scope))
		return bh_fail(BH_E_INVALID,
			       "%s: names neither a database nor a class of one (DB/" BH_TENANTS_DIR "/<merchant>/<class>)", uri);
	plugin->scratch = true;
	*scope_out = info.scope;
	return BH_OK;
}

/* ---- the files of the tenants, for tools that look for them in the database's own directory */

static bh_status add_file(bh_plugin *plugin, const char *dir, const char *name)
{
	char *path = NULL;

	if (plugin->file_count == plugin->file_cap) {
		size_t cap = BH_MAX(plugin->file_cap * 2, (size_t)64);
		struct tenant_file *grown = realloc(plugin->files, cap * sizeof(*grown));

		if (grown == NULL)
			return bh_fail(BH_E_NOMEM, "%s: no memory for %zu files", dir, cap);
		plugin->files = grown;
		plugin->file_cap = cap;
	}
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return bh_fail(BH_E_NOMEM, "%s/%s: no memory", dir, name);
	plugin->files[plugin->file_count++] = (struct tenant_file){ path, last_component(path) };
	return BH_OK;
}

static bh_status add_class(bh_plugin *plugin, const char *merchant, const char *cls)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	bh_status status = BH_OK;
	struct dirent *entry;
	DIR *dir;

	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", plugin->root, merchant, cls));
	dir = opendir((const char *)path.data);
	if (dir == NULL && errno == ENOENT)
		return BH_OK;
	if (dir == NULL)
		return bh_fail(BH_E_IO, "%s: cannot be listed: %s", (const char *)path.data, strerror(errno));
	while (status == BH_OK && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && !bh_is_temp_name(entry->d_name))
			status = add_file(plugin, (const char *)path.data, entry->d_name);
	closedir(dir);
	return status;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tenant_file *)a)->name, ((const struct tenant_file *)b)->name);
}

/* The tenant's file of that name; NULL if there is none. Two of them: one was put there. */
static bh_status find_file(const bh_plugin *plugin, const char *name, const char **out)
{
	size_t low = 0, high = plugin->file_count;
	const struct tenant_file *found = NULL;

	while (low < high) { /* ends at the first that is not before `name` */
		size_t middle = low + (high - low) / 2;

		if (strcmp(plugin->files[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < plugin->file_count && strcmp(plugin->files[low].name, name) == 0)
		found = &plugin->files[low];
	if (found != NULL && low + 1 < plugin->file_count && strcmp(found[1].name, name) == 0)
		return bh_fail(BH_E_FORMAT, "%s and %s: two files of one number; one was put there from elsewhere", found[0].path,
			       found[1].path);
	*out = found != NULL ? found->path : NULL;
	return BH_OK;
}

/* ---- keys */

static bh_status leave_out(bh_plugin *plugin, const char *name, bh_status status)
{
	struct left_out *grown = realloc(plugin->left_out, (plugin->left_out_count + 1) * sizeof(*grown));
	char *message = strdup(bh_status_message());
	BH_CLEANUP(bh_buf_clear) bh_buf line = { 0 };

	if (grown != NULL)
		plugin->left_out = grown;
	if (grown == NULL || message == NULL) {
		free(message);
		return bh_fail(BH_E_NOMEM, "merchant '%s': no memory", name);
	}
	grown += plugin->left_out_count++;
	grown->status = status;
	grown->message = message;
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	BH_TRY(bh_buf_printf(&line, "left out: %s", message));
	bh_plugin_note((const char *)line.data);
	return BH_OK;
}

/* Unwraps the merchant's DEKs, which are there with the group's commit, if its state lets anybody have them. */
static bh_status unlock(bh_unlock *group, const bh_merchant_info *merchant)
{
	switch (merchant->state) {
	case BH_MERCHANT_CREATING:
	case BH_MERCHANT_ACTIVE: return bh_unlock_add(group, merchant->name);
	case BH_MERCHANT_SHREDDING:
	case BH_MERCHANT_SHREDDED:
		return bh_fail(BH_E_SHREDDED, "merchant '%s': is shredded; its data does not come back", merchant->name);
	case BH_MERCHANT_SUSPENDED:
		return bh_fail(BH_E_SUSPENDED, "merchant '%s': is suspended (%s); resume it first", merchant->name,
			       bh_suspend_cause_name(merchant->cause));
	default:
		return bh_fail(BH_E_SUSPENDED, "merchant '%s': is %s; open the database with bhctl once to finish that",
			       merchant->name, bh_merchant_state_name(merchant->state));
	}
}

static bh_status inspect_merchant(bh_plugin *plugin, bh_unlock *group, const bh_merchant_info *merchant)
{
	bh_status status;

	if (merchant->state == BH_MERCHANT_SHREDDED)
		return BH_OK;
	status = unlock(group, merchant);
	if (status == BH_E_NOMEM)
		return status;
	if (status != BH_OK)
		BH_TRY(leave_out(plugin, merchant->name, status));
	for (size_t i = 0; i < merchant->class_count; i++)
		BH_TRY(add_class(plugin, merchant->name, merchant->classes[i]));
	return BH_OK;
}

static bh_status start_inspection(bh_plugin *plugin, bh_keyring *keyring, bh_unlock *group)
{
	bh_merchant_info *merchants = NULL;
	bh_status status = BH_OK;
	size_t count = 0;

	BH_TRY(bh_keyring_merchants(keyring, &merchants, &count));
	for (size_t i = 0; i < count; i++) {
		if (status == BH_OK)
			status = inspect_merchant(plugin, group, &merchants[i]);
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
	if (plugin->file_count > 0)
		qsort(plugin->files, plugin->file_count, sizeof(*plugin->files), by_name);
	return status;
}

static bh_status start_scratch(bh_keyring *keyring, bh_unlock *group, const bh_scope *scope)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };

	BH_TRY(bh_keyring_merchant(keyring, scope->merchant, &merchant));
	return unlock(group, &merchant);
}

static void unlock_freep(bh_unlock **group)
{
	bh_unlock_free(*group);
}

static bh_status unlock_what_it_needs(bh_plugin *plugin, bh_keyring *keyring, const bh_scope *scope)
{
	BH_CLEANUP(unlock_freep) bh_unlock *group = NULL;
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	BH_TRY(bh_unlock_new(keyring, &group));
	BH_TRY(plugin->scratch ? start_scratch(keyring, group, scope) : start_inspection(plugin, keyring, group));
	BH_TRY(bh_unlock_commit(group));
	return plugin->scratch ? bh_keyring_dek_current(keyring, scope, &dek) : BH_OK; /* such a class there is */
}

/* ---- life */

/* The keyring logs that keys were unwrapped; this says what for. */
static bh_status leave_line(const bh_plugin *plugin, bh_keyring *keyring, const bh_scope *scope)
{
	BH_CLEANUP(bh_buf_clear) bh_buf detail = { 0 };
	bh_audit_event event = { .action = BH_AUDIT_PLUGIN_OPENED };

	BH_TRY(bh_buf_printf(&detail, "%s of %s", plugin->scratch ? "scratch" : "inspection", program_invocation_short_name));
	event.detail = (const char *)detail.data;
	if (plugin->scratch) {
		event.merchant = scope->merchant;
		event.cls = scope->cls;
	}
	return bh_audit_append(bh_keyring_audit(keyring), &event);
}

static bh_status open_steps(const char *uri, bh_plugin *plugin, bh_fs **fs_out)
{
	const bh_keyring_options options = { .pin = getenv(PIN_VARIABLE), .inspect = bh_fresh_inspect };
	bh_keyring *keyring = NULL;
	bh_scope scope = { 0 };
	bh_status status;

	BH_TRY(parse_uri(uri, plugin, &scope));
	BH_TRY(bh_keyring_open(plugin->root, &options, false, &keyring));
	status = unlock_what_it_needs(plugin, keyring, &scope);
	if (status == BH_OK)
		status = leave_line(plugin, keyring, &scope);
	if (status == BH_OK)
		status = plugin->scratch ? bh_fs_new_scratch(plugin->root, &scope, keyring, fs_out)
					 : bh_fs_new(plugin->root, keyring, fs_out);
	if (status != BH_OK)
		bh_keyring_close(keyring);
	return status;
}

bh_status bh_plugin_open(const char *uri, bh_plugin **out, bh_fs **fs_out)
{
	bh_plugin *plugin = calloc(1, sizeof(*plugin));
	bh_status status;

	if (plugin == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", uri);
	status = open_steps(uri, plugin, fs_out);
	if (status != BH_OK) {
		bh_plugin_free(plugin);
		return status;
	}
	plugin->fs = *fs_out;
	*out = plugin;
	return BH_OK;
}

void bh_plugin_free(bh_plugin *plugin)
{
	if (plugin == NULL)
		return;
	for (size_t i = 0; i < plugin->left_out_count; i++)
		free(plugin->left_out[i].message);
	for (size_t i = 0; i < plugin->file_count; i++)
		free(plugin->files[i].path);
	free(plugin->left_out);
	free(plugin->files);
	free(plugin->root);
	free(plugin);
}

bool bh_plugin_inspects(const bh_plugin *plugin)
{
	return !plugin->scratch;
}

/* ---- paths */

static bool is_file(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* The merchant that the file belongs to; "" for the platform. */
static bh_status find_owner(const bh_plugin *plugin, const char *path, char name_out[BH_NAME_MAX + 1])
{
	const char *rest = bh_path_below(plugin->root, path);
	const size_t parked = strlen(BH_PARKED_DIR "/");
	bh_path_info info;

	if (rest != NULL && strncmp(rest, BH_PARKED_DIR "/", parked) == 0) {
		snprintf(name_out, BH_NAME_MAX + 1, "%.*s", (int)strcspn(rest + parked, "/"), rest + parked);
		return BH_OK;
	}
	BH_TRY(bh_fs_classify(plugin->fs, path, &info));
	snprintf(name_out, BH_NAME_MAX + 1, "%s", info.scope.merchant);
	return BH_OK;
}

/* Why the keys of this file are not here. */
static bh_status check_keys(const bh_plugin *plugin, const char *path)
{
	char owner[BH_NAME_MAX + 1];

	BH_TRY(find_owner(plugin, path, owner));
	for (size_t i = 0; i < plugin->left_out_count; i++)
		if (strcmp(plugin->left_out[i].name, owner) == 0)
			return bh_fail(plugin->left_out[i].status, "%s: %s", path, plugin->left_out[i].message);
	return BH_OK;
}

static bh_status place_inspected(const bh_plugin *plugin, const char *path, const char *rest, bh_plugin_access access, bh_buf *out)
{
	const char *tenant = NULL;
	struct stat st;

	if (access == BH_PLUGIN_CHANGE)
		return bh_fail(BH_E_UNSUPPORTED,
			       "%s: " URI_PREFIX "%s shows the database and changes nothing; to change it use bhctl", path,
			       plugin->root);
	if (rest != NULL && strchr(rest, '/') == NULL && lstat(path, &st) != 0)
		BH_TRY(find_file(plugin, rest, &tenant));
	if (tenant != NULL)
		path = tenant;
	if (access == BH_PLUGIN_READ)
		BH_TRY(check_keys(plugin, path));
	return bh_buf_printf(out, "%s", path);
}

/* Another Bulkhead database is no place for a scratch either: tools empty the directory that they are given. */
static bh_status place_scratch(const char *path, const char *rest, bh_buf *out)
{
	BH_CLEANUP(freep) char *dir = strdup(path);

	if (dir == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", path);
	if (rest != NULL || is_database(path) || is_database(dirname(dir)))
		return bh_fail(BH_E_UNSUPPORTED,
			       "%s: lies in a Bulkhead database; a scratch database needs a directory of its own elsewhere (--db)",
			       path);
	return bh_buf_printf(out, "%s", path);
}

bh_status bh_plugin_place(const bh_plugin *plugin, const char *path, bh_plugin_access access, bh_buf *out)
{
	BH_CLEANUP(freep) char *resolved = NULL;
	const char *rest;

	BH_TRY(bh_path_resolve(path, &resolved));
	rest = bh_path_below(plugin->root, resolved);
	BH_TRY(plugin->scratch ? place_scratch(resolved, rest, out) : place_inspected(plugin, resolved, rest, access, out));
	/* As it was asked for: a file with a slash behind it is none. */
	return is_file(resolved) && path[strlen(path) - 1] == '/' ? bh_buf_printf(out, "/") : BH_OK;
}

bool bh_plugin_is_dump(const bh_plugin *plugin, const char *path)
{
	size_t len = strlen(path), suffix = strlen(DUMP_SUFFIX);

	return !plugin->scratch && len > suffix && strcmp(path + len - suffix, DUMP_SUFFIX) == 0;
}

bh_status bh_plugin_dump_place(const bh_plugin *plugin, const char *path, bh_buf *out)
{
	BH_CLEANUP(freep) char *dir = realpath(".", NULL);
	BH_CLEANUP(bh_buf_clear) bh_buf line = { 0 };
	const char *name = last_component(path);
	int fd;

	if (dir == NULL)
		return bh_fail(BH_E_IO, "the current directory cannot be found: %s", strerror(errno));
	if (bh_path_below(plugin->root, dir) != NULL)
		return bh_fail(BH_E_UNSUPPORTED,
			       "%s: a dump is plaintext and does not belong into the database; run this elsewhere", name);
	fd = bh_io_make(AT_FDCWD, name, O_WRONLY, 0600);
	if (fd < 0)
		return bh_fail(BH_E_IO, "%s/%s: cannot be made: %s", dir, name, strerror(errno));
	close(fd);
	BH_TRY(bh_buf_printf(&line, "the dump is plaintext: it goes to %s/%s, not into the database", dir, name));
	bh_plugin_note((const char *)line.data);
	return bh_buf_printf(out, "%s/%s", dir, name);
}

bool bh_plugin_hides(const bh_plugin *plugin, const char *path)
{
	const char *name = last_component(path);

	if (plugin->scratch)
		return false;
	return strcmp(name, "LOG") == 0 || (plugin->left_out_count > 0 && strncmp(name, "OPTIONS-", 8) == 0);
}

const char *bh_plugin_child(const bh_plugin *plugin, const char *path, size_t idx)
{
	return idx < plugin->file_count && strcmp(path, plugin->root) == 0 ? plugin->files[idx].name : NULL;
}
