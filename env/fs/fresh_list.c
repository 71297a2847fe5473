/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh_list.c: see fresh_list.h.
 */
#include "fresh_list.h"

#include <stdlib.h>

#include "fresh_files.h"
#include "keyring/base/crashpoint.h"

#define KEPT_IN_MARK (BH_LEDGER_WALS / 2) /* when the mark is full, this many of the newest stay in it */

/* ---- the WALs in memory, under `lock` */

/* Where the first one of this number stands, or would. */
size_t bh_fresh_list_at(const bh_fresh *f, uint64_t number)
{
	size_t i = 0;

	while (i < f->wal_count && f->wals[i].log.number < number)
		i++;
	return i;
}

bool bh_fresh_list_has(const bh_fresh *f, size_t i, uint64_t number)
{
	return i < f->wal_count && f->wals[i].log.number == number;
}

bool bh_fresh_list_is(const bh_ledger_log *log, const bh_header *header)
{
	return log->number == header->number && memcmp(log->salt, header->salt, BH_LEDGER_SALT_LEN) == 0;
}

bh_fresh_wal *bh_fresh_list_find(const bh_fresh *f, const bh_header *header)
{
	for (size_t i = bh_fresh_list_at(f, header->number); bh_fresh_list_has(f, i, header->number); i++)
		if (bh_fresh_list_is(&f->wals[i].log, header))
			return &f->wals[i];
	return NULL;
}

bh_status bh_fresh_list_insert(bh_fresh *f, const bh_fresh_wal *wal)
{
	bh_fresh_wal *grown = realloc(f->wals, (f->wal_count + 1) * sizeof(*grown));
	size_t i;

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a list of %zu logs", f->wal_count + 1);
	f->wals = grown;
	i = bh_fresh_list_at(f, wal->log.number + 1);
	memmove(&grown[i + 1], &grown[i], (f->wal_count - i) * sizeof(*grown));
	grown[i] = *wal;
	f->wal_count++;
	return BH_OK;
}

void bh_fresh_list_remove(bh_fresh *f, size_t i)
{
	f->wal_count--;
	memmove(&f->wals[i], &f->wals[i + 1], (f->wal_count - i) * sizeof(*f->wals));
}

bh_ledger_log bh_fresh_list_log(const bh_header *header, uint64_t end)
{
	bh_ledger_log log = { .number = header->number, .end = end };

	memcpy(log.salt, header->salt, BH_LEDGER_SALT_LEN);
	return log;
}

/* ---- the list is written down, under `lock` */

static bool is_in_mark(const bh_fresh_wal *wal)
{
	return wal->log.end > 0 && !wal->older;
}

static size_t count_in_mark(const bh_fresh *f)
{
	size_t count = 0;

	for (size_t i = 0; i < f->wal_count; i++)
		count += is_in_mark(&f->wals[i]);
	return count;
}

bh_status bh_fresh_list_put(bh_fresh *f)
{
	f->ledger.wal_count = 0;
	for (size_t i = 0; i < f->wal_count; i++)
		if (is_in_mark(&f->wals[i]))
			f->ledger.wals[f->ledger.wal_count++] = f->wals[i].log;
	return bh_keyring_ledger_put(f->keyring, &f->ledger);
}

/* All but the newest go to the file of older ones. A kill leaves the file that the mark means, under one of its names. */
static bh_status move_out(bh_fresh *f)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	size_t keep = BH_MIN(count_in_mark(f), (size_t)KEPT_IN_MARK), left = count_in_mark(f) - keep;

	f->ledger.older_count = 0;
	f->ledger.gone = 0;
	for (size_t i = 0; i < f->wal_count; i++) {
		uint8_t log[BH_LEDGER_LOG_LEN];

		if (is_in_mark(&f->wals[i]) && left > 0) {
			f->wals[i].older = true;
			left--;
		}
		if (!f->wals[i].older)
			continue;
		bh_ledger_log_put(&f->wals[i].log, log);
		BH_TRY(bh_buf_append(&bytes, log, sizeof(log)));
		f->ledger.older_count++;
	}
	BH_TRY(bh_sha256(bh_buf_view(&bytes), f->ledger.older_digest));
	BH_TRY(bh_fresh_older_write(f->root, bh_buf_view(&bytes)));
	bh_crash_point("logs.older.written");
	BH_TRY(bh_fresh_list_put(f));
	BH_TRY(bh_keyring_ledger_sync(f->keyring));
	bh_crash_point("logs.older.listed");
	return bh_fresh_older_rename(f->root);
}

/* What this fails with leaves the list behind what is on the disk; the next one is written as a whole. */
bh_status bh_fresh_list_write(bh_fresh *f)
{
	if (!f->older_stale && count_in_mark(f) <= BH_LEDGER_WALS)
		return bh_fresh_list_put(f);
	f->older_stale = true;
	BH_TRY(move_out(f));
	f->older_stale = false;
	return BH_OK;
}

/* A failure that nobody is told of: what this thread was told before stays. */
void bh_fresh_list_try_write(bh_fresh *f)
{
	const bh_message message = bh_message_keep();

	(void)!bh_fresh_list_write(f);
	bh_message_restore(&message);
}

/* The log on the list; NULL: it is not there. */
bh_ledger_log *bh_fresh_list_listed(bh_fresh *f, const bh_header *header)
{
	bh_fresh_wal *wal;

	for (size_t i = 0; header->kind == BH_KIND_MANIFEST && i < f->ledger.manifest_count; i++)
		if (bh_fresh_list_is(&f->ledger.manifests[i], header))
			return &f->ledger.manifests[i];
	wal = header->kind == BH_KIND_WAL ? bh_fresh_list_find(f, header) : NULL;
	if (wal == NULL)
		return NULL;
	f->older_stale |= wal->older;
	return &wal->log;
}
