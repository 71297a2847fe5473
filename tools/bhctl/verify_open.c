/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_open.c: RocksDB's own word: each database among the files is opened read-only, as an open would, with its WALs recovered
 * into memory, and every block of every SST is read. Nothing is written. So whatever RocksDB would refuse is found, also what the
 * checks before this one do not know of: unique ids, sequence numbers, gaps between logs.
 */
#include <stdio.h>
#include <stdlib.h>

#include <bulkhead/env.h>

#include "env/bridge/bridge.h"
#include "env/bridge/look.h"
#include "env/fs/blame.h"
#include "verify.h"

#define NOBODY "" /* no merchant has that name: the default family alone */

/* The families that RocksDB is shown in a root. */
typedef struct opening {
	const char *dir;
	rocksdb_options_t *options;
	char **names;
	size_t count;
} opening;

static void opening_clear(opening *o)
{
	if (o->names != NULL)
		rocksdb_list_column_families_destroy(o->names, o->count);
	if (o->options != NULL)
		rocksdb_options_destroy(o->options);
}

static bh_status list_families(opening *o)
{
	char *error = NULL;

	o->names = rocksdb_list_column_families(o->options, o->dir, &o->count, &error);
	return bh_status_of_rocksdb(error);
}

/* ---- some of its families, opened and read */

typedef struct chosen {
	size_t count;
	const char **names;                       /* owned; what they point to is not */
	rocksdb_options_t **options;              /* owned */
	rocksdb_column_family_handle_t **handles; /* owned */
	rocksdb_t *rocks;
} chosen;

static void chosen_clear(chosen *c)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->handles[i] != NULL)
			rocksdb_column_family_handle_destroy(c->handles[i]);
		if (c->options[i] != NULL)
			rocksdb_options_destroy(c->options[i]);
	}
	if (c->rocks != NULL)
		rocksdb_close(c->rocks);
	free(c->names);
	free(c->options);
	free(c->handles);
}

static bh_status choose_one(const opening *o, const char *name, const bh_scope *scope, chosen *c)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	c->names[c->count] = name;
	c->options[c->count] = rocksdb_options_create_copy(o->options);
	c->count++;
	if (bh_scope_is_platform(scope))
		return BH_OK;
	BH_TRY(bh_buf_printf(&path, "%s/" BH_TENANTS_DIR "/%s/%s", o->dir, scope->merchant, scope->cls));
	bh_bridge_set_cf_path(c->options[c->count - 1], (const char *)path.data);
	return BH_OK;
}

/* The default family and those of `merchant`; NULL: all. */
static bh_status choose(const opening *o, const char *merchant, chosen *c)
{
	c->names = calloc(o->count, sizeof(*c->names));
	c->options = calloc(o->count, sizeof(*c->options));
	c->handles = calloc(o->count, sizeof(*c->handles));
	if (c->names == NULL || c->options == NULL || c->handles == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory for %zu column families", o->dir, o->count);
	for (size_t i = 0; i < o->count; i++) {
		bh_scope scope;

		BH_TRY(bh_cf_name_parse(bh_view_str(o->names[i]), &scope));
		if (merchant == NULL || bh_scope_is_platform(&scope) || strcmp(scope.merchant, merchant) == 0)
			BH_TRY(choose_one(o, o->names[i], &scope, c));
	}
	return BH_OK;
}

static bh_status open_and_read(const opening *o, const char *merchant)
{
	BH_CLEANUP(chosen_clear) chosen c = { 0 };
	char *error = NULL;

	BH_TRY(choose(o, merchant, &c));
	bh_fs_bad_end_forget();
	c.rocks = rocksdb_open_for_read_only_column_families(o->options, o->dir, (int)c.count, c.names,
							     (const rocksdb_options_t *const *)c.options, c.handles, 0, &error);
	BH_TRY(bh_fs_bad_end_named(bh_status_of_rocksdb(error)));
	error = NULL;
	bh_bridge_check_blocks(c.rocks, &error);
	return bh_status_of_rocksdb(error);
}

/* ---- the report */

/* What the service that opened it has, and this program cannot. */
static bool lacks_comparator(bh_status status)
{
	return status == BH_E_ROCKSDB && strstr(bh_status_message(), "comparator") != NULL;
}

static void fail_root(const verify_root *root, report *r, bh_status status)
{
	char path[VERIFY_PATH_SIZE];

	snprintf(path, sizeof(path), "%s%s", root->prefix, root->current[0] != '\0' ? root->current : "CURRENT");
	report_failure(r, path, NULL, 0, 0, status);
}

/* Whoever it is that cannot be opened: each one by itself, as the others are served. */
static bh_status find_culprits(const verify *v, const verify_root *root, const opening *o, report *r)
{
	size_t found = json_array_size(r->failures);
	bh_status all = open_and_read(o, NULL), status;
	BH_CLEANUP(bh_buf_clear) bh_buf message = { 0 };

	BH_TRY(bh_buf_printf(&message, "%s", bh_status_message()));
	status = open_and_read(o, NOBODY);
	if (status != BH_OK) {
		fail_root(root, r, status);
		return BH_OK;
	}
	for (size_t i = 0; i < v->in.merchant_count; i++) {
		char dir[VERIFY_PREFIX_SIZE + sizeof(BH_TENANTS_DIR) + BH_NAME_MAX + 1];

		if (verify_living(v, v->in.merchants[i].name) != &v->in.merchants[i])
			continue;
		status = open_and_read(o, v->in.merchants[i].name);
		snprintf(dir, sizeof(dir), "%s" BH_TENANTS_DIR "/%s", root->prefix, v->in.merchants[i].name);
		if (status != BH_OK)
			report_failure(r, dir, NULL, 0, 0, status);
	}
	if (json_array_size(r->failures) == found && all != BH_OK)
		fail_root(root, r, bh_fail(all, "%s", (const char *)message.data));
	return BH_OK;
}

static bh_status open_root(const verify *v, verify_root *root, report *r)
{
	BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };
	BH_CLEANUP(opening_clear) opening o = { 0 };
	bh_status status;

	BH_TRY(bh_buf_printf(&dir, "%s%s%s", v->ctl->db, root->merchant != NULL ? "/" BH_PARKED_DIR "/" : "",
			     root->merchant != NULL ? root->merchant : ""));
	BH_TRY(bh_bridge_look_env_new(root->fs, &root->env));
	o.dir = (const char *)dir.data;
	o.options = rocksdb_options_create();
	rocksdb_options_set_env(o.options, root->env);
	bh_bridge_be_silent(o.options);
	r->files++;
	status = list_families(&o);
	if (status != BH_OK) {
		fail_root(root, r, status);
		return BH_OK;
	}
	status = open_and_read(&o, NULL);
	if (!lacks_comparator(status))
		return status == BH_OK ? BH_OK : find_culprits(v, root, &o, r);
	report_note(r, "%sMANIFEST: was written with a comparator that bhctl does not have, so RocksDB has not opened it here",
		    root->prefix);
	return BH_OK;
}

/* Whether its keys are there, so that RocksDB can read what is parked. */
static bool is_unlocked(const verify *v, const char *merchant)
{
	const bh_merchant_info *living = verify_living(v, merchant);

	return living != NULL && v->in.unlocked[living - v->in.merchants] == BH_OK;
}

bh_status verify_opening(verify *v, report *r)
{
	BH_TRY(bh_bridge_check_layout());
	for (size_t i = 0; i < v->root_count; i++)
		if (v->roots[i].merchant == NULL || is_unlocked(v, v->roots[i].merchant))
			BH_TRY(open_root(v, &v->roots[i], r));
	return BH_OK;
}
