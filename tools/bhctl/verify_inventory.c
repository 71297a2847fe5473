/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_inventory.c: merchants and keys; the files that must be there; the files that need not.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/certificate.h"
#include "tools/bhctl/verify.h"

/* ---- the keyring: its chain was checked when it was opened */

bh_status verify_keyring(verify *v, report *r)
{
	const inspect *in = &v->in;

	r->files = 1;
	for (size_t i = 0; i < in->merchant_count; i++) {
		bh_merchant_state state = in->merchants[i].state;

		if (in->unlocked[i] == BH_OK || state == BH_MERCHANT_SHREDDED)
			continue;
		if (state == BH_MERCHANT_SHREDDING)
			report_note(r, "merchant '%s' is being shredded; the next open finishes it", in->merchants[i].name);
		else
			report_note(r, "merchant '%s': its keys are not available (%s), so its files are skipped",
				    in->merchants[i].name, bh_status_name(in->unlocked[i]));
	}
	report_note(r, "generation %llu, %zu merchants, %zu DEKs", (unsigned long long)bh_keyring_generation(in->keyring),
		    in->merchant_count, in->dek_count);
	return BH_OK;
}

/* ---- certificates of shreds: signed by this database, each in its own place */

static bool is_certificate(const char *path)
{
	size_t skip = strlen(BH_CERTIFICATES_DIR) + 1;

	return strncmp(path, BH_CERTIFICATES_DIR "/", skip) == 0 && strchr(path + skip, '/') == NULL &&
	       tree_has_suffix(path, ".json");
}

static bool is_certificate_of(const bh_merchant_info *merchant, const char *path)
{
	char name[BH_CERTIFICATE_NAME_SIZE];

	bh_certificate_name(merchant, name);
	return strcmp(path + strlen(BH_CERTIFICATES_DIR) + 1, name) == 0;
}

static bh_status check_certificate(const verify *v, const char *path)
{
	for (size_t i = 0; i < v->in.merchant_count; i++) {
		BH_CLEANUP(bh_buf_clear) bh_buf json = { 0 };

		if (is_certificate_of(&v->in.merchants[i], path))
			return bh_certificate_load(v->ctl->db, v->in.keyring, &v->in.merchants[i], &json);
	}
	return bh_fail(BH_E_TAG, "is of no merchant that this database has ever had");
}

bh_status verify_certificates(verify *v, report *r)
{
	for (size_t i = 0; i < v->files.count; i++) {
		const tree_entry *entry = &v->files.entries[i];

		if (entry->type != TREE_FILE || !is_certificate(entry->path))
			continue;
		r->files++;
		bh_status status = check_certificate(v, entry->path);
		if (status != BH_OK)
			report_failure(r, entry->path, NULL, 0, 0, status);
	}
	return BH_OK;
}

/* ---- what must be there */

static const manifest_file *find_by_path(const verify *v, const char *path)
{
	for (size_t i = 0; i < v->manifest.file_count; i++) {
		char known[MANIFEST_PATH_SIZE];

		manifest_path(&v->manifest, &v->manifest.files[i], known);
		if (strcmp(known, path) == 0 && manifest_needs(&v->manifest, &v->manifest.files[i]))
			return &v->manifest.files[i];
	}
	return NULL;
}

bool verify_needs(const verify *v, const char *path)
{
	return !v->have_manifest || find_by_path(v, path) != NULL;
}

static const tree_entry *find_entry(const tree *files, const char *path)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->entries[i].path, path) == 0)
			return &files->entries[i];
	return NULL;
}

static bh_status content_size(const verify *v, const tree_entry *entry, uint64_t *out)
{
	BH_CLEANUP(bhctl_freep) char *path = NULL;
	BH_CLEANUP(sealed_close) sealed file = SEALED_CLOSED;
	bh_header header;

	if (asprintf(&path, "%s/%s", v->ctl->db, entry->path) < 0)
		return bh_fail(BH_E_NOMEM, "%s: no memory", entry->path);
	BH_TRY(sealed_open(path, &file));
	BH_TRY(bh_header_parse(bh_view_of(file.header, file.header_len), &header));
	return bh_pages_logical_size(file.size, header.page_size, out);
}

static void check_file(const verify *v, report *r, const manifest_file *file)
{
	char path[MANIFEST_PATH_SIZE];
	const tree_entry *entry;
	uint64_t size = 0;

	manifest_path(&v->manifest, file, path);
	entry = find_entry(&v->files, path);
	r->files++;
	if (entry == NULL) {
		report_failure(r, path, NULL, 0, 0, bh_fail(BH_E_NOT_FOUND, "the MANIFEST has it, but it is not there"));
		return;
	}
	/* What is no sealed file has been reported with the pages. */
	if (content_size(v, entry, &size) == BH_OK && size != file->size)
		report_failure(r, path, NULL, 0, 0,
			       bh_fail(BH_E_TAG, "holds %llu bytes, but the MANIFEST says %llu: another file was put in its place",
				       (unsigned long long)size, (unsigned long long)file->size));
}

bh_status verify_present(verify *v, report *r)
{
	if (!v->have_manifest) {
		report_note(r, "the MANIFEST could not be read, so it is not known which files have to be there");
		return BH_OK;
	}
	for (size_t i = 0; i < v->manifest.file_count; i++)
		if (manifest_needs(&v->manifest, &v->manifest.files[i]))
			check_file(v, r, &v->manifest.files[i]);
	return BH_OK;
}

/* ---- what else is there */

/* Whether `name` is `prefix`, digits, `suffix`. */
static bool is_numbered(const char *name, const char *prefix, const char *suffix)
{
	size_t skip = strlen(prefix);

	if (strncmp(name, prefix, skip) != 0 || !isdigit((unsigned char)name[skip]))
		return false;
	name += skip;
	name += strspn(name, "0123456789");
	return strcmp(name, suffix) == 0;
}

bool verify_knows(const char *path)
{
	static const char *const names[] = { "CURRENT", "IDENTITY", "LOCK", "LOG", BH_KEYRING_FILE, BH_AUDIT_FILE };
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	for (size_t i = 0; slash == NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	if (slash == NULL && (is_numbered(name, "", ".log") || is_numbered(name, "MANIFEST-", "") ||
			      is_numbered(name, "OPTIONS-", "") || is_numbered(name, "LOG.old.", "")))
		return true;
	return is_numbered(name, "", ".sst") || is_numbered(name, "", ".blob");
}

static bool is_leftover(const char *path)
{
	return tree_has_suffix(path, BH_TEMP_SUFFIX) || tree_has_suffix(path, ".dbtmp") ||
	       strcmp(path, BH_KEYRING_FILE ".tmp") == 0 || tree_has_suffix(path, ".json" BH_CERTIFICATE_TEMP);
}

/* Whether the directory is one that the layout has: tenants, a merchant's, a class's that has a family. */
static bool is_family_dir(const verify *v, const char *path)
{
	bh_scope scope;

	if (strncmp(path, BH_TENANTS_DIR "/", strlen(BH_TENANTS_DIR) + 1) != 0)
		return false;
	path += strlen(BH_TENANTS_DIR) + 1;
	if (bh_cf_name_parse(bh_view_str(path), &scope) != BH_OK)
		return false;
	for (size_t i = 0; i < v->manifest.family_count; i++) {
		const manifest_family *family = &v->manifest.families[i];

		if (!family->dropped && strcmp(family->scope.merchant, scope.merchant) == 0 &&
		    strcmp(family->scope.cls, scope.cls) == 0)
			return true;
	}
	return false;
}

static bool is_merchant_dir(const verify *v, const char *path)
{
	size_t skip = strlen(BH_TENANTS_DIR) + 1;

	if (strncmp(path, BH_TENANTS_DIR "/", skip) != 0)
		return false;
	for (size_t i = 0; i < v->in.merchant_count; i++)
		if (strcmp(v->in.merchants[i].name, path + skip) == 0)
			return true;
	return false;
}

static void check_dir(const verify *v, report *r, const char *path)
{
	if (strcmp(path, BH_TENANTS_DIR) == 0 || strcmp(path, BH_CERTIFICATES_DIR) == 0 || is_merchant_dir(v, path))
		return;
	if (v->have_manifest && !is_family_dir(v, path))
		report_note(r, "%s: a directory that belongs to no column family", path);
}

static void check_stray(const verify *v, report *r, const tree_entry *entry)
{
	if (entry->type == TREE_DIR)
		check_dir(v, r, entry->path);
	else if (entry->type == TREE_STRANGE)
		report_failure(r, entry->path, NULL, 0, 0,
			       bh_fail(BH_E_FORMAT, "is neither file nor directory; nothing of a database is that"));
	else if (is_certificate(entry->path))
		return;
	else if (is_leftover(entry->path))
		report_note(r, "%s: a leftover of a crash; the next open removes it", entry->path);
	else if (!verify_knows(entry->path))
		report_note(r, "%s: no file of this database", entry->path);
	else if ((tree_has_suffix(entry->path, ".sst") || tree_has_suffix(entry->path, ".blob")) && !verify_needs(v, entry->path))
		report_note(r, "%s: a leftover that the MANIFEST does not have; the next open removes it", entry->path);
}

bh_status verify_strays(verify *v, report *r)
{
	for (size_t i = 0; i < v->files.count; i++)
		check_stray(v, r, &v->files.entries[i]);
	return BH_OK;
}
