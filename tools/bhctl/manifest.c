/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest.c: see manifest.h. Follows RocksDB's VersionBuilder in what makes a file needless.
 */
#include "manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Around the records of a blob file; its MANIFEST entry counts the records alone. */
#define BLOB_FILE_HEADER 30u
#define BLOB_FILE_FOOTER 32u

static const manifest_family default_family;

void manifest_clear(manifest *m)
{
	bh_version_edit_clear(&m->edit);
	free(m->families);
	free(m->files);
	*m = (manifest){ 0 };
}

const manifest_family *manifest_family_of(const manifest *m, uint32_t id)
{
	if (id == BH_CF_DEFAULT)
		return &default_family;
	for (size_t i = m->family_count; i > 0; i--)
		if (m->families[i - 1].id == id)
			return &m->families[i - 1];
	return NULL;
}

/* ---- taking edits in */

typedef struct taking {
	manifest *m;
	uint32_t family; /* of the edit */
	bh_status status;
} taking;

static bh_status add_family(manifest *m, uint32_t id, bh_view name)
{
	manifest_family family = { .id = id };
	manifest_family *grown;

	BH_TRY(bh_cf_name_parse(name, &family.scope));
	if (id == BH_CF_DEFAULT)
		return BH_OK;
	grown = realloc(m->families, (m->family_count + 1) * sizeof(*grown));
	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the column families");
	m->families = grown;
	m->families[m->family_count++] = family;
	return BH_OK;
}

static void drop_family(manifest *m, uint32_t id)
{
	for (size_t i = 0; i < m->family_count; i++)
		if (m->families[i].id == id)
			m->families[i].dropped = true;
}

static bh_status add_file(manifest *m, const manifest_file *file)
{
	manifest_file *grown = m->files;

	if ((m->file_count & (m->file_count - 1)) == 0)
		grown = realloc(m->files, (m->file_count > 0 ? 2 * m->file_count : 1) * sizeof(*grown));
	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the list of files");
	m->files = grown;
	m->files[m->file_count++] = *file;
	return BH_OK;
}

static manifest_file *find_file(const manifest *m, uint32_t family, bool blob, uint64_t number)
{
	for (size_t i = m->file_count; i > 0; i--) {
		manifest_file *file = &m->files[i - 1];

		if (file->family == family && file->blob == blob && file->number == number)
			return file;
	}
	return NULL;
}

static void delete_file(const manifest *m, uint32_t family, uint64_t number)
{
	manifest_file *file = find_file(m, family, false, number);

	if (file != NULL)
		file->deleted = true;
}

static void add_garbage(const manifest *m, uint32_t family, const bh_version_field *field)
{
	manifest_file *file = find_file(m, family, true, field->number);

	if (file != NULL)
		file->garbage += field->count;
}

/* A file that moves to another level is deleted and added in one edit, in this order. */
static bh_status add_sst(manifest *m, uint32_t family, const bh_version_field *field)
{
	manifest_file file = { .family = family, .number = field->number, .size = field->size, .oldest_blob = field->blob };
	manifest_file *known = find_file(m, family, false, field->number);

	if (known == NULL)
		return add_file(m, &file);
	*known = file;
	return BH_OK;
}

static bh_status add_blob(manifest *m, uint32_t family, const bh_version_field *field)
{
	manifest_file file = { .family = family, .blob = true, .number = field->number, .blobs = field->count };

	file.size = BLOB_FILE_HEADER + field->size + BLOB_FILE_FOOTER;
	return add_file(m, &file);
}

static void take_field(void *arg, const bh_version_field *field)
{
	taking *t = arg;

	if (t->status != BH_OK)
		return;
	switch (field->what) {
	case BH_VERSION_FAMILY_ADDED: t->status = add_family(t->m, t->family, field->text); break;
	case BH_VERSION_FAMILY_DROPPED: drop_family(t->m, t->family); break;
	case BH_VERSION_FILE_ADDED: t->status = add_sst(t->m, t->family, field); break;
	case BH_VERSION_FILE_DELETED: delete_file(t->m, t->family, field->number); break;
	case BH_VERSION_BLOB_ADDED: t->status = add_blob(t->m, t->family, field); break;
	case BH_VERSION_BLOB_GARBAGE: add_garbage(t->m, t->family, field); break;
	default: break;
	}
}

bh_status manifest_take(manifest *m, bh_view record)
{
	taking t = { .m = m };

	/* Twice, because an edit names its family after the files. */
	BH_TRY(bh_version_edit_parse(record, &m->edit));
	t.family = m->edit.cf_id;
	BH_TRY(bh_version_edit_walk(record, &m->edit, take_field, &t));
	return t.status;
}

/* ---- the sum */

/* The oldest blob file that any SST of the family refers to; 0: none does. */
static uint64_t oldest_blob(const manifest *m, uint32_t family)
{
	uint64_t oldest = 0;

	for (size_t i = 0; i < m->file_count; i++) {
		const manifest_file *file = &m->files[i];

		if (!file->blob && !file->deleted && file->family == family && file->oldest_blob != 0 &&
		    (oldest == 0 || file->oldest_blob < oldest))
			oldest = file->oldest_blob;
	}
	return oldest;
}

bool manifest_needs(const manifest *m, const manifest_file *file)
{
	const manifest_family *family = manifest_family_of(m, file->family);
	uint64_t oldest;

	if (family == NULL || family->dropped || file->deleted)
		return false;
	if (!file->blob)
		return true;
	oldest = oldest_blob(m, file->family);
	return oldest != 0 && file->number >= oldest && file->garbage < file->blobs;
}

void manifest_path(const manifest *m, const manifest_file *file, char out[MANIFEST_PATH_SIZE])
{
	const manifest_family *family = manifest_family_of(m, file->family);
	const char *suffix = file->blob ? "blob" : "sst";

	if (family == NULL || bh_scope_is_platform(&family->scope))
		snprintf(out, MANIFEST_PATH_SIZE, "%06" PRIu64 ".%s", file->number, suffix);
	else
		snprintf(out, MANIFEST_PATH_SIZE, BH_TENANTS_DIR "/%s/%s/%06" PRIu64 ".%s", family->scope.merchant,
			 family->scope.cls, file->number, suffix);
}
