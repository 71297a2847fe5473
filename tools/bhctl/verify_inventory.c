/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_inventory.c: merchants and keys; the files that must be there; the files that need not.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/core/home.h"
#include "engine/door/wire.h"
#include "engine/shred/certificate.h"
#include "engine/wall/inventory.h"
#include "engine/wall/park.h"
#include "keyring/audit/verify.h"
#include "verify.h"
#include "env/fs/fresh_check.h"

/* ---- the keyring: its chain was checked when it was opened */

bh_status verify_keyring(verify *v, report *r)
{
	const inspect *in = &v->in;

	r->files = 1;
	for (size_t i = 0; i < in->merchant_count; i++) {
		bh_merchant_state state = in->merchants[i].state;

		if (in->unlocked[i] == BH_OK || in->unlocked[i] == BH_E_SUSPENDED || state == BH_MERCHANT_SHREDDED)
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

/* ---- the audit log */

bh_status verify_audit(verify *v, report *r)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	bh_audit_position known;
	const bh_audit_scan_options options = { .public_key = public_key, .floors = &known, .floor_count = 1 };
	bh_audit_scan_result found;

	bh_signer_public(bh_keyring_signer(v->in.keyring), public_key);
	bh_audit_position_get(bh_keyring_audit(v->in.keyring), &known);
	BH_TRY(bh_buf_printf(&path, "%s/" BH_AUDIT_FILE, v->ctl->db));
	BH_TRY(bh_buf_append_u8(&path, 0));
	r->files = 1;
	bh_status status = bh_audit_verify((const char *const[]){ (const char *)path.data }, 1, &options, &found);
	if (status == BH_OK && found.first > 0)
		report_note(r, "%llu entries; the first %llu are archived, and are not looked at",
			    (unsigned long long)found.tree.size, (unsigned long long)found.first);
	else if (status == BH_OK)
		report_note(r, "%llu entries", (unsigned long long)found.tree.size);
	else
		report_failure(r, BH_AUDIT_FILE, NULL, 0, 0, status);
	return BH_OK;
}

/* ---- the list of logs */

static void fail_log(void *arg, const char *name, bh_status status)
{
	report_failure(arg, name, NULL, 0, 0, status);
}

bh_status verify_log_list(verify *v, report *r)
{
	bh_ledger ledger;

	bh_keyring_ledger(v->in.keyring, &ledger);
	r->files = ledger.manifest_count + ledger.older_count + ledger.wal_count;
	return bh_fresh_check(v->in.keyring, v->ctl->db, fail_log, r);
}

/* ---- who is suspended */

static void note_suspended(report *r, const bh_merchant_info *merchant, bh_status unlocked)
{
	report_note(r, "merchant '%s' is %s (%s)%s", merchant->name, bh_merchant_state_name(merchant->state),
		    bh_suspend_cause_name(merchant->cause),
		    unlocked == BH_E_SUSPENDED ? ": its files are sealed, and are not opened" : "");
	if (merchant->state != BH_MERCHANT_SUSPENDED)
		report_note(r, "merchant '%s': that was interrupted; the next open finishes it", merchant->name);
}

/* What was parked, file by file: needs no key but the platform's. */
static bh_status check_inventory(const verify *v, report *r, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_inventory_clear) bh_inventory inventory = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf dir = { 0 };
	char path[VERIFY_PATH_SIZE];
	bh_status status;

	BH_TRY(bh_buf_printf(&dir, "%s/" BH_PARKED_DIR "/%s", v->ctl->db, merchant->name));
	status = bh_inventory_load((const char *)dir.data, v->in.fs, merchant, &inventory);
	if (status != BH_OK) {
		snprintf(path, sizeof(path), BH_PARKED_DIR "/%s/" BH_INVENTORY_FILE, merchant->name);
		report_failure(r, path, NULL, 0, 0, status);
	}
	for (size_t i = 0; i < inventory.count; i++) {
		r->files++;
		status = bh_inventory_check(&inventory.files[i], (const char *)dir.data);
		snprintf(path, sizeof(path), BH_PARKED_DIR "/%s/%s", merchant->name, inventory.files[i].path);
		if (status != BH_OK)
			report_failure(r, path, NULL, 0, 0, status);
	}
	return BH_OK;
}

static bool has_parked_dir(const verify *v, const bh_merchant_info *merchant)
{
	char parked[VERIFY_PREFIX_SIZE];

	snprintf(parked, sizeof(parked), BH_PARKED_DIR "/%s", merchant->name);
	return bh_tree_has(&v->files, parked);
}

static void check_parked(const verify *v, report *r, const bh_merchant_info *merchant)
{
	char parked[VERIFY_PREFIX_SIZE], live[VERIFY_PREFIX_SIZE + sizeof(BH_TENANTS_DIR)];

	snprintf(parked, sizeof(parked), BH_PARKED_DIR "/%s", merchant->name);
	snprintf(live, sizeof(live), BH_TENANTS_DIR "/%s", merchant->name);
	if (!has_parked_dir(v, merchant))
		report_failure(r, parked, NULL, 0, 0,
			       bh_fail(BH_E_NOT_FOUND, "merchant '%s' is suspended, but its files are not there; restore them",
				       merchant->name));
	/* Where that was interrupted, the next open removes it. */
	if (merchant->state == BH_MERCHANT_SUSPENDED && bh_tree_has(&v->files, live))
		report_failure(r, live, NULL, 0, 0,
			       bh_fail(BH_E_FORMAT,
				       "is in the live database, but merchant '%s' is suspended; the next open removes it",
				       merchant->name));
}

bh_status verify_suspended(verify *v, report *r)
{
	for (size_t i = 0; i < v->in.merchant_count; i++) {
		const bh_merchant_info *merchant = &v->in.merchants[i];

		if (merchant->cause == BH_SUSPEND_NONE)
			continue;
		note_suspended(r, merchant, v->in.unlocked[i]);
		if (!verify_is_parked(v, merchant))
			continue;
		r->files++;
		check_parked(v, r, merchant);
		if (!bh_inventory_is_due(merchant))
			report_note(r, "merchant '%s' was suspended by a build that made no inventory of its files",
				    merchant->name);
		else if (has_parked_dir(v, merchant))
			BH_TRY(check_inventory(v, r, merchant));
	}
	return BH_OK;
}

/* ---- certificates of shreds: signed by this database, each in its own place */

static bool is_certificate(const char *path)
{
	size_t skip = strlen(BH_CERTIFICATES_DIR) + 1;

	return strncmp(path, BH_CERTIFICATES_DIR "/", skip) == 0 && strchr(path + skip, '/') == NULL &&
	       bh_tree_has_suffix(path, ".json");
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
		const bh_tree_entry *entry = &v->files.entries[i];

		if (entry->type != BH_TREE_FILE || !is_certificate(entry->path))
			continue;
		r->files++;
		bh_status status = check_certificate(v, entry->path);
		if (status != BH_OK)
			report_failure(r, entry->path, NULL, 0, 0, status);
	}
	return BH_OK;
}

/* ---- what must be there */

static const bh_tree_entry *find_entry(const bh_tree *files, const char *path)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->entries[i].path, path) == 0)
			return &files->entries[i];
	return NULL;
}

static bh_status content_size(const verify *v, const bh_tree_entry *entry, uint64_t *out)
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

static void check_file(const verify *v, report *r, const verify_root *root, const bh_manifest_sum_file *file)
{
	char path[VERIFY_PATH_SIZE];
	const bh_tree_entry *entry;
	uint64_t size = 0;

	verify_file_path(root, file, path);
	entry = find_entry(&v->files, path);
	r->files++;
	if (entry == NULL) {
		report_failure(r, path, NULL, 0, 0, bh_fail(BH_E_NOT_FOUND, "the MANIFEST has it, but it is not there"));
		return;
	}
	if (entry->type != BH_TREE_FILE) {
		report_failure(r, path, NULL, 0, 0, bh_fail(BH_E_FORMAT, "the MANIFEST has it, but it is no regular file"));
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
	for (size_t i = 0; i < v->root_count; i++) {
		const verify_root *root = &v->roots[i];

		if (!root->have_manifest)
			report_note(r, "%sMANIFEST could not be read, so it is not known which files have to be there",
				    root->prefix);
		for (size_t k = 0; root->have_manifest && k < root->manifest.file_count; k++)
			if (verify_root_needs(v, root, &root->manifest.files[k]))
				check_file(v, r, root, &root->manifest.files[k]);
	}
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

bool verify_is_audit(const char *path)
{
	return strcmp(path, BH_AUDIT_FILE) == 0 || is_numbered(path, BH_AUDIT_FILE ".", "");
}

static bool is_rocksdbs(const char *path)
{
	static const char *const names[] = { "CURRENT", "IDENTITY", "LOCK", "LOG" };
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

/* What only the live database has. */
static bool is_live_only(const char *path)
{
	return strcmp(path, BH_KEYRING_FILE) == 0 || strcmp(path, BH_RESERVE_FILE) == 0 || strcmp(path, BH_FRESH_OLDER_FILE) == 0 ||
	       strcmp(path, BH_HOME_FILE) == 0 || verify_is_audit(path);
}

/* staging, and what is below it: files that wait to be ingested are looked at when they are. */
static bool is_staging(const char *path)
{
	const size_t len = strlen(BH_STAGING_DIR);

	return strncmp(path, BH_STAGING_DIR, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void check_staging(const verify *v, report *r, const bh_tree_entry *entry)
{
	const char *below = entry->path + BH_MIN(strlen(BH_STAGING_DIR "/"), strlen(entry->path));
	char merchant[BH_NAME_MAX + 1];

	snprintf(merchant, sizeof(merchant), "%.*s", (int)BH_MIN(strcspn(below, "/"), sizeof(merchant) - 1), below);
	if (*below != '\0' && verify_living(v, merchant) == NULL)
		report_note(r, "%s: of no merchant that lives", entry->path);
	else if (entry->type == BH_TREE_FILE && bh_is_temp_name(entry->path))
		report_note(r, "%s: a leftover of a crash; the next open removes it", entry->path);
	else if (entry->type == BH_TREE_FILE)
		report_note(r, "%s: waits to be ingested; it is looked at then", entry->path);
}

bool verify_knows(const verify_root *root, const char *path)
{
	path = verify_below(root, path);
	if (root->merchant == NULL && is_staging(path))
		return false;
	if (is_live_only(path))
		return root->merchant == NULL;
	if (strcmp(path, BH_INVENTORY_FILE) == 0)
		return root->merchant != NULL;
	return is_rocksdbs(path);
}

static bool is_leftover(const char *path)
{
	return bh_is_temp_name(path) || bh_tree_has_suffix(path, ".dbtmp") || strcmp(path, BH_KEYRING_FILE ".tmp") == 0 ||
	       strcmp(path, BH_AUDIT_TEMP) == 0 || strcmp(path, BH_HOME_TEMP) == 0 || strcmp(path, BH_RESERVE_PROBE) == 0 ||
	       bh_tree_has_suffix(path, ".json" BH_CERTIFICATE_TEMP);
}

/* Whether the directory below the root is one that the layout has: tenants, a merchant's, a class's that has a family. */
static bool is_family_dir(const verify *v, const verify_root *root, const char *path)
{
	size_t skip = strlen(BH_TENANTS_DIR "/");
	bh_scope scope;

	if (strncmp(path, BH_TENANTS_DIR "/", skip) != 0 || bh_cf_name_parse(bh_view_str(path + skip), &scope) != BH_OK)
		return false;
	return verify_root_has_family(v, root, &scope);
}

static bool is_merchant_dir(const verify *v, const char *path)
{
	size_t skip = strlen(BH_TENANTS_DIR "/");

	return strncmp(path, BH_TENANTS_DIR "/", skip) == 0 && verify_living(v, path + skip) != NULL;
}

/* What no open goes without, or goes by. */
static bool is_due_file(const verify *v, const verify_root *root, const char *path)
{
	static const char *const names[] = { "CURRENT", "IDENTITY", "LOCK", BH_KEYRING_FILE, BH_AUDIT_FILE };
	const char *below = verify_below(root, path);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(below, names[i]) == 0)
			return true;
	return strcmp(below, root->current) == 0 || (root->have_manifest && verify_needs(v, path));
}

static bool is_due_dir(const verify *v, const verify_root *root, const char *path)
{
	const char *below = verify_below(root, path);

	return strcmp(below, BH_TENANTS_DIR) == 0 || strcmp(below, BH_STAGING_DIR) == 0 || is_merchant_dir(v, below) ||
	       is_family_dir(v, root, below);
}

static void check_dir(const verify *v, report *r, const verify_root *root, const char *path)
{
	const char *below = verify_below(root, path);

	if (strcmp(below, BH_TENANTS_DIR) == 0 || is_merchant_dir(v, below))
		return;
	if (root->merchant == NULL && (strcmp(path, BH_CERTIFICATES_DIR) == 0 || strcmp(path, BH_PARKED_DIR) == 0))
		return;
	if (root->have_manifest && !is_family_dir(v, root, below))
		report_note(r, "%s: a directory that belongs to no column family", path);
}

static void check_known_place(const verify *v, report *r, const verify_root *root, const bh_tree_entry *entry)
{
	if (root->merchant == NULL && is_staging(entry->path))
		check_staging(v, r, entry);
	else if (entry->type == BH_TREE_DIR)
		check_dir(v, r, root, entry->path);
	else if (is_certificate(entry->path))
		return;
	else if (is_leftover(verify_below(root, entry->path)))
		report_note(r, "%s: a leftover of a crash; the next open removes it", entry->path);
	else if (!verify_knows(root, entry->path))
		report_note(r, "%s: no file of this database", entry->path);
	else if ((bh_tree_has_suffix(entry->path, ".sst") || bh_tree_has_suffix(entry->path, ".blob")) &&
		 !verify_needs(v, entry->path))
		report_note(r, "%s: a leftover that the MANIFEST does not have; the next open removes it", entry->path);
}

/* Whether it is DB/parked/<merchant> itself, of a merchant that is suspended. */
static bool is_parked_dir(const verify *v, const bh_tree_entry *entry)
{
	const bh_merchant_info *merchant = verify_living(v, entry->path + strlen(BH_PARKED_DIR "/"));

	return entry->type == BH_TREE_DIR && merchant != NULL && verify_is_parked(v, merchant);
}

/* In DB/parked/, where no merchant that is suspended has its files: one note for all that is in a directory. */
static void check_unknown_place(const verify *v, report *r, const bh_tree_entry *entry)
{
	const char *name = entry->path + strlen(BH_PARKED_DIR "/");

	if (strchr(name, '/') != NULL || is_parked_dir(v, entry))
		return;
	if (bh_park_is_leftover(name) || (entry->type == BH_TREE_DIR && verify_living(v, name) != NULL))
		report_note(r, "%s: a leftover of a suspension or resumption that was interrupted; the next open removes it",
			    entry->path);
	else
		report_note(r, "%s: belongs to no merchant that is suspended", entry->path);
}

static void check_stray(const verify *v, report *r, const bh_tree_entry *entry)
{
	const verify_root *root = verify_root_of(v, entry->path);

	const bool strange = entry->type != BH_TREE_FILE && entry->type != BH_TREE_DIR;

	if (entry->type == BH_TREE_SOCKET && strcmp(entry->path, BH_DOOR_SOCKET) == 0)
		return; /* of a process that was killed; the next open replaces it */
	if (entry->type != BH_TREE_FILE && root != NULL && is_due_file(v, root, entry->path))
		report_failure(r, entry->path, NULL, 0, 0,
			       bh_fail(BH_E_FORMAT, "is no regular file; nothing else is opened in its place"));
	else if (strange && root != NULL && is_due_dir(v, root, entry->path))
		report_failure(r, entry->path, NULL, 0, 0,
			       bh_fail(BH_E_FORMAT, "is no directory; a link is not followed in the place of one"));
	else if (strange)
		report_note(r, "%s: is neither file nor directory; no file of this database", entry->path);
	else if (root != NULL)
		check_known_place(v, r, root, entry);
	else
		check_unknown_place(v, r, entry);
}

bh_status verify_strays(verify *v, report *r)
{
	for (size_t i = 0; i < v->files.count; i++)
		check_stray(v, r, &v->files.entries[i]);
	return BH_OK;
}
