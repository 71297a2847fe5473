/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_run.c: see erase_run.h.
 */
#include "erase_run.h"
#include "keyring/base/base.h"

#include <bulkhead/env.h>

#include <time.h>

#define PAUSE_MS 10

/* Whether the merchant still serves; a gate that closes waits for us. */
bh_status bh_erasure_go_on(const bh_erasure *e)
{
	BH_TRY(bh_gate_check(&e->merchant->gate, e->merchant->name));
	return atomic_load(&e->merchant->closing) ? bh_fail(BH_E_BUSY, "merchant '%s': is being closed", e->merchant->name) : BH_OK;
}

bool bh_erasure_is_late(const bh_erasure *e)
{
	return bh_gate_now_ms() >= e->until_ms;
}

bh_status bh_erasure_pause(const bh_erasure *e)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	BH_TRY(bh_erasure_go_on(e));
	nanosleep(&pause, NULL);
	return BH_OK;
}

static bh_status int_property(const bh_erasure *e, const char *name, uint64_t *out)
{
	if (rocksdb_property_int_cf(e->db->rocks, e->family, name, out) != 0)
		return bh_fail(BH_E_ROCKSDB, "RocksDB does not tell %s", name);
	return BH_OK;
}

/* Whether somebody holds a snapshot that is older than `sequence`. */
static bh_status is_held(const bh_erasure *e, uint64_t sequence, bool *held_out)
{
	uint64_t count, oldest;

	BH_TRY(int_property(e, "rocksdb.num-snapshots", &count));
	BH_TRY(int_property(e, "rocksdb.oldest-snapshot-sequence", &oldest));
	*held_out = count > 0 && oldest < sequence;
	return BH_OK;
}

bh_status bh_erasure_wait_for_snapshots(const bh_erasure *e, uint64_t sequence, bool *held_out)
{
	BH_TRY(is_held(e, sequence, held_out));
	while (*held_out && e->patient && !bh_erasure_is_late(e)) {
		BH_TRY(bh_erasure_pause(e));
		BH_TRY(is_held(e, sequence, held_out));
	}
	return BH_OK;
}
