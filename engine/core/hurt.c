/* SPDX-License-Identifier: Apache-2.0
 *
 * hurt.c: see hurt.h.
 */
#include "hurt.h"

/* Under db->lock; true for the first one. A note that is too long loses its end. */
static bool note(bh_merchant *merchant, const char *what)
{
	const size_t len = BH_MIN(strlen(what), sizeof(merchant->hurt_note) - 1);

	if (atomic_load(&merchant->hurt))
		return false;
	memcpy(merchant->hurt_note, what, len);
	merchant->hurt_note[len] = '\0';
	atomic_store(&merchant->hurt, true);
	return true;
}

void bh_hurt(bh_merchant *merchant, const char *what)
{
	bh_db *db = merchant->db;
	bool first;

	bh_gate_shut_if_open(&merchant->gate, BH_E_DAMAGED);
	atomic_store(&merchant->closing, true);
	pthread_mutex_lock(&db->lock);
	first = note(merchant, what);
	pthread_mutex_unlock(&db->lock);
	if (first && db->on_hurt != NULL)
		db->on_hurt(db, merchant->name);
}

/* RocksDB's own words in front of ours, and the database's directory, are left out. */
const char *bh_hurt_shorter(const bh_db *db, const char *message)
{
	const char *ours = strstr(message, "bulkhead["), *end = ours != NULL ? strstr(ours, "]: ") : NULL;
	const size_t len = strlen(db->dir);

	message = end != NULL ? end + 3 : message;
	return strncmp(message, db->dir, len) == 0 && message[len] == '/' ? message + len + 1 : message;
}

bool bh_hurt_is_due(bh_merchant *merchant, char note_out[BH_SUSPEND_NOTE_MAX + 1])
{
	bool due;

	pthread_mutex_lock(&merchant->db->lock);
	due = atomic_load(&merchant->hurt);
	memcpy(note_out, merchant->hurt_note, sizeof(merchant->hurt_note));
	pthread_mutex_unlock(&merchant->db->lock);
	return due;
}

void bh_hurt_clear(bh_merchant *merchant)
{
	pthread_mutex_lock(&merchant->db->lock);
	atomic_store(&merchant->hurt, false);
	merchant->hurt_note[0] = '\0';
	pthread_mutex_unlock(&merchant->db->lock);
}

bool bh_hurt_is_elsewhere(const char *message)
{
	return strstr(message, "erge operator") != NULL || strstr(message, "ProtectionInfo") != NULL ||
	       strstr(message, "rotection info") != NULL;
}

bh_status bh_hurt_look(bh_merchant *merchant, bh_status status)
{
	const char *message = bh_status_message();

	/* Ours were told where they were met; BH_E_FORMAT is what RocksDB's own is. */
	if (status == BH_E_FORMAT && strncmp(message, "Corruption", 10) == 0 && !bh_hurt_is_elsewhere(message)) {
		const bh_message kept = bh_message_keep();

		bh_hurt(merchant, bh_hurt_shorter(merchant->db, kept.text));
		bh_message_restore(&kept);
	}
	return status;
}
