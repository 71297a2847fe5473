/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest_files.c: see manifest_files.h.
 */
#include "manifest_files.h"

#include <stdlib.h>

#define SLOTS_MIN 1024u /* a power of two */
#define GONE 0u         /* no edit added it last: edits count from 1 */

typedef struct slot {
	uint64_t number;
	uint32_t cf_id;
	bool in_use;
	uint64_t edit; /* that added it last and for good; GONE */
} slot;

struct bh_manifest_files {
	slot *slots; /* [slot_count], open addressing */
	size_t slot_count;
	size_t used;
	uint64_t edit; /* the one that is looked at */
	bool noted;
	bh_version_edit parsed; /* scratch */
	/* while a walk goes on: */
	bool additions; /* these are looked at, else deletions */
	bh_status status;
	bh_version_visitor dead;
	void *dead_arg;
};

bh_status bh_manifest_files_new(bh_manifest_files **out)
{
	bh_manifest_files *files = calloc(1, sizeof(*files));

	if (files == NULL || (files->slots = calloc(SLOTS_MIN, sizeof(*files->slots))) == NULL) {
		free(files);
		return bh_fail(BH_E_NOMEM, "no memory for the files of a MANIFEST");
	}
	files->slot_count = SLOTS_MIN;
	*out = files;
	return BH_OK;
}

void bh_manifest_files_free(bh_manifest_files *files)
{
	if (files == NULL)
		return;
	bh_version_edit_clear(&files->parsed);
	free(files->slots);
	free(files);
}

/* ---- the table */

/* The slot of the file, or the free one where it belongs. */
static slot *probe(slot *slots, size_t count, uint32_t cf_id, uint64_t number)
{
	size_t i = (size_t)((number * 0x9e3779b97f4a7c15u) >> 20 ^ cf_id) & (count - 1);

	while (slots[i].in_use && (slots[i].cf_id != cf_id || slots[i].number != number))
		i = (i + 1) & (count - 1);
	return &slots[i];
}

static bh_status grow(bh_manifest_files *files)
{
	size_t count = 2 * files->slot_count;
	slot *slots = calloc(count, sizeof(*slots));

	if (slots == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu files of a MANIFEST", files->used);
	for (size_t i = 0; i < files->slot_count; i++)
		if (files->slots[i].in_use)
			*probe(slots, count, files->slots[i].cf_id, files->slots[i].number) = files->slots[i];
	free(files->slots);
	files->slots = slots;
	files->slot_count = count;
	return BH_OK;
}

static bh_status set(bh_manifest_files *files, uint32_t cf_id, uint64_t number, uint64_t edit)
{
	slot *s;

	if (files->used >= files->slot_count / 2)
		BH_TRY(grow(files));
	s = probe(files->slots, files->slot_count, cf_id, number);
	files->used += !s->in_use;
	*s = (slot){ .number = number, .cf_id = cf_id, .in_use = true, .edit = edit };
	return BH_OK;
}

/* ---- noting */

static void note_field(void *arg, const bh_version_field *field)
{
	bh_manifest_files *files = arg;
	const bool added = field->what == BH_VERSION_FILE_ADDED;

	if (files->status == BH_OK && files->additions == added && (added || field->what == BH_VERSION_FILE_DELETED))
		files->status = set(files, files->parsed.cf_id, field->number, added ? files->edit : GONE);
}

static void drop_family(bh_manifest_files *files, uint32_t cf_id)
{
	for (size_t i = 0; i < files->slot_count; i++)
		if (files->slots[i].in_use && files->slots[i].cf_id == cf_id)
			files->slots[i].edit = GONE;
}

/* An edit names its family behind its files: it is parsed before it is walked. */
bh_status bh_manifest_files_note(bh_manifest_files *files, bh_view record)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };

	BH_TRY(bh_version_edit_parse(record, &files->parsed));
	files->edit++;
	files->status = BH_OK;
	for (int pass = 0; pass < 2; pass++) {
		files->additions = pass == 1;
		BH_TRY(bh_version_edit_walk(record, &edit, note_field, files));
		BH_TRY(files->status);
	}
	if (files->parsed.cf_drop)
		drop_family(files, files->parsed.cf_id);
	return BH_OK;
}

void bh_manifest_files_rewind(bh_manifest_files *files)
{
	files->noted = true;
	files->edit = 0;
}

bool bh_manifest_files_is_noting(const bh_manifest_files *files)
{
	return !files->noted;
}

/* ---- asking */

static void tell_dead(void *arg, const bh_version_field *field)
{
	const bh_manifest_files *files = arg;
	const slot *s;

	if (field->what != BH_VERSION_FILE_ADDED)
		return;
	s = probe(files->slots, files->slot_count, files->parsed.cf_id, field->number);
	if (!s->in_use || s->edit != files->edit)
		files->dead(files->dead_arg, field);
}

bh_status bh_manifest_files_each_dead(bh_manifest_files *files, bh_view record, bh_version_visitor dead, void *arg)
{
	BH_CLEANUP(bh_version_edit_clear) bh_version_edit edit = { 0 };

	BH_TRY(bh_version_edit_parse(record, &files->parsed));
	files->edit++;
	files->dead = dead;
	files->dead_arg = arg;
	return bh_version_edit_walk(record, &edit, tell_dead, files);
}
