/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_sum.c: see manifest_sum.h. Follows RocksDB's VersionBuilder in what makes a file needless.
 */
#include "manifest_sum.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Around the records of a blob file; its MANIFEST entry counts the records alone. */
#define BLOB_FILE_HEADER 30u
#define BLOB_FILE_FOOTER 32u

static const bh_manifest_sum_family default_family;

void bh_manifest_sum_clear(bh_manifest_sum *m)
{
	bh_version_edit_clear(&m->edit);
	free(m->families);
	for (size_t i = 0; i < m->file_count; i++)
		free(m->files[i].bounds);
	free(m->files);
	free(m->slots);
	*m = (bh_manifest_sum){ 0 };
}

const bh_manifest_sum_family *bh_manifest_sum_family_of(const bh_manifest_sum *m, uint32_t id)
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
	bh_manifest_sum *m;
	uint32_t family; /* of the edit */
	bh_status status;
} taking;

static bh_status add_family(bh_manifest_sum *m, uint32_t id, bh_view name)
{
	bh_manifest_sum_family family = { .id = id };
	bh_manifest_sum_family *grown;

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

static void drop_family(bh_manifest_sum *m, uint32_t id)
{
	for (size_t i = 0; i < m->family_count; i++)
		if (m->families[i].id == id)
			m->families[i].dropped = true;
}

/* ---- files, found by family, kind and number: an old MANIFEST has many */

#define INDEX_MIN 64u

static size_t slot_of(const bh_manifest_sum *m, uint32_t family, bool blob, uint64_t number)
{
	uint64_t hash = (number * 2 + blob) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)family * UINT64_C(0xc2b2ae3d27d4eb4f);

	return (size_t)(hash >> 20) & (m->slot_count - 1);
}

/* The slot that has the file, or the free one that it would get. */
static size_t find_slot(const bh_manifest_sum *m, uint32_t family, bool blob, uint64_t number)
{
	size_t slot = slot_of(m, family, blob, number);

	for (; m->slots[slot] != 0; slot = (slot + 1) & (m->slot_count - 1)) {
		const bh_manifest_sum_file *file = &m->files[m->slots[slot] - 1];

		if (file->family == family && file->blob == blob && file->number == number)
			break;
	}
	return slot;
}

static bh_status grow(bh_manifest_sum *m)
{
	assert(m->files != NULL || m->file_count == 0);
	const size_t count = m->slot_count > 0 ? 2 * m->slot_count : INDEX_MIN;
	bh_manifest_sum_file *files = realloc(m->files, count / 2 * sizeof(*files));
	size_t *slots = calloc(count, sizeof(*slots));

	if (files != NULL)
		m->files = files;
	if (files == NULL || slots == NULL) {
		free(slots);
		return bh_fail(BH_E_NOMEM, "no memory for the list of files");
	}
	free(m->slots);
	m->slots = slots;
	m->slot_count = count;
	for (size_t i = 0; i < m->file_count; i++)
		m->slots[find_slot(m, m->files[i].family, m->files[i].blob, m->files[i].number)] = i + 1;
	return BH_OK;
}

static bh_status add_file(bh_manifest_sum *m, const bh_manifest_sum_file *file)
{
	if (m->file_count == m->slot_count / 2)
		BH_TRY(grow(m));
	assert(m->files != NULL && m->slots != NULL);
	m->files[m->file_count++] = *file;
	m->slots[find_slot(m, file->family, file->blob, file->number)] = m->file_count;
	return BH_OK;
}

static bh_manifest_sum_file *find_file(const bh_manifest_sum *m, uint32_t family, bool blob, uint64_t number)
{
	size_t slot = m->slot_count > 0 ? m->slots[find_slot(m, family, blob, number)] : 0;

	return slot > 0 ? &m->files[slot - 1] : NULL;
}

static void delete_file(const bh_manifest_sum *m, uint32_t family, uint64_t number)
{
	bh_manifest_sum_file *file = find_file(m, family, false, number);

	if (file != NULL)
		file->deleted = true;
}

static void add_garbage(const bh_manifest_sum *m, uint32_t family, const bh_version_field *field)
{
	bh_manifest_sum_file *file = find_file(m, family, true, field->number);

	if (file != NULL)
		file->garbage += field->count;
}

/* Internal keys end in eight bytes that are not the user's. */
static size_t user_len(bh_view key)
{
	return key.len > 8 ? key.len - 8 : 0;
}

static bh_status keep_bounds(const bh_version_field *field, bh_manifest_sum_file *file)
{
	file->smallest_len = user_len(field->smallest);
	file->largest_len = user_len(field->largest);
	file->bounds = malloc(file->smallest_len + file->largest_len + 1);
	if (file->bounds == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the bounds of a file");
	memcpy(file->bounds, field->smallest.data, file->smallest_len);
	memcpy(file->bounds + file->smallest_len, field->largest.data, file->largest_len);
	return BH_OK;
}

/* A file that moves to another level is deleted and added in one edit, in this order. */
static bh_status add_sst(bh_manifest_sum *m, uint32_t family, const bh_version_field *field)
{
	bh_manifest_sum_file file = { .family = family, .number = field->number, .size = field->size, .oldest_blob = field->blob };
	bh_manifest_sum_file *known = find_file(m, family, false, field->number);
	bh_status status;

	if (m->keeps_bounds)
		BH_TRY(keep_bounds(field, &file));
	if (known == NULL) {
		status = add_file(m, &file);
		if (status != BH_OK)
			free(file.bounds);
		return status;
	}
	free(known->bounds);
	*known = file;
	return BH_OK;
}

static bh_status add_blob(bh_manifest_sum *m, uint32_t family, const bh_version_field *field)
{
	bh_manifest_sum_file file = { .family = family, .blob = true, .number = field->number, .blobs = field->count };

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

bh_status bh_manifest_sum_take(bh_manifest_sum *m, bh_view record)
{
	taking t = { .m = m };

	/* Twice, because an edit names its family after the files. */
	m->edit.shown_by_a_view = true;
	BH_TRY(bh_version_edit_parse(record, &m->edit));
	t.family = m->edit.cf_id;
	BH_TRY(bh_version_edit_walk(record, &m->edit, take_field, &t));
	return t.status;
}

/* ---- the sum */

/* The oldest blob file that any SST of the family refers to; 0: none does. */
static uint64_t oldest_blob(const bh_manifest_sum *m, uint32_t family)
{
	uint64_t oldest = 0;

	for (size_t i = 0; i < m->file_count; i++) {
		const bh_manifest_sum_file *file = &m->files[i];

		if (!file->blob && !file->deleted && file->family == family && file->oldest_blob != 0 &&
		    (oldest == 0 || file->oldest_blob < oldest))
			oldest = file->oldest_blob;
	}
	return oldest;
}

bool bh_manifest_sum_needs(const bh_manifest_sum *m, const bh_manifest_sum_file *file)
{
	const bh_manifest_sum_family *family = bh_manifest_sum_family_of(m, file->family);
	uint64_t oldest;

	if (family == NULL || family->dropped || file->deleted)
		return false;
	if (!file->blob)
		return true;
	oldest = oldest_blob(m, file->family);
	return oldest != 0 && file->number >= oldest && file->garbage < file->blobs;
}

void bh_manifest_sum_path(const bh_manifest_sum *m, const bh_manifest_sum_file *file, char out[BH_MANIFEST_PATH_SIZE])
{
	const bh_manifest_sum_family *family = bh_manifest_sum_family_of(m, file->family);
	const char *suffix = file->blob ? "blob" : "sst";

	if (family == NULL || bh_scope_is_platform(&family->scope))
		snprintf(out, BH_MANIFEST_PATH_SIZE, "%06" PRIu64 ".%s", file->number, suffix);
	else
		snprintf(out, BH_MANIFEST_PATH_SIZE, BH_TENANTS_DIR "/%s/%s/%06" PRIu64 ".%s", family->scope.merchant,
			 family->scope.cls, file->number, suffix);
}
