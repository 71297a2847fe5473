/* SPDX-License-Identifier: Apache-2.0
 *
 * blame.c: see blame.h.
 */
#include "blame.h"

#include <stdio.h>

#include "path.h"

static _Thread_local bool hushed_here, sizes_hushed_here;
static _Thread_local char bad_end_here[512];

bool bh_fs_hush(bool hushed)
{
	bool before = hushed_here;

	hushed_here = hushed;
	return before;
}

bool bh_fs_hush_sizes(bool hushed)
{
	bool before = sizes_hushed_here;

	sizes_hushed_here = hushed;
	return before;
}

bool bh_fs_hush_for_size(void)
{
	return bh_fs_hush(hushed_here || sizes_hushed_here);
}

/* A file under a key that is not the merchant's was put there from elsewhere. Without its keys nobody can tell. */
static bool has_keys(const bh_fs *fs, const bh_scope *owner)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;

	return bh_keyring_dek_current(bh_fs_keyring(fs), owner, &dek) == BH_OK;
}

bool bh_is_damage(const bh_fs *fs, const bh_scope *owner, bh_status status)
{
	switch (status) {
	case BH_E_TAG:
	case BH_E_FORMAT:
	case BH_E_TRUNCATED:
	case BH_E_VERSION:
	case BH_E_NOT_FOUND:
	case BH_E_IO: return true;
	case BH_E_NO_KEY:
	case BH_E_SHREDDED: return has_keys(fs, owner);
	default: return false;
	}
}

void bh_fs_blame(const bh_fs *fs, const bh_scope *owner, const char *path, bh_status status)
{
	const bh_message message = bh_message_keep(); /* who is told may fail at something, too */
	const bh_damage damage = { .owner = owner, .path = path, .status = status, .message = message.text };

	if (hushed_here || bh_scope_is_platform(owner))
		return;
	if (bh_is_damage(fs, owner, status))
		bh_fs_damaged(fs, &damage);
	bh_message_restore(&message);
}

void bh_fs_bad_end(const char *path, uint64_t off)
{
	snprintf(bad_end_here, sizeof(bad_end_here), "%s: what lies behind byte %llu is no whole part of it", path,
		 (unsigned long long)off);
}

void bh_fs_bad_end_forget(void)
{
	bad_end_here[0] = '\0';
}

bh_status bh_fs_bad_end_named(bh_status status)
{
	if (status == BH_OK || bad_end_here[0] == '\0')
		return status;
	const bh_message message = bh_message_keep();
	return bh_fail(status, "%s; %s: put the right one back, or all of the directory from one backup", message.text,
		       bad_end_here);
}

/* .../staging/<merchant>/<class>/NAME, in whatever database. */
static bool is_staged(const char *path, const char *name)
{
	const size_t len = strlen(BH_STAGING_DIR);

	for (int up = 0; up < 3 && name > path; up++)
		do
			name--;
		while (name > path && name[-1] != '/');
	return strncmp(name, BH_STAGING_DIR "/", len + 1) == 0;
}

bool bh_fs_names_itself(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	if (is_staged(path, name))
		return false;
	return strchr(name, '.') == NULL || name[strspn(name, "0123456789")] == '.';
}

bool bh_fs_owner(const bh_fs *fs, const char *path, bh_scope *out)
{
	const char *below = bh_path_below(bh_fs_root(fs), path);

	return below != NULL && bh_path_owner(below, out);
}

/* A path ends where no name of ours goes on. */
static bool owner_at(const char *root, const char *text, bh_scope *out)
{
	char path[BH_NAME_MAX * 2 + sizeof(BH_TENANTS_DIR) + 4];
	const char *rest = bh_path_below(root, text);
	size_t len = rest != NULL ? strcspn(rest, " :,;'\"()[]\n") : 0;

	if (len == 0)
		return false;
	len = BH_MIN(len, sizeof(path) - 1);
	memcpy(path, rest, len);
	path[len] = '\0';
	return bh_path_owner(path, out);
}

bool bh_fs_owner_in(const bh_fs *fs, const char *text, bh_scope *out, bool *names_root_out)
{
	const char *root = bh_fs_root(fs);

	*names_root_out = false;
	for (const char *at = strstr(text, root); at != NULL; at = strstr(at + 1, root)) {
		if (owner_at(root, at, out))
			return true;
		*names_root_out = *names_root_out || bh_path_below(root, at) != NULL;
	}
	return false;
}
