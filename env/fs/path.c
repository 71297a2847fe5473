/* SPDX-License-Identifier: Apache-2.0
 *
 * path.c: from a path to what the file is and whose it is. Pure.
 */
#include "path.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

const char *bh_path_below(const char *root, const char *path)
{
	while (*root != '\0') {
		if (*root != *path)
			return NULL;
		if (*root == '/') {
			while (*root == '/')
				root++;
			while (*path == '/')
				path++;
		} else {
			root++;
			path++;
		}
	}
	if (*path != '\0' && *path != '/' && root[-1] != '/')
		return NULL;
	while (*path == '/')
		path++;
	return path;
}

/* Copies the path component at *path into `out` and moves past it and its slashes; false if it is empty or too long. */
static bool next_component(const char **path, char out[BH_NAME_MAX + 1])
{
	size_t len = strcspn(*path, "/");

	if (len == 0 || len > BH_NAME_MAX)
		return false;
	memcpy(out, *path, len);
	out[len] = '\0';
	*path += len;
	while (**path == '/')
		(*path)++;
	return true;
}

static bh_status path_scope(const char *root, const char *path, bh_scope *out, bool *staged_out)
{
	const char *rest = bh_path_below(root, path);
	bh_scope scope = { 0 };
	char first[BH_NAME_MAX + 1];

	*out = scope;
	*staged_out = false;
	if (rest == NULL || !next_component(&rest, first) ||
	    (strcmp(first, BH_TENANTS_DIR) != 0 && strcmp(first, BH_STAGING_DIR) != 0))
		return BH_OK;
	if (!next_component(&rest, scope.merchant) || !next_component(&rest, scope.cls) || *rest == '\0')
		return bh_fail(BH_E_INVALID, "%s: files under %s/ belong in %s/<merchant>/<class>/", path, first, first);
	BH_TRY(bh_name_check("merchant", scope.merchant));
	BH_TRY(bh_name_check("class", scope.cls));
	*out = scope;
	*staged_out = strcmp(first, BH_STAGING_DIR) == 0;
	return BH_OK;
}

bool bh_path_owner(const char *below, bh_scope *out)
{
	bh_scope scope = { 0 };
	char first[BH_NAME_MAX + 1];

	if (!next_component(&below, first) || strcmp(first, BH_TENANTS_DIR) != 0)
		return false;
	if (!next_component(&below, scope.merchant) || bh_name_check("merchant", scope.merchant) != BH_OK)
		return false;
	if (*below != '\0' && (!next_component(&below, scope.cls) || bh_name_check("class", scope.cls) != BH_OK))
		return false;
	*out = scope;
	return true;
}

/* Reads digits at `text`; returns what follows them, or NULL if there are none (or too many for a file number). */
static const char *parse_number(const char *text, uint64_t *number_out)
{
	uint64_t number = 0;
	size_t digits = 0;

	for (; isdigit((unsigned char)text[digits]); digits++) {
		if (digits == 19)
			return NULL;
		number = number * 10 + (uint64_t)(text[digits] - '0');
	}
	if (digits == 0)
		return NULL;
	*number_out = number;
	return text + digits;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n >= s && strcmp(name + n - s, suffix) == 0;
}

bool bh_is_temp_name(const char *name)
{
	return has_suffix(name, BH_TEMP_SUFFIX) || has_suffix(name, BH_TRASH_SUFFIX);
}

bool bh_path_is_plain(const char *path)
{
	for (; *path != '\0'; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");

		if ((len == 1 || len == 2) && strncmp(path, "..", len) == 0)
			return false;
		path += len;
	}
	return true;
}

bool bh_path_is_new_options(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strncmp(slash != NULL ? slash + 1 : path, "OPTIONS-", 8) == 0 && has_suffix(path, ".dbtmp");
}

bool bh_path_is_whole_small(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path, *end = NULL;
	uint64_t number;

	if (strncmp(name, "OPTIONS-", 8) == 0)
		end = parse_number(name + 8, &number);
	return strcmp(name, "CURRENT") == 0 || strcmp(name, "IDENTITY") == 0 || (end != NULL && *end == '\0');
}

static bool is_unsealed(const char *name)
{
	return strcmp(name, "LOCK") == 0 || strcmp(name, "LOG") == 0 || strncmp(name, "LOG.old.", 8) == 0;
}

/* What RocksDB adds to a name: "NAME.trash" for a file that is about to be deleted ("NAME0.trash", if there was one), "NAME.tmp"
 * or ".NAME.tmp" for one that gets its own name once it is whole. Cuts it off, so that the kind is the one that the name below
 * has. */
static char *strip_additions(char *name, bool *trash_out)
{
	size_t len = strlen(name);
	const char *dot;

	*trash_out = has_suffix(name, BH_TRASH_SUFFIX);
	if (*trash_out) {
		name[len -= strlen(BH_TRASH_SUFFIX)] = '\0';
		dot = strrchr(name, '.'); /* of the suffix, which has no digits of its own; a MANIFEST has none */
		while (dot != NULL && isdigit((unsigned char)name[len - 1]))
			name[--len] = '\0';
	}
	if (!has_suffix(name, ".tmp"))
		return name;
	name[len - strlen(".tmp")] = '\0';
	return name[0] == '.' ? name + 1 : name;
}

/* What a small file is bound to: not a number, since CURRENT and IDENTITY have none, but its name. No secret, and no defence
 * against who chooses names: nobody does. */
static uint64_t name_number(const char *name)
{
	return XXH3_64bits(name, strlen(name));
}

/* The names of RocksDB's file/filename.cc; what is not among them is a sealed stream of the kind OTHER. */
static void plain_name_kind(const char *name, bh_path_info *info)
{
	static const struct {
		const char *prefix;
		const char *suffix; /* what must follow the number */
		bh_file_kind kind;
	} numbered[] = {
		{ "", ".log", BH_KIND_WAL },
		{ "", ".blob", BH_KIND_BLOB },
		{ "MANIFEST-", "", BH_KIND_MANIFEST },
	};

	info->kind = has_suffix(name, ".sst") || has_suffix(name, ".ldb") ? BH_KIND_SST
		     : has_suffix(name, ".blob") ? BH_KIND_BLOB /* in a backup: with more than its number */
						 : BH_KIND_OTHER;
	info->number = info->kind == BH_KIND_OTHER ? name_number(name) : 0;
	for (size_t i = 0; i < sizeof(numbered) / sizeof(numbered[0]); i++) {
		uint64_t number;
		size_t skip = strlen(numbered[i].prefix);
		const char *tail;

		if (strncmp(name, numbered[i].prefix, skip) != 0)
			continue;
		tail = parse_number(name + skip, &number);
		if (tail == NULL || strcmp(tail, numbered[i].suffix) != 0)
			continue;
		info->kind = numbered[i].kind;
		info->number = number;
		return;
	}
}

static void name_kind(const char *name, bh_path_info *info)
{
	const size_t len = strlen(name);
	char copy[NAME_MAX + 1];

	*info = (bh_path_info){ .sealed = !is_unsealed(name), .kind = BH_KIND_OTHER, .scope = info->scope };
	if (len >= sizeof(copy)) /* no file can be made there */
		return;
	memcpy(copy, name, len + 1);
	plain_name_kind(strip_additions(copy, &info->trash), info);
}

void bh_path_classify_as(const bh_scope *scope, const char *path, bh_path_info *out)
{
	const char *slash = strrchr(path, '/');

	out->scope = *scope;
	name_kind(slash != NULL ? slash + 1 : path, out);
}

bh_status bh_path_classify(const char *root, const char *path, bh_path_info *out)
{
	bh_scope scope;
	bool staged;

	BH_TRY(path_scope(root, path, &scope, &staged));
	bh_path_classify_as(&scope, path, out);
	out->staged = staged;
	return BH_OK;
}

bh_status bh_cf_name_parse(bh_view name, bh_scope *out)
{
	const uint8_t *slash = memchr(name.data, '/', name.len);
	bh_scope scope = { 0 };
	size_t merchant_len, class_len;

	if (name.len == 7 && memcmp(name.data, "default", 7) == 0) {
		*out = scope;
		return BH_OK;
	}
	merchant_len = slash != NULL ? (size_t)(slash - name.data) : 0;
	class_len = slash != NULL ? name.len - merchant_len - 1 : 0;
	if (slash == NULL || merchant_len > BH_NAME_MAX || class_len > BH_NAME_MAX || memchr(name.data, '\0', name.len) != NULL)
		return bh_fail(BH_E_INVALID, "column family '%.*s': a name is 'default' or <merchant>/<class>",
			       (int)BH_MIN(name.len, 200), (const char *)name.data);
	memcpy(scope.merchant, name.data, merchant_len);
	memcpy(scope.cls, slash + 1, class_len);
	BH_TRY(bh_name_check("merchant", scope.merchant));
	BH_TRY(bh_name_check("class", scope.cls));
	*out = scope;
	return BH_OK;
}

void bh_cf_name_format(const bh_scope *scope, char out[BH_CF_NAME_SIZE])
{
	if (bh_scope_is_platform(scope))
		snprintf(out, BH_CF_NAME_SIZE, "default");
	else
		snprintf(out, BH_CF_NAME_SIZE, "%s/%s", scope->merchant, scope->cls);
}

bh_status bh_path_check_place(const char *path, const bh_path_info *info, const bh_file_key *key)
{
	const bh_scope *scope = bh_dek_scope(key->dek);
	const bh_header *header = &key->header;

	if (header->kind != info->kind)
		return bh_fail(BH_E_TAG, "%s: sealed as a file of the kind '%s'; it was put here from elsewhere", path,
			       bh_file_kind_name(header->kind));
	if (header->number != info->number && header->kind == BH_KIND_OTHER)
		return bh_fail(BH_E_TAG, "%s: sealed under another name; it was put here from elsewhere", path);
	if (header->number != info->number)
		return bh_fail(BH_E_TAG, "%s: sealed as number %llu; it was put here from elsewhere", path,
			       (unsigned long long)header->number);
	if (strcmp(scope->merchant, info->scope.merchant) != 0 || strcmp(scope->cls, info->scope.cls) != 0)
		return bh_fail(BH_E_TAG, "%s: sealed for '%s/%s'; it was put here from elsewhere", path, scope->merchant,
			       scope->cls);
	return BH_OK;
}
