/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_roots.c: the RocksDB databases among the files: the live one, and DB/parked/<merchant>/ of each merchant that is detached
 * (engine/wall/park.h). Which of them has a merchant's files follows from the merchant's state in the keyring.
 */
#include <stdio.h>
#include <stdlib.h>

#include "verify.h"

const bh_merchant_info *verify_living(const verify *v, const char *name)
{
	for (size_t i = v->in.merchant_count; i > 0; i--) {
		const bh_merchant_info *merchant = &v->in.merchants[i - 1];

		if (strcmp(merchant->name, name) == 0)
			return merchant->state < BH_MERCHANT_SHREDDING ? merchant : NULL;
	}
	return NULL;
}

bool verify_is_parked(const verify *v, const bh_merchant_info *merchant)
{
	char path[VERIFY_PREFIX_SIZE];

	snprintf(path, sizeof(path), BH_PARKED_DIR "/%s", merchant->name);
	switch (merchant->state) {
	case BH_MERCHANT_SUSPENDED:
	case BH_MERCHANT_RESUMING: return true;
	/* What is there under that name is complete, and made after SUSPENDING was recorded. */
	case BH_MERCHANT_SUSPENDING: return bh_tree_has(&v->files, path);
	default: return false;
	}
}

/* ---- the list */

void verify_roots_clear(verify *v)
{
	for (size_t i = v->root_count; i > 0; i--) { /* the live one, which has the keyring, last */
		verify_root *root = &v->roots[i - 1];

		bh_manifest_sum_clear(&root->manifest);
		if (root->env != NULL)
			rocksdb_env_destroy(root->env);
		else if (root->merchant != NULL)
			bh_fs_free(root->fs);
		if (root->env != NULL && root->merchant == NULL)
			inspect_fs_gone(&v->in);
	}
	free(v->roots);
	v->roots = NULL;
	v->root_count = 0;
}

static bh_status add_parked(verify *v, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	verify_root *root = &v->roots[v->root_count];

	*root = (verify_root){ .merchant = merchant->name };
	BH_TRY(bh_buf_printf(&path, "%s/" BH_PARKED_DIR "/%s", v->ctl->db, merchant->name));
	BH_TRY(bh_fs_new_view(v->in.keyring, (const char *)path.data, merchant->name, &root->fs));
	snprintf(root->prefix, sizeof(root->prefix), BH_PARKED_DIR "/%s/", merchant->name);
	inspect_scopes(root->fs, &root->scopes);
	v->root_count++;
	return BH_OK;
}

bh_status verify_roots_find(verify *v)
{
	v->roots = calloc(v->in.merchant_count + 1, sizeof(*v->roots));
	if (v->roots == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", v->ctl->db);
	v->roots[0] = (verify_root){ .fs = v->in.fs, .scopes = v->in.scopes };
	v->root_count = 1;
	for (size_t i = 0; i < v->in.merchant_count; i++)
		if (verify_is_parked(v, &v->in.merchants[i]))
			BH_TRY(add_parked(v, &v->in.merchants[i]));
	return BH_OK;
}

/* ---- whose a file is */

verify_root *verify_root_of(const verify *v, const char *path)
{
	for (size_t i = 1; i < v->root_count; i++)
		if (strncmp(path, v->roots[i].prefix, strlen(v->roots[i].prefix)) == 0)
			return &v->roots[i];
	if (strncmp(path, BH_PARKED_DIR "/", sizeof(BH_PARKED_DIR)) == 0)
		return NULL;
	return &v->roots[0];
}

const char *verify_below(const verify_root *root, const char *path)
{
	return path + strlen(root->prefix);
}

/* ---- what it needs */

/* Whether the files of that merchant are in this root. */
static bool has_merchant(const verify *v, const verify_root *root, const char *name)
{
	const bh_merchant_info *merchant;

	if (root->merchant != NULL)
		return strcmp(root->merchant, name) == 0;
	merchant = verify_living(v, name);
	return merchant != NULL && !verify_is_parked(v, merchant);
}

bool verify_root_has_family(const verify *v, const verify_root *root, const bh_scope *scope)
{
	for (size_t i = 0; i < root->manifest.family_count; i++) {
		const bh_manifest_sum_family *family = &root->manifest.families[i];

		if (!family->dropped && strcmp(family->scope.merchant, scope->merchant) == 0 &&
		    strcmp(family->scope.cls, scope->cls) == 0)
			return has_merchant(v, root, scope->merchant);
	}
	return false;
}

bool verify_root_needs(const verify *v, const verify_root *root, const bh_manifest_sum_file *file)
{
	const bh_manifest_sum_family *family = bh_manifest_sum_family_of(&root->manifest, file->family);

	if (family == NULL || !bh_manifest_sum_needs(&root->manifest, file))
		return false;
	/* A parked directory holds one merchant's files alone, whatever the copied MANIFEST says of the others'. */
	if (bh_scope_is_platform(&family->scope))
		return root->merchant == NULL;
	return has_merchant(v, root, family->scope.merchant);
}

void verify_file_path(const verify_root *root, const bh_manifest_sum_file *file, char out[VERIFY_PATH_SIZE])
{
	char below[BH_MANIFEST_PATH_SIZE];

	bh_manifest_sum_path(&root->manifest, file, below);
	snprintf(out, VERIFY_PATH_SIZE, "%s%s", root->prefix, below);
}

bool verify_needs(const verify *v, const char *path)
{
	const verify_root *root = verify_root_of(v, path);

	if (root == NULL || !root->have_manifest)
		return root != NULL;
	for (size_t i = 0; i < root->manifest.file_count; i++) {
		char known[VERIFY_PATH_SIZE];

		verify_file_path(root, &root->manifest.files[i], known);
		if (strcmp(known, path) == 0 && verify_root_needs(v, root, &root->manifest.files[i]))
			return true;
	}
	return false;
}
