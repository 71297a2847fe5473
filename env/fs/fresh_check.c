/* SPDX-License-Identifier: Apache-2.0
 *
 * fresh_check.c: see fresh_check.h.
 */
#include "fresh_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fresh_files.h"
#include "keyring/ring/keyring.h"

#define NEXT_STEP "put the right one back, or all of the directory from one backup"

typedef struct check {
	bh_keyring *keyring;
	const char *dir;
	bh_scopes scopes;
	bh_ledger ledger;
	bh_ledger_log *wals; /* [wal_count]: all that are listed; owned */
	size_t wal_count;
	uint64_t newest; /* of what logs say of KEYRING's mark, the highest ... */
	char witness[BH_FRESH_NAME_SIZE];
	void (*each)(void *arg, const char *name, bh_status status);
	void *arg;
} check;

static void check_clear(check *c)
{
	free(c->wals);
}

static void tell(const check *c, const char *name, bh_status status)
{
	if (status != BH_OK)
		c->each(c->arg, name, status);
}

static bh_status dek_by_id(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out)
{
	return bh_keyring_dek_find(arg, id, out);
}

/* ---- whether KEYRING is older than a log */

static void hear(check *c, const char *name)
{
	bh_fresh_look look;

	if (bh_fresh_look_at(c->dir, name, &c->scopes, &look) != BH_OK || look.keyring <= c->newest)
		return;
	c->newest = look.keyring;
	snprintf(c->witness, sizeof(c->witness), "%s", name);
}

/* What is no log, or cannot be read, has nothing to say here. */
static bh_status hear_wal(void *arg, const char *name)
{
	uint64_t number;

	if (bh_fresh_wal_number(name, &number))
		hear(arg, name);
	return BH_OK;
}

static bh_status current_number(const check *c, uint64_t *number_out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/CURRENT", c->dir));
	return bh_fresh_read_current((const char *)path.data, &c->scopes, number_out);
}

static bh_status check_keyring(check *c)
{
	const uint64_t sequence = bh_keyring_sequence(c->keyring);
	char name[BH_FRESH_NAME_SIZE];
	uint64_t number;

	BH_TRY(bh_fresh_each(c->dir, hear_wal, c));
	if (current_number(c, &number) == BH_OK) {
		bh_fresh_name(BH_KIND_MANIFEST, number, name);
		hear(c, name);
	}
	if (bh_keyring_audit_knows(c->keyring) > c->newest) {
		c->newest = bh_keyring_audit_knows(c->keyring);
		snprintf(c->witness, sizeof(c->witness), "%s", BH_AUDIT_FILE);
	}
	if (sequence >= c->newest)
		return BH_OK;
	return bh_fail(BH_E_ROLLBACK,
		       "%s/KEYRING: is at %llu, but %s was written when it was at %llu: an older KEYRING, or the mark of one, was "
		       "put back; " NEXT_STEP,
		       c->dir, (unsigned long long)sequence, c->witness, (unsigned long long)c->newest);
}

/* ---- one log */

static bh_status check_end(const check *c, const char *name, const bh_fresh_look *look, uint64_t end)
{
	uint64_t found;

	if (look->size < end)
		return bh_fail(BH_E_TRUNCATED, "%s/%s: has %llu bytes, but %llu were synced: it was cut; " NEXT_STEP, c->dir, name,
			       (unsigned long long)look->size, (unsigned long long)end);
	if (look->marked >= end)
		return BH_OK;
	/* A power cut takes its own mark back. But an older copy has an older one, too, and room behind it. */
	return bh_fail_prefix(bh_fresh_measure(c->dir, name, &c->scopes, end, &found), "is cut, or an older copy; " NEXT_STEP);
}

/* One of `logs`, which have the same number, has to be there. */
static bh_status check_log(const check *c, bh_file_kind kind, const bh_ledger_log *logs, size_t count,
			   char name[BH_FRESH_NAME_SIZE])
{
	bh_fresh_look look;
	bh_status status;

	bh_fresh_name(kind, logs[0].number, name);
	status = bh_fresh_look_at(c->dir, name, &c->scopes, &look);
	if (status == BH_E_NOT_FOUND)
		return bh_fail(BH_E_ROLLBACK, "%s/%s: is missing, though %llu bytes of it were synced; " NEXT_STEP, c->dir, name,
			       (unsigned long long)logs[0].end);
	if (status != BH_OK)
		return bh_fail(status, "%s; " NEXT_STEP, bh_status_message());
	for (size_t i = 0; i < count; i++)
		if (memcmp(logs[i].salt, look.header.salt, BH_LEDGER_SALT_LEN) == 0)
			return check_end(c, name, &look, logs[i].end);
	return bh_fail(
		BH_E_ROLLBACK,
		"%s/%s: is another file than the one of that name that KEYRING knows, perhaps one of before a rotation; " NEXT_STEP,
		c->dir, name);
}

/* ---- the MANIFEST */

static bool is_there(const check *c, const char *name)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	return bh_buf_printf(&path, "%s/%s", c->dir, name) == BH_OK && access((const char *)path.data, F_OK) == 0;
}

static bh_status check_current(const check *c, uint64_t *number_out)
{
	bh_status status;

	*number_out = 0;
	if (!is_there(c, "CURRENT")) {
		if (c->ledger.begins || c->ledger.manifest_count == 0)
			return BH_OK;
		return bh_fail(BH_E_ROLLBACK, "%s/CURRENT: is missing; " NEXT_STEP, c->dir);
	}
	if (c->ledger.manifest_count == 0)
		return bh_fail(BH_E_ROLLBACK,
			       "%s/CURRENT: is there, but KEYRING knows of no MANIFEST: one of them is older; " NEXT_STEP, c->dir);
	status = current_number(c, number_out);
	if (status != BH_OK)
		return bh_fail(status, "%s; " NEXT_STEP, bh_status_message());
	for (size_t i = 0; i < c->ledger.manifest_count; i++)
		if (c->ledger.manifests[i].number == *number_out)
			return BH_OK;
	status = bh_fail(
		BH_E_ROLLBACK,
		"%s/CURRENT: names MANIFEST-%06llu, but KEYRING knows MANIFEST-%06llu: an older one was put back; " NEXT_STEP,
		c->dir, (unsigned long long)*number_out, (unsigned long long)c->ledger.manifests[0].number);
	*number_out = 0;
	return status;
}

static void check_manifest(const check *c)
{
	bh_ledger_log same[BH_LEDGER_MANIFESTS];
	char name[BH_FRESH_NAME_SIZE];
	bh_status status;
	uint64_t number;
	size_t count = 0;

	tell(c, "CURRENT", check_current(c, &number));
	/* The one that it should name may be missing, too. */
	if (number == 0 && c->ledger.manifest_count == 1 && !c->ledger.begins)
		number = c->ledger.manifests[0].number;
	for (size_t i = 0; i < c->ledger.manifest_count; i++)
		if (c->ledger.manifests[i].number == number)
			same[count++] = c->ledger.manifests[i];
	if (count == 0)
		return;
	status = check_log(c, BH_KIND_MANIFEST, same, count, name);
	tell(c, name, status);
}

/* ---- WALs */

static bh_status list_wals(check *c)
{
	BH_CLEANUP(bh_buf_clear) bh_buf older = { 0 };
	bh_status status = BH_OK;
	bool temp;

	if (c->ledger.older_count > 0)
		status = bh_fresh_older_read(c->dir, &c->ledger, &older, &temp);
	tell(c, BH_FRESH_OLDER_FILE, status);
	c->wals = calloc(c->ledger.older_count + BH_LEDGER_WALS, sizeof(*c->wals));
	if (c->wals == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory for a list of logs", c->dir);
	for (size_t i = 0; status == BH_OK && i < c->ledger.older_count; i++) {
		bh_ledger_log_get(older.data + i * BH_LEDGER_LOG_LEN, &c->wals[c->wal_count]);
		c->wal_count += c->wals[c->wal_count].number > c->ledger.gone;
	}
	for (size_t i = 0; i < c->ledger.wal_count; i++)
		c->wals[c->wal_count++] = c->ledger.wals[i];
	return BH_OK;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t x = ((const bh_ledger_log *)a)->number, y = ((const bh_ledger_log *)b)->number;

	return x < y ? -1 : x > y;
}

static void check_wals(const check *c)
{
	if (c->wal_count > 0)
		qsort(c->wals, c->wal_count, sizeof(*c->wals), by_number);
	for (size_t i = 0, count; i < c->wal_count; i += count) {
		char name[BH_FRESH_NAME_SIZE];
		bh_status status;

		for (count = 1; i + count < c->wal_count && c->wals[i + count].number == c->wals[i].number; count++)
			continue;
		status = check_log(c, BH_KIND_WAL, &c->wals[i], count, name);
		tell(c, name, status);
	}
}

bh_status bh_fresh_check(bh_keyring *keyring, const char *dir, void (*each)(void *arg, const char *name, bh_status status),
			 void *arg)
{
	BH_CLEANUP(check_clear) check c = { .keyring = keyring, .dir = dir, .each = each, .arg = arg };
	bh_status status;

	c.scopes = (bh_scopes){ .arg = keyring, .dek_by_id = dek_by_id };
	bh_keyring_ledger(keyring, &c.ledger);
	status = check_keyring(&c);
	if (status == BH_E_IO || status == BH_E_NOMEM)
		return status;
	tell(&c, "KEYRING", status);
	if (status != BH_OK)
		return BH_OK;
	BH_TRY(list_wals(&c));
	check_manifest(&c);
	check_wals(&c);
	return BH_OK;
}

/* ---- the first one */

typedef struct first {
	bh_status status;
	bh_message message;
} first;

static void keep_first(void *arg, const char *name, bh_status status)
{
	first *f = arg;

	(void)name;
	if (f->status != BH_OK)
		return;
	f->status = status;
	f->message = bh_message_keep();
}

bh_status bh_fresh_inspect(bh_keyring *keyring, const char *dir)
{
	first f = { .status = BH_OK };

	BH_TRY(bh_fresh_check(keyring, dir, keep_first, &f));
	if (f.status != BH_OK)
		bh_message_restore(&f.message);
	return f.status;
}
