/* SPDX-License-Identifier: Apache-2.0
 *
 * rotate.c: a new generation of a merchant's DEKs begins, or of the platform's.
 *
 *     step                               a kill right after it leaves
 *     new generation wrapped by the KMS  nothing
 *     recorded in the keyring            the generation, in use from the next open on; marks of the older ones with it
 *     logs told to look their keys up    done
 *     of the platform: new logs begun    done
 * From then on files, and the merchant's spans in WAL and MANIFEST, are sealed under the new generation; what is there stays under
 * the old one until RocksDB rewrites it, or a sweep seals it anew (sweep.c). When nothing lies under a generation any more it is
 * destroyed (survey.c).
 */
#include <bulkhead/rotation.h>

#include <stdlib.h>
#include <bulkhead/db.h>

#include "survey.h"
#include "sweep.h"
#include "engine/core/merchant.h"
#include "engine/core/gate.h"
#include "keyring/base/base.h"

/* What lies under the platform's key is little, and written by everybody: it is always swept. */
static unsigned marks_of(const char *name, const bh_rotate_options *options)
{
	const unsigned least = name[0] == '\0' ? BH_DEK_SWEEP : 0;

	if (options == NULL)
		return least;
	return least | (options->sweep || options->exposed ? BH_DEK_SWEEP : 0) | (options->exposed ? BH_DEK_EXPOSED : 0);
}

/* What the gate says is why it is off, which the keyring's state alone does not tell. */
static bh_status gate_check(bh_db *db, const char *name)
{
	bh_merchant *merchant = bh_merchant_find(db, name);
	bh_status status = merchant != NULL ? bh_gate_check(&merchant->gate, name) : BH_OK;

	bh_merchant_unref(merchant);
	return status;
}

static bh_status merchant_rotate_inside(bh_db *db, const char *name, const bh_rotate_options *options)
{
	bh_status status = BH_OK;

	BH_TRY(bh_db_check_writable(db));
	BH_TRY(gate_check(db, name));
	BH_TRY(bh_keyring_merchant_rotate(db->keyring, name, marks_of(name, options)));
	bh_fs_keys_changed(db->fs);
	if (name[0] == '\0')
		status = bh_fail_prefix(bh_sweep_platform_logs(db),
					"platform: has a new generation, but logs go on under an older one "
					"until the sweep, which is gone on with");
	if (marks_of(name, options) != 0)
		bh_alarm_ring(&db->keeper_alarm);
	return status;
}

bh_status bh_merchant_rotate(bh_db *db, const char *name, const bh_rotate_options *options)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_rotate_inside(db, name, options));
}

/* ---- what there is */

static void describe(const bh_dek_info *dek, const bh_survey *survey, bh_generation *out)
{
	*out = (bh_generation){ .generation = dek->generation,
				.retired = dek->tombstone,
				.newest = !dek->tombstone,
				.sweep = (dek->marks & BH_DEK_SWEEP) != 0,
				.exposed = (dek->marks & BH_DEK_EXPOSED) != 0,
				.created_at_s = dek->created_at_s,
				.marked_at_s = dek->marked_at_s,
				.retired_at_s = dek->retired_at_s,
				.sealed = dek->sealed };
	memcpy(out->cls, dek->scope.cls, sizeof(out->cls));
	for (size_t i = 0; i < survey->count; i++) {
		const bh_old_dek *old = &survey->deks[i];

		if (memcmp(old->dek.id, dek->id, BH_ID_LEN) != 0)
			continue;
		out->newest = false;
		out->files = old->files;
		out->bytes = old->bytes;
		out->wals = old->wals;
		out->manifests = old->manifests;
		memcpy(out->log, old->log, sizeof(out->log));
	}
}

static void deks_free(bh_dek_info **deks)
{
	free(*deks);
}

static bh_status merchant_generations_inside(bh_db *db, const char *name, bh_generation **out, size_t *count_out)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };
	BH_CLEANUP(bh_survey_clear) bh_survey survey = { 0 };
	BH_CLEANUP(deks_free) bh_dek_info *deks = NULL;
	const bh_place place = bh_db_place(db);
	bh_generation *found;
	size_t count, used = 0;

	BH_TRY(bh_survey_make(&place, name, &survey));
	if (name[0] != '\0')
		BH_TRY(bh_keyring_merchant(db->keyring, name, &merchant));
	BH_TRY(bh_keyring_deks(db->keyring, &deks, &count));
	found = calloc(count, sizeof(*found));
	if (found == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu generations", count);
	for (size_t i = 0; i < count; i++)
		if (memcmp(deks[i].merchant_id, merchant.id, BH_ID_LEN) == 0)
			describe(&deks[i], &survey, &found[used++]);
	*out = found;
	*count_out = used;
	return BH_OK;
}

bh_status bh_merchant_generations(bh_db *db, const char *name, bh_generation **out, size_t *count_out)
{
	BH_TRY(bh_db_enter(db));
	return bh_db_leave(db, merchant_generations_inside(db, name, out, count_out));
}
