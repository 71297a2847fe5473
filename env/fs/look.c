/* SPDX-License-Identifier: Apache-2.0
 *
 * look.c: what lies at a path: where it leads, and whether it is a file (look.h).
 */
#include "look.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "env/files/raw_file.h"
#include "env/fs/path.h"

static void freep(char **p)
{
	free(*p);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bh_status join(const char *dir, const char *name, char **out)
{
	if (asprintf(out, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name) < 0)
		return bh_fail(BH_E_NOMEM, "%s/%s: no memory", dir, name);
	return BH_OK;
}

/* `path` has no slash at its end, and is no directory: what its parent is, and its name in there. */
static bh_status resolve_below(const char *path, char **out)
{
	BH_CLEANUP(freep) char *for_dir = strdup(path);
	BH_CLEANUP(freep) char *dir = NULL;
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	if (for_dir == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", path);
	BH_TRY(bh_path_resolve(dirname(for_dir), &dir));
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) { /* of a directory that is not there */
		*out = strdup(name[1] == '\0' ? dir : dirname(dir));
		return *out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "%s: no memory", path);
	}
	return join(dir, name, out);
}

bh_status bh_path_resolve(const char *path, char **out)
{
	BH_CLEANUP(freep) char *copy = strdup(path);
	size_t len = strlen(path);

	if (copy == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", path);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	if (len == 0)
		return bh_fail(BH_E_INVALID, "an empty path names nothing");
	*out = is_directory(copy) ? realpath(copy, NULL) : NULL;
	if (*out != NULL)
		return BH_OK;
	/* The current directory may be gone, and the root always is one. */
	if (strcmp(copy, ".") == 0 || strcmp(copy, "/") == 0) {
		*out = strdup(copy);
		return *out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "%s: no memory", path);
	}
	return resolve_below(copy, out);
}

/* Directories between the database's and the file: a link there would lead out of the merchant's, past parking and removing. */
static bh_status look_at_parents(const char *path, const char *rest)
{
	for (const char *slash = strchr(rest, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		BH_CLEANUP(freep) char *dir = strndup(path, (size_t)(slash - path));
		struct stat st;

		if (dir == NULL)
			return bh_fail(BH_E_NOMEM, "%s: no memory", path);
		if (lstat(dir, &st) == 0 && S_ISLNK(st.st_mode))
			return bh_fail(BH_E_FORMAT, "%s: is a symbolic link, where a directory of the database is due", dir);
	}
	return BH_OK;
}

bh_status bh_path_look(const char *root, const char *path)
{
	const char *rest = bh_path_below(root, path);
	struct stat st;

	if (rest != NULL)
		BH_TRY(look_at_parents(path, rest));
	if (lstat(path, &st) != 0 || S_ISREG(st.st_mode)) /* who opens it says why that cannot be done */
		return BH_OK;
	return bh_raw_fail_irregular(path, st.st_mode);
}
