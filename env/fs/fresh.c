/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh.c: see fresh.h.
 */
#include "fresh.h"

#include <stdlib.h>

#include "fresh_files.h"
#include "fresh_list.h"
#include "keyring/base/crashpoint.h"

/* ---- begin and clear */

static bh_status take_older(bh_fresh *f)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bool temp = false;
	bh_status status;

	if (f->ledger.older_count == 0)
		return BH_OK;
	status = bh_fresh_older_read(f->root, &f->ledger, &bytes, &temp);
	if (status != BH_OK)
		return f->writes ? status : BH_OK; /* who only looks is told by bh_fresh_check() */
	for (size_t i = 0; i < f->ledger.older_count; i++) {
		bh_fresh_wal wal = { .earlier = true, .older = true };

		bh_ledger_log_get(bytes.data + i * BH_LEDGER_LOG_LEN, &wal.log);
		if (wal.log.number > f->ledger.gone)
			BH_TRY(bh_fresh_list_insert(f, &wal));
	}
	return temp && f->writes ? bh_fresh_older_rename(f->root) : BH_OK;
}

/* One that is not listed may hold what was never synced: it is synced at the end, if it is still there. */
static bh_status take_unlisted(void *arg, const char *name)
{
	bh_fresh_wal wal = { .earlier = true };
	bh_fresh *f = arg;

	if (!bh_fresh_wal_number(name, &wal.log.number) ||
	    bh_fresh_list_has(f, bh_fresh_list_at(f, wal.log.number), wal.log.number))
		return BH_OK;
	return bh_fresh_list_insert(f, &wal);
}

bh_status bh_fresh_begin(bh_fresh *f, bh_keyring *keyring, const char *root, const bh_scopes *scopes)
{
	f->keyring = keyring;
	f->root = root;
	f->scopes = scopes;
	f->writes = bh_keyring_is_writable(keyring);
	bh_keyring_ledger(keyring, &f->ledger);
	BH_TRY(take_older(f));
	for (size_t i = 0; i < f->ledger.wal_count; i++)
		BH_TRY(bh_fresh_list_insert(f, &(bh_fresh_wal){ .log = f->ledger.wals[i], .earlier = true }));
	return f->writes ? bh_fresh_each(root, take_unlisted, f) : BH_OK;
}

void bh_fresh_clear(bh_fresh *f)
{
	free(f->wals);
	f->wals = NULL;
	f->wal_count = 0;
}

/* ---- read */

static bh_status fail_other(const bh_fresh *f, const bh_header *header)
{
	char name[BH_FRESH_NAME_SIZE];

	bh_fresh_name(header->kind, header->number, name);
	return bh_fail(
		BH_E_ROLLBACK,
		"%s/%s: is another file than the one of that name that KEYRING knows, perhaps an older one; put the right one "
		"back, or all of the directory from one backup",
		f->root, name);
}

static bh_status expect_manifest(const bh_fresh *f, const bh_header *header, uint64_t *end_out)
{
	bool listed = false;

	for (size_t i = 0; i < f->ledger.manifest_count; i++) {
		const bh_ledger_log *log = &f->ledger.manifests[i];

		listed |= log->number == header->number;
		if (bh_fresh_list_is(log, header))
			*end_out = log->end;
	}
	return listed && *end_out == 0 ? fail_other(f, header) : BH_OK;
}

static bh_status expect_wal(const bh_fresh *f, const bh_header *header, uint64_t *end_out)
{
	const bh_fresh_wal *wal = bh_fresh_list_find(f, header);
	bool listed = false;

	for (size_t i = bh_fresh_list_at(f, header->number); bh_fresh_list_has(f, i, header->number); i++)
		listed |= f->wals[i].log.end > 0;
	if (wal != NULL)
		*end_out = wal->log.end;
	return listed && wal == NULL ? fail_other(f, header) : BH_OK;
}

bh_status bh_fresh_expect(bh_fresh *f, const bh_header *header, uint64_t *end_out)
{
	bh_status status;

	*end_out = 0;
	if (f->keyring == NULL)
		return BH_OK;
	pthread_mutex_lock(&f->lock);
	status = header->kind == BH_KIND_MANIFEST ? expect_manifest(f, header, end_out) : expect_wal(f, header, end_out);
	pthread_mutex_unlock(&f->lock);
	return status;
}

/* ---- written */

bh_status bh_fresh_made(bh_fresh *f, const bh_header *header)
{
	bh_status status;

	if (!f->writes)
		return BH_OK;
	pthread_mutex_lock(&f->lock);
	status = bh_fresh_list_insert(f, &(bh_fresh_wal){ .log = bh_fresh_list_log(header, 0) });
	pthread_mutex_unlock(&f->lock);
	return status;
}

void bh_fresh_synced(bh_fresh *f, const bh_header *header, uint64_t end)
{
	bh_ledger_log *log;

	if (!f->writes)
		return;
	pthread_mutex_lock(&f->lock);
	log = bh_fresh_list_listed(f, header);
	if (log != NULL && log->end < end) {
		log->end = end;
		bh_fresh_list_try_write(f);
	}
	pthread_mutex_unlock(&f->lock);
}

bool bh_fresh_is_newest(bh_fresh *f, const bh_header *header)
{
	bool newest;

	if (!f->writes)
		return false;
	pthread_mutex_lock(&f->lock);
	newest = f->wal_count > 0 && bh_fresh_list_is(&f->wals[f->wal_count - 1].log, header);
	pthread_mutex_unlock(&f->lock);
	return newest;
}

void bh_fresh_closed(bh_fresh *f, const bh_header *header, uint64_t written)
{
	bh_fresh_wal *wal;

	if (!f->writes)
		return;
	pthread_mutex_lock(&f->lock);
	wal = bh_fresh_list_find(f, header);
	if (wal != NULL)
		wal->written = written;
	pthread_mutex_unlock(&f->lock);
}

/* An earlier process may have written more than it synced, which was recovered and is in no SST yet. */
static bh_status end_one(const bh_fresh *f, bh_fresh_wal *wal)
{
	char name[BH_FRESH_NAME_SIZE];
	uint64_t end = wal->written;

	if (!wal->earlier && wal->written <= wal->log.end)
		return BH_OK;
	bh_fresh_name(BH_KIND_WAL, wal->log.number, name);
	if (wal->earlier) {
		bh_fresh_look look;

		BH_TRY(bh_fresh_look_at(f->root, name, f->scopes, &look));
		BH_TRY(bh_fresh_measure(f->root, name, f->scopes, wal->log.end, &end));
		if (wal->log.end == 0)
			wal->log = bh_fresh_list_log(&look.header, 0);
		if (!bh_fresh_list_is(&wal->log, &look.header)) /* the other one of two */
			return BH_OK;
	}
	BH_TRY(bh_fresh_sync_file(f->root, name));
	wal->log.end = BH_MAX(wal->log.end, end);
	return BH_OK;
}

void bh_fresh_end(bh_fresh *f)
{
	const bh_message message = bh_message_keep();

	if (!f->writes)
		return;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->wal_count; i++) {
		const uint64_t before = f->wals[i].log.end;

		(void)!end_one(f, &f->wals[i]); /* one that is gone already, or cannot be read: nothing more is known of it */
		f->older_stale |= f->wals[i].older && f->wals[i].log.end != before;
	}
	bh_crash_point("logs.ended");
	if (bh_fresh_sync_dir(f->root) == BH_OK && bh_fresh_list_write(f) == BH_OK)
		(void)!bh_keyring_ledger_sync(f->keyring);
	pthread_mutex_unlock(&f->lock);
	bh_message_restore(&message);
}

/* ---- removed */

/* Under `lock`. Whether any of them was listed. RocksDB never needs one below a WAL that it removes, unless that is the last one.
 */
static bool strike_out(bh_fresh *f, uint64_t number)
{
	const bool newest = f->wal_count > 0 && f->wals[f->wal_count - 1].log.number <= number;
	bool any = false, older = false;
	size_t i = newest ? bh_fresh_list_at(f, number) : 0;

	while (i < f->wal_count && f->wals[i].log.number <= number) {
		any |= f->wals[i].log.end > 0;
		f->older_stale |= newest && f->wals[i].older;
		bh_fresh_list_remove(f, i);
	}
	for (i = 0; i < f->wal_count; i++)
		older |= f->wals[i].older;
	if (!newest)
		f->ledger.gone = BH_MAX(f->ledger.gone, number);
	if (!older)
		f->ledger.older_count = 0;
	return any;
}

/* Under `lock`. One that could not be written is written with the next. */
static bh_status strike_write(bh_fresh *f)
{
	if (!f->strike_owed)
		return BH_OK;
	BH_TRY(bh_fresh_list_write(f));
	f->strike_owed = false;
	f->struck = bh_keyring_sequence(f->keyring);
	return BH_OK;
}

/* A log may have been struck out with a higher one, by another thread that has not synced that yet: then it is waited for here. */
bh_status bh_fresh_gone(bh_fresh *f, uint64_t number)
{
	bh_status status;
	uint64_t struck;

	if (!f->writes)
		return BH_OK;
	pthread_mutex_lock(&f->lock);
	f->strike_owed |= strike_out(f, number);
	status = strike_write(f);
	struck = f->struck;
	pthread_mutex_unlock(&f->lock);
	BH_TRY(status);
	if (bh_keyring_durable(f->keyring) >= struck)
		return BH_OK;
	bh_crash_point("logs.struck-out");
	BH_TRY(bh_keyring_ledger_sync(f->keyring));
	bh_crash_point("logs.strike-synced");
	return BH_OK;
}

/* ---- CURRENT and MANIFEST */

static bh_status path_of(const bh_fresh *f, const char *name, bh_buf *out)
{
	return bh_buf_printf(out, "%s/%s", f->root, name);
}

/* Under `lock`: of the two that may be current, the one that is, durably. */
static bh_status settle_manifest(bh_fresh *f)
{
	BH_CLEANUP(bh_buf_clear) bh_buf current = { 0 };
	char name[BH_FRESH_NAME_SIZE];
	bh_fresh_look look;
	uint64_t number = 0;

	if (f->ledger.manifest_count < BH_LEDGER_MANIFESTS && !f->ledger.begins)
		return BH_OK;
	BH_TRY(path_of(f, "CURRENT", &current));
	BH_TRY(bh_fresh_read_current((const char *)current.data, f->scopes, &number));
	bh_fresh_name(BH_KIND_MANIFEST, number, name);
	BH_TRY(bh_fresh_look_at(f->root, name, f->scopes, &look));
	for (size_t i = 0; i < f->ledger.manifest_count; i++)
		if (bh_fresh_list_is(&f->ledger.manifests[i], &look.header))
			f->ledger.manifests[0] = f->ledger.manifests[i];
	f->ledger.manifest_count = 1;
	f->ledger.begins = false;
	memset(&f->ledger.manifests[1], 0, sizeof(f->ledger.manifests[1]));
	return BH_OK;
}

/* Under `lock`: makes room for another one. */
static bh_status settle_now(bh_fresh *f)
{
	if (f->ledger.manifest_count < BH_LEDGER_MANIFESTS)
		return BH_OK;
	BH_TRY(bh_fresh_sync_dir(f->root));
	return settle_manifest(f);
}

/* Under `lock`. */
static bh_status list_manifest(bh_fresh *f, const bh_header *header, uint64_t end)
{
	BH_TRY(settle_now(f));
	f->ledger.begins = f->ledger.begins || f->ledger.manifest_count == 0;
	f->ledger.manifests[f->ledger.manifest_count++] = bh_fresh_list_log(header, end);
	return bh_fresh_list_write(f);
}

static void switch_ended(bh_fresh *f)
{
	pthread_mutex_lock(&f->lock);
	f->switching = false;
	f->switches++;
	pthread_mutex_unlock(&f->lock);
}

bh_status bh_fresh_switch(bh_fresh *f, const char *from)
{
	char name[BH_FRESH_NAME_SIZE];
	bh_status status = BH_OK;
	bh_fresh_look look;
	uint64_t number = 0;

	if (!f->writes)
		return BH_OK;
	BH_TRY(bh_fresh_read_current(from, f->scopes, &number));
	bh_fresh_name(BH_KIND_MANIFEST, number, name);
	BH_TRY(bh_fresh_look_at(f->root, name, f->scopes, &look));
	pthread_mutex_lock(&f->lock);
	f->switching = true;
	if (bh_fresh_list_listed(f, &look.header) == NULL)
		status = list_manifest(f, &look.header, look.marked);
	pthread_mutex_unlock(&f->lock);
	if (status == BH_OK)
		status = bh_keyring_ledger_sync(f->keyring);
	if (status != BH_OK)
		switch_ended(f);
	bh_crash_point("logs.current.listed");
	return status;
}

void bh_fresh_switched(bh_fresh *f)
{
	bh_crash_point("logs.current.renamed");
	switch_ended(f);
}

uint64_t bh_fresh_switches(bh_fresh *f)
{
	uint64_t switches;

	pthread_mutex_lock(&f->lock);
	switches = f->switches;
	pthread_mutex_unlock(&f->lock);
	return switches;
}

void bh_fresh_dir_synced(bh_fresh *f, uint64_t switches)
{
	const bh_message message = bh_message_keep();

	if (!f->writes)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->switches != switches || switches == 0 || (f->ledger.manifest_count < BH_LEDGER_MANIFESTS && !f->ledger.begins) ||
	    f->switching || f->replacing || settle_manifest(f) != BH_OK)
		switches = 0;
	if (switches > 0)
		bh_fresh_list_try_write(f);
	pthread_mutex_unlock(&f->lock);
	bh_message_restore(&message);
}

bh_status bh_fresh_no_database(bh_fresh *f)
{
	bh_status status;

	if (!f->writes)
		return BH_OK;
	pthread_mutex_lock(&f->lock);
	f->ledger = (bh_ledger){ 0 };
	f->wal_count = 0;
	status = bh_fresh_list_put(f);
	pthread_mutex_unlock(&f->lock);
	return status == BH_OK ? bh_keyring_ledger_sync(f->keyring) : status;
}

/* ---- sealed anew */

bh_status bh_fresh_replace(bh_fresh *f, const bh_header *header, uint64_t end)
{
	const bh_fresh_wal fresh = { .log = bh_fresh_list_log(header, end), .written = end };
	bh_status status = BH_OK;
	size_t i;

	if (!f->writes)
		return BH_OK;
	pthread_mutex_lock(&f->lock);
	i = bh_fresh_list_at(f, header->number);
	if (header->kind == BH_KIND_MANIFEST) {
		status = list_manifest(f, header, end);
		f->replacing = true;
	} else if (bh_fresh_list_has(f, i, header->number) && f->wals[i].log.end > 0) {
		status = bh_fresh_list_insert(f, &fresh);
		if (status == BH_OK)
			status = bh_fresh_list_write(f);
	}
	pthread_mutex_unlock(&f->lock);
	BH_TRY(status);
	BH_TRY(bh_keyring_ledger_sync(f->keyring));
	bh_crash_point("logs.reseal.listed");
	return BH_OK;
}

/* Under `lock`: of all with this number the new one stays, or goes. */
static void replaced_manifest(bh_fresh *f, const bh_header *header, bool done)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->ledger.manifest_count; i++)
		if (bh_fresh_list_is(&f->ledger.manifests[i], header) == done)
			f->ledger.manifests[kept++] = f->ledger.manifests[i];
	f->ledger.manifest_count = (uint8_t)kept;
	f->replacing = false;
}

static void replaced_wal(bh_fresh *f, const bh_header *header, uint64_t end, bool done)
{
	size_t i = bh_fresh_list_at(f, header->number);

	if (done && bh_fresh_list_has(f, i, header->number) && f->wals[i].log.end == 0)
		f->wals[i] = (bh_fresh_wal){ .log = bh_fresh_list_log(header, end), .written = end };
	while (bh_fresh_list_has(f, i, header->number)) {
		if (bh_fresh_list_is(&f->wals[i].log, header) == done) {
			i++;
			continue;
		}
		f->older_stale |= f->wals[i].older;
		bh_fresh_list_remove(f, i);
	}
}

void bh_fresh_replaced(bh_fresh *f, const bh_header *header, uint64_t end, bool done)
{
	if (!f->writes)
		return;
	bh_crash_point("logs.reseal.replaced");
	pthread_mutex_lock(&f->lock);
	if (header->kind == BH_KIND_MANIFEST)
		replaced_manifest(f, header, done);
	else
		replaced_wal(f, header, end, done);
	bh_fresh_list_try_write(f);
	pthread_mutex_unlock(&f->lock);
}
