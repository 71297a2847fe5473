/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c: see scan.h. Order: head, mark, records up to the mark, records behind it.
 */
#include "scan.h"

typedef struct scan {
	bh_view file;
	const bh_secret *mac_key;
	bh_keyring_each each;
	void *arg;
	bh_keyring_scan_result result;
} scan;

/* The record at the end of what was found so far, within the file's first `end` bytes. */
static bh_status record_at_end(const scan *s, uint64_t end, bh_keyring_record *out)
{
	uint64_t off = s->result.found.committed_len;

	return bh_keyring_record_decode(bh_view_of(s->file.data + off, (size_t)(end - off)), s->mac_key, s->result.found.chain,
					out);
}

/* The snapshot comes first and nowhere else; generations go up by one. */
static bh_status sequence_check(const scan *s, const bh_keyring_record *record)
{
	bool first = s->result.found.committed_len == BH_KEYRING_RECORDS_OFF;
	uint64_t before = s->result.found.generation;

	if ((record->type == BH_KEYRING_SNAPSHOT) != first)
		return bh_fail(BH_E_FORMAT, "%s", first ? "does not begin with a snapshot" : "has a second snapshot");
	if (first ? record->generation == 0 : record->generation != before + 1)
		return bh_fail(BH_E_FORMAT, "generation %llu follows %llu", (unsigned long long)record->generation,
			       (unsigned long long)before);
	return BH_OK;
}

static bh_status accept(scan *s, const bh_keyring_record *record)
{
	bh_keyring_mark *found = &s->result.found;

	BH_TRY(sequence_check(s, record));
	BH_TRY(s->each(s->arg, record));
	if (found->committed_len == BH_KEYRING_RECORDS_OFF)
		s->result.snapshot_len = record->len;
	found->committed_len += record->len;
	found->generation = record->generation;
	memcpy(found->chain, record->chain, BH_SHA256_LEN);
	return BH_OK;
}

static bh_status scan_committed(scan *s)
{
	const bh_keyring_mark *stored = &s->result.stored, *found = &s->result.found;
	bh_keyring_record record;

	if (stored->committed_len > s->file.len)
		return bh_fail(BH_E_TRUNCATED, "ends at %zu bytes, but %llu were committed; restore the file from a backup",
			       s->file.len, (unsigned long long)stored->committed_len);
	while (found->committed_len < stored->committed_len) {
		BH_TRY(record_at_end(s, stored->committed_len, &record));
		BH_TRY(accept(s, &record));
	}
	if (found->generation != stored->generation || !bh_equal_ct(found->chain, stored->chain, BH_SHA256_LEN))
		return bh_fail(BH_E_TAG, "its records do not lead to what was committed; restore the file from a backup");
	return BH_OK;
}

static bh_status scan_tail(scan *s)
{
	bh_keyring_record record;

	while (s->result.found.committed_len < s->file.len) {
		bh_status status = record_at_end(s, s->file.len, &record);
		if (status == BH_E_TRUNCATED || status == BH_E_FORMAT) {
			s->result.torn = true;
			return BH_OK;
		}
		BH_TRY(status);
		BH_TRY(accept(s, &record));
	}
	return BH_OK;
}

bh_status bh_keyring_scan(bh_view file, const bh_secret *mac_key, bh_keyring_each each, void *arg, bh_keyring_scan_result *out)
{
	scan s = { .file = file, .mac_key = mac_key, .each = each, .arg = arg };

	if (file.len < BH_KEYRING_RECORDS_OFF)
		return bh_fail(BH_E_TRUNCATED, "ends within its head; restore the file from a backup");
	BH_TRY(bh_keyring_head_verify(file.data, mac_key, s.result.found.chain));
	BH_TRY(bh_keyring_mark_decode(file.data + BH_KEYRING_HEAD_LEN, mac_key, &s.result.stored));
	s.result.found.committed_len = BH_KEYRING_RECORDS_OFF;
	s.result.found.audit = s.result.stored.audit;
	s.result.found.sequence = s.result.stored.sequence;
	s.result.found.ledger = s.result.stored.ledger;
	BH_TRY(scan_committed(&s));
	BH_TRY(scan_tail(&s));
	*out = s.result;
	return BH_OK;
}
