/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c: where things lie: absolute paths, CMK URIs, and opening the database of --db.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bhctl.h"
#include "tools/hide.h"

#define LOCAL_SCHEME "local:"
#define AGENT_SCHEME "agent:"

void bhctl_freep(char **p)
{
	free(*p);
	*p = NULL;
}

static bh_status no_memory(const char *path)
{
	return bh_fail(BH_E_NOMEM, "%s: no memory", path);
}

/* Joins a resolved directory and what does not exist below it yet. */
static bh_status join_rest(const char *path, const char *resolved, const char *rest, char **out)
{
	char *joined = NULL;

	while (*rest == '/')
		rest++;
	/* Nothing can be resolved through a directory that is not there, so where ".." leads is anyone's guess. */
	if (strstr(rest, "..") != NULL)
		return bh_fail(BH_E_INVALID, "%s: '..' below a directory that does not exist; name the place without it", path);
	if (asprintf(&joined, "%s%s%s", resolved, strcmp(resolved, "/") == 0 || *rest == '\0' ? "" : "/", rest) < 0)
		return no_memory(path);
	for (size_t len = strlen(joined); len > 1 && joined[len - 1] == '/'; len--)
		joined[len - 1] = '\0';
	*out = joined;
	return BH_OK;
}

bh_status bhctl_absolute(const char *path, char **out)
{
	BH_CLEANUP(bhctl_freep) char *prefix = strdup(path);
	size_t cut = strlen(path);

	if (path[0] == '\0')
		return bh_fail(BH_E_INVALID, "an empty path names nothing");
	/* The longest part of the path that exists. */
	while (prefix != NULL) {
		BH_CLEANUP(bhctl_freep) char *resolved = realpath(cut > 0 ? prefix : ".", NULL);

		if (resolved != NULL)
			return join_rest(path, resolved, path + cut, out);
		if (cut == 0)
			return bh_fail(BH_E_IO, "%s: the current directory cannot be found", path);
		while (cut > 0 && prefix[cut - 1] == '/')
			cut--;
		while (cut > 0 && prefix[cut - 1] != '/')
			cut--;
		prefix[cut] = '\0';
	}
	return no_memory(path);
}

/* Whether `path` is `dir` or lies below it; both are absolute. */
static bool is_inside(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	return strncmp(dir, path, len) == 0 && (path[len] == '\0' || path[len] == '/' || strcmp(dir, "/") == 0);
}

static bh_status check_outside(const char *db, const char *dir, const char *uri)
{
	BH_CLEANUP(bhctl_freep) char *db_path = NULL;

	if (db == NULL)
		return BH_OK;
	BH_TRY(bhctl_absolute(db, &db_path));
	if (!is_inside(db_path, dir))
		return BH_OK;
	return bh_fail(
		BH_E_INVALID,
		"CMK URI '%s': lies inside of the database %s; a key, and the way to it, belong elsewhere, or whoever takes the "
		"data takes them along",
		uri, db);
}

/* The schemes whose URIs name a place on this host: a directory, a socket. */
static size_t path_scheme(const char *uri)
{
	static const char *const schemes[] = { LOCAL_SCHEME, AGENT_SCHEME };

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);

		if (strncmp(uri, schemes[i], len) == 0)
			return len;
	}
	return 0;
}

bh_status bhctl_cmk_uri(const char *db, const char *uri, char **out)
{
	const char *hash = strrchr(uri, '#');
	BH_CLEANUP(bhctl_freep) char *place = NULL;
	BH_CLEANUP(bhctl_freep) char *absolute = NULL;
	size_t scheme = path_scheme(uri);

	/* What is no such URI, or a broken one, is the KMS's to judge. */
	if (scheme == 0 || hash == uri + scheme || uri[scheme] == '\0') {
		*out = strdup(uri);
		return *out != NULL ? BH_OK : no_memory(uri);
	}
	place = hash != NULL ? strndup(uri + scheme, (size_t)(hash - uri) - scheme) : strdup(uri + scheme);
	if (place == NULL)
		return no_memory(uri);
	BH_TRY(bhctl_absolute(place, &absolute));
	BH_TRY(check_outside(db, absolute, uri));
	return asprintf(out, "%.*s%s%s", (int)scheme, uri, absolute, hash != NULL ? hash : "") >= 0 ? BH_OK : no_memory(uri);
}

/* ---- whose files */

bh_status bhctl_act_as_owner(const char *path)
{
	struct stat st;

	if (getuid() != 0 || stat(path, &st) != 0)
		return BH_OK;
	if (seteuid(0) != 0 || setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0 || !tool_hide())
		return bh_fail(BH_E_IO, "%s: its owner, uid %lu, cannot be stood in for: %s", path, (unsigned long)st.st_uid,
			       strerror(errno));
	return BH_OK;
}

bh_status bhctl_as_caller(bool caller)
{
	static uid_t owner; /* in whose stead it acts; 0: nobody's, since root's files need no stand-in */

	if (getuid() != 0)
		return BH_OK;
	if (caller)
		owner = geteuid();
	if (seteuid(caller ? 0 : owner) != 0 || !tool_hide())
		return bh_fail(BH_E_IO, "uid %lu cannot be stood in for: %s", (unsigned long)owner, strerror(errno));
	return BH_OK;
}

void bhctl_callers_files(bool callers)
{
	setfsuid(callers ? getuid() : geteuid());
	setfsgid(callers ? getgid() : getegid());
}

bh_status bhctl_act_as_kms_owner(const char *uri)
{
	const char *hash = strrchr(uri, '#');
	BH_CLEANUP(bhctl_freep) char *dir = NULL;

	if (strncmp(uri, LOCAL_SCHEME, strlen(LOCAL_SCHEME)) != 0)
		return BH_OK;
	uri += strlen(LOCAL_SCHEME);
	dir = hash != NULL ? strndup(uri, (size_t)(hash - uri)) : strdup(uri);
	return dir != NULL ? bhctl_act_as_owner(dir) : no_memory(uri);
}

/* ---- the database */

bh_status bhctl_need_db(const bhctl *ctl)
{
	if (ctl->db == NULL || ctl->db[0] == '\0')
		return bhctl_usage_error(ctl, "which database? give --db DIR");
	return BH_OK;
}

void bhctl_keep_pin(void *arg, const char *pin)
{
	bhctl *ctl = arg;

	snprintf(ctl->last_pin, sizeof(ctl->last_pin), "%s", pin);
}

static void print_note(void *arg, const char *line)
{
	(void)arg;
	fprintf(stderr, "bhctl: note: %s\n", line);
}

static rocksdb_options_t *options_with_blobs(uint64_t min_size)
{
	rocksdb_options_t *options = rocksdb_options_create();

	rocksdb_options_set_compression(options, rocksdb_zstd_compression);
	rocksdb_options_set_enable_blob_files(options, 1);
	rocksdb_options_set_min_blob_size(options, min_size);
	rocksdb_options_set_blob_compression_type(options, rocksdb_zstd_compression);
	return options;
}

static bh_status open_db(bhctl *ctl, bh_db_options *options, bh_db **out)
{
	BH_TRY(bhctl_need_db(ctl));
	options->kms = ctl->kms;
	options->pin = ctl->pin;
	options->pin_changed = bhctl_keep_pin;
	options->pin_arg = ctl;
	options->log = print_note;
	options->no_admin = true;
	options->maintenance_ms = UINT_MAX; /* one command, one thing: sweeps that others began are theirs */
	return bh_db_open(ctl->db, options, out);
}

bh_status bhctl_open(bhctl *ctl, uint64_t blob_min_size, bh_db **out)
{
	rocksdb_options_t *rocksdb = blob_min_size > 0 ? options_with_blobs(blob_min_size) : NULL;
	bh_status status = open_db(ctl, &(bh_db_options){ .rocksdb = rocksdb }, out);

	if (rocksdb != NULL)
		rocksdb_options_destroy(rocksdb);
	return status;
}

bh_status bhctl_open_to_look(bhctl *ctl, bh_db **out)
{
	return open_db(ctl, &(bh_db_options){ .read_only = true, .audit_optional = ctl->audit_optional }, out);
}

void bhctl_db_close(bh_db **db)
{
	bh_db_close(*db);
}

void bhctl_cf_close(bh_cf **cf)
{
	if (*cf != NULL)
		bh_cf_close(*cf);
}
