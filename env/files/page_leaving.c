/* SPDX-License-Identifier: Apache-2.0
 *
 * page_leaving.c: a merchant that leaves takes its keys out of the files that are open (page_readers.h).
 */
#include <string.h>

#include "page_readers_state.h"

/* Under the table's lock. */
static const bh_page_leaving *find_leaving(const bh_page_readers *readers, const char *merchant)
{
	const bh_page_leaving *leaving = readers->leaving;

	while (leaving != NULL && strcmp(leaving->merchant, merchant) != 0)
		leaving = leaving->next;
	return leaving;
}

bool bh_page_readers_is_leaving(bh_page_readers *readers, const char *merchant)
{
	bool leaving;

	pthread_mutex_lock(&readers->table);
	leaving = find_leaving(readers, merchant) != NULL;
	pthread_mutex_unlock(&readers->table);
	return leaving;
}

/* What was voided and outlives that is of families that were dropped. */
bool bh_page_readers_is_dropped(bh_page_readers *readers, const char *merchant)
{
	const bh_page_leaving *leaving;
	bool dropped;

	pthread_mutex_lock(&readers->table);
	leaving = find_leaving(readers, merchant);
	dropped = leaving == NULL || leaving->dropped;
	pthread_mutex_unlock(&readers->table);
	return dropped;
}

/* As a switch of a source (take_turn), but of that reader alone, and to what is there already. */
static source *void_reader(bh_page_reader *reader)
{
	const bool slot = atomic_load_explicit(&reader->word, memory_order_relaxed) >= SLOT_BIT;
	source *old = reader->slots[slot];
	uint64_t was;

	reader->slots[!slot] = &reader->readers->gone;
	was = atomic_exchange_explicit(&reader->word, slot ? 0 : SLOT_BIT, memory_order_acq_rel);
	old->entered = was & ~SLOT_BIT;
	return old;
}

bool bh_page_claim_enter(bh_page_claim *claim)
{
	while (atomic_flag_test_and_set(&claim->inside))
		; /* it is being voided, which takes no time */
	if (!atomic_load(&claim->voided))
		return true;
	atomic_flag_clear(&claim->inside);
	return false;
}

/* Who is inside voids what could not be voided meanwhile. */
static void void_claim(bh_page_claim *claim)
{
	if (atomic_flag_test_and_set(&claim->inside))
		return;
	bh_page_writer_void(claim->writer);
	atomic_flag_clear(&claim->inside);
}

void bh_page_claim_leave(bh_page_claim *claim)
{
	atomic_flag_clear(&claim->inside);
	if (atomic_load(&claim->voided))
		void_claim(claim);
}

/* Under the table's lock. */
static void void_claims(bh_page_readers *readers, const char *merchant)
{
	for (bh_page_claim *claim = readers->claims; claim != NULL; claim = claim->next) {
		if (!claim->made || strcmp(claim->merchant, merchant) != 0)
			continue;
		atomic_store(&claim->voided, true);
		void_claim(claim);
	}
}

/* Under the table's lock: the sources that go. */
static source *void_readers(bh_page_readers *readers, const char *merchant)
{
	source *old = NULL;

	for (size_t i = 0; i < BUCKETS; i++)
		for (bh_page_reader *r = readers->buckets[i]; r != NULL; r = r->next) {
			source *s;

			if (strcmp(r->merchant, merchant) != 0 || is_voided(r))
				continue;
			s = void_reader(r);
			s->next = old;
			old = s;
		}
	return old;
}

static void end_all(source *old)
{
	while (old != NULL) {
		source *next = old->next;

		bh_page_source_end(old);
		old = next;
	}
}

/* `names` is exclusive, so that nothing of the merchant's is half opened. */
void bh_page_readers_leave(bh_page_readers *readers, bh_page_leaving *leaving, bool dropped)
{
	source *old;

	pthread_rwlock_wrlock(&readers->names);
	pthread_mutex_lock(&readers->table);
	if (find_leaving(readers, leaving->merchant) == NULL) {
		leaving->next = readers->leaving;
		readers->leaving = leaving;
	}
	leaving->dropped = dropped;
	void_claims(readers, leaving->merchant);
	old = void_readers(readers, leaving->merchant);
	pthread_mutex_unlock(&readers->table);
	pthread_rwlock_unlock(&readers->names);
	end_all(old);
}

void bh_page_readers_back(bh_page_readers *readers, const bh_page_leaving *leaving)
{
	bh_page_leaving **at;

	pthread_mutex_lock(&readers->table);
	for (at = &readers->leaving; *at != NULL && *at != leaving;)
		at = &(*at)->next;
	if (*at != NULL)
		*at = leaving->next;
	pthread_mutex_unlock(&readers->table);
}
