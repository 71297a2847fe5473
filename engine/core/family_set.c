/* SPDX-License-Identifier: Apache-2.0
 *
 * family_set.c: see family_set.h.
 */
#include "family_set.h"

#include <bulkhead/env.h>

#include <stdlib.h>

#include "env/fs/blame.h"
#include "env/fs/fs.h"
#include "files.h"

void bh_family_set_clear(bh_family_set *set)
{
	for (size_t i = 0; set->options != NULL && i < set->count; i++)
		if (set->options[i] != NULL)
			rocksdb_options_destroy(set->options[i]);
	for (size_t i = 0; i < set->count; i++)
		free(set->names[i]);
	free(set->names);
	free(set->options);
	free(set->handles);
	*set = (bh_family_set){ 0 };
}

static bh_status add_name(bh_family_set *set, const char *name)
{
	char **grown = realloc(set->names, (set->count + 1) * sizeof(*grown));
	char *copy = strdup(name);

	if (grown != NULL)
		set->names = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		return bh_fail(BH_E_NOMEM, "no memory for the column family %s", name);
	}
	set->names[set->count++] = copy;
	return BH_OK;
}

static bh_status has_current(const char *dir, bool *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/CURRENT", dir));
	*out = bh_path_exists((const char *)path.data);
	return BH_OK;
}

/* The families that the MANIFEST has and this process may see; where there is no CURRENT yet, the default one. */
static bh_status list_names(const rocksdb_options_t *options, const char *dir, bh_family_set *set)
{
	char *error = NULL;
	size_t count = 0;
	char **names;
	bh_status status;
	bool exists;

	BH_TRY(has_current(dir, &exists));
	if (!exists)
		return add_name(set, "default");
	names = rocksdb_list_column_families(options, dir, &count, &error);
	status = bh_status_of_rocksdb(error);
	for (size_t i = 0; i < count && status == BH_OK; i++)
		status = add_name(set, names[i]);
	rocksdb_list_column_families_destroy(names, count);
	return status;
}

bh_status bh_class_options_set(rocksdb_options_t *options, bh_block_caches *caches, const char *dir, const bh_scope *scope)
{
	BH_TRY(bh_options_use_class(options, dir, scope->merchant, scope->cls));
	bh_block_caches_tag(caches, options, scope->merchant);
	return BH_OK;
}

static bh_status class_options(const rocksdb_options_t *template, bh_block_caches *caches, const char *dir, const char *name,
			       rocksdb_options_t **out)
{
	rocksdb_options_t *options = rocksdb_options_create_copy((rocksdb_options_t *)(uintptr_t) template);
	bh_status status;
	bh_scope scope;

	status = bh_cf_name_parse(bh_view_str(name), &scope);
	if (status == BH_OK && bh_scope_is_platform(&scope))
		bh_block_caches_tag(caches, options, "");
	else if (status == BH_OK)
		status = bh_class_options_set(options, caches, dir, &scope);
	if (status == BH_OK)
		*out = options;
	else
		rocksdb_options_destroy(options);
	return status;
}

static bh_status prepare(const rocksdb_options_t *options, bh_block_caches *caches, const char *dir, bh_family_set *set)
{
	BH_TRY(list_names(options, dir, set));
	set->options = calloc(set->count, sizeof(*set->options));
	set->handles = calloc(set->count, sizeof(*set->handles));
	if (set->options == NULL || set->handles == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu column families", set->count);
	for (size_t i = 0; i < set->count; i++)
		BH_TRY(class_options(options, caches, dir, set->names[i], &set->options[i]));
	return BH_OK;
}

static rocksdb_t *open_set(const rocksdb_options_t *options, const char *dir, bool read_only, bh_family_set *set, char **error)
{
	const char *const *names = (const char *const *)set->names;
	const rocksdb_options_t *const *each = (const rocksdb_options_t *const *)set->options;

	if (read_only)
		return rocksdb_open_for_read_only_column_families(options, dir, (int)set->count, names, each, set->handles, 0,
								  error);
	return rocksdb_open_column_families(options, dir, (int)set->count, names, each, set->handles, error);
}

bh_status bh_family_set_open(const rocksdb_options_t *options, bh_block_caches *caches, const char *dir, bool read_only,
			     bh_family_set *out, rocksdb_t **rocks_out)
{
	BH_CLEANUP(bh_family_set_clear) bh_family_set set = { 0 };
	char *error = NULL;
	rocksdb_t *rocks;
	bool before;

	BH_TRY(prepare(options, caches, dir, &set));
	bh_fs_bad_end_forget();
	before = bh_fs_hush_sizes(true);
	rocks = open_set(options, dir, read_only, &set, &error);
	(void)bh_fs_hush_sizes(before);
	BH_TRY(bh_fs_bad_end_named(bh_status_of_rocksdb(error)));
	*rocks_out = rocks;
	*out = set;
	set = (bh_family_set){ 0 };
	return BH_OK;
}
