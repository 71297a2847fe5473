/* SPDX-License-Identifier: Apache-2.0
 *
 * parked.c: see parked.h.
 */
#include "parked.h"

#include "env/bridge/bridge.h"
#include "env/bridge/move.h"

static void note_hurt(void *arg, const bh_damage *damage)
{
	bh_parked *p = arg;

	(void)damage; /* the call that met it fails with the same words */
	atomic_store(&p->hurt, true);
}

void bh_parked_close(bh_parked *p)
{
	for (size_t i = 0; p->rocks != NULL && i < p->set.count; i++)
		rocksdb_column_family_handle_destroy(p->set.handles[i]);
	if (p->rocks != NULL)
		rocksdb_close(p->rocks);
	p->rocks = NULL;
	bh_family_set_clear(&p->set);
	if (p->options != NULL)
		rocksdb_options_destroy(p->options);
	p->options = NULL;
	if (p->env != NULL)
		rocksdb_env_destroy(p->env);
	p->env = NULL;
	bh_buf_clear(&p->path);
}

bh_status bh_parked_open(bh_db *db, const char *merchant, const uint64_t *hidden, size_t hidden_count, bh_parked *p)
{
	bh_status status;

	BH_TRY(bh_fs_new_view(db->keyring, (const char *)p->path.data, merchant, &p->view));
	bh_fs_on_damage(p->view, note_hurt, p);
	bh_pacer_begin(&p->pacer, &db->hurry);
	bh_fs_set_pause(p->view, bh_pacer_pause, &p->pacer);
	for (size_t i = 0; i < hidden_count; i++) {
		status = bh_fs_hide_sst(p->view, hidden[i]);
		if (status != BH_OK) {
			bh_fs_free(p->view);
			return status;
		}
	}
	BH_TRY(bh_bridge_env_new(p->view, &p->env));
	p->options = rocksdb_options_create_copy(db->options);
	rocksdb_options_set_env(p->options, p->env);
	bh_bridge_options_for_export(p->options);
	return bh_family_set_open(p->options, db->caches, (const char *)p->path.data, false, &p->set, &p->rocks);
}

rocksdb_column_family_handle_t *bh_parked_handle(const bh_parked *p, const bh_merchant *merchant, const bh_class *cls)
{
	char name[BH_CF_NAME_SIZE];
	bh_scope scope = { 0 };

	memcpy(scope.merchant, merchant->name, sizeof(scope.merchant));
	memcpy(scope.cls, cls->name, sizeof(scope.cls));
	bh_cf_name_format(&scope, name);
	for (size_t i = 0; i < p->set.count; i++)
		if (strcmp(p->set.names[i], name) == 0)
			return p->set.handles[i];
	return NULL;
}
