/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.c: the lease state machine.
 *
 * Every moment is kept as a pair, how far each clock has come, and every duration is a difference of two such pairs: so a clock
 * that is set back cannot stretch a lease, and one that is set forward ends it early: the KMS is asked before anything is done.
 */
#include "lease.h"

#include <string.h>

/* ---- time */

bh_lease_time bh_lease_clock_read(bh_lease_clock *clock, int64_t boot_ms, int64_t wall_ms)
{
	if (clock->started) {
		clock->progress.boot_ms += BH_MAX(boot_ms - clock->boot_ms, 0);
		clock->progress.wall_ms += BH_MAX(wall_ms - clock->wall_ms, 0);
	}
	clock->started = true;
	clock->boot_ms = boot_ms;
	clock->wall_ms = wall_ms;
	return clock->progress;
}

int64_t bh_lease_elapsed_ms(bh_lease_time since, bh_lease_time now)
{
	return BH_MAX(now.boot_ms - since.boot_ms, now.wall_ms - since.wall_ms);
}

/* A number below `end`; 0 for 0. SplitMix64 (Steele, Lea, Flood 2014): spreads load, guards nothing. */
static int64_t random_below(bh_lease *lease, int64_t end)
{
	uint64_t z = lease->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return end > 0 ? (int64_t)(z % (uint64_t)end) : 0;
}

/* ---- pauses between calls */

static void pause_for(bh_lease *lease, bh_lease_time from, int64_t pause_ms)
{
	lease->paused_at = from;
	lease->pause_ms = pause_ms;
}

/* Counted from the beginning of the call that was answered, as the lease is. */
static void pause_until_renewal(bh_lease *lease)
{
	int64_t spread = lease->limit_ms * BH_LEASE_RENEW_JITTER_PERCENT / 100;

	pause_for(lease, lease->started, lease->limit_ms * BH_LEASE_RENEW_PERCENT / 100 + random_below(lease, spread));
}

/* First, doubling to `max_ms`; less up to a quarter, so that merchants of one KMS do not come back in step. */
static int64_t backoff_ms(bh_lease *lease, int64_t max_ms)
{
	int64_t pause = BH_LEASE_RETRY_FIRST_MS;

	for (unsigned i = 1; i < lease->failures && pause < max_ms; i++)
		pause *= 2;
	pause = BH_MIN(pause, max_ms);
	return pause - random_below(lease, pause / 4);
}

/* While serving there should be several tries left, with a short limit too: so no pause is longer than a quarter of what remains,
 * down to a twentieth of the limit or the first pause. */
static void pause_while_late(bh_lease *lease, bh_lease_time now)
{
	int64_t remaining = bh_lease_remaining_ms(lease, now);
	int64_t least = BH_MIN(BH_LEASE_RETRY_FIRST_MS, lease->limit_ms / 20);

	pause_for(lease, now, BH_MIN(backoff_ms(lease, BH_LEASE_RETRY_MAX_MS), BH_MAX(remaining / 4, least)));
}

static void pause_while_detached(bh_lease *lease, bh_lease_time now)
{
	if (lease->state == BH_LEASE_REFUSED)
		pause_for(lease, now, BH_LEASE_PROBE_MAX_MS + random_below(lease, BH_LEASE_PROBE_MAX_MS / 10));
	else
		pause_for(lease, now, backoff_ms(lease, BH_LEASE_PROBE_MAX_MS));
}

/* ---- states */

const char *bh_lease_state_name(bh_lease_state state)
{
	switch (state) {
	case BH_LEASE_OFF: return "off";
	case BH_LEASE_HELD: return "held";
	case BH_LEASE_LATE: return "late";
	case BH_LEASE_LOST: return "lost";
	case BH_LEASE_REFUSED: return "refused";
	case BH_LEASE_DAMAGED: return "damaged";
	case BH_LEASE_ATTACHING: return "attaching";
	case BH_LEASE_DOUBTED: return "doubted";
	}
	return "unknown";
}

bh_lease_answer bh_lease_answer_of(bh_status status)
{
	switch (status) {
	case BH_OK: return BH_LEASE_YES;
	case BH_E_KMS_REFUSED:
	case BH_E_NOT_FOUND:
	case BH_E_NO_KEY:
	case BH_E_REGION: return BH_LEASE_NO;
	case BH_E_TAG:
	case BH_E_FORMAT:
	case BH_E_TRUNCATED:
	case BH_E_VERSION: return BH_LEASE_WRONG;
	default: return BH_LEASE_NO_ANSWER;
	}
}

bool bh_lease_is_serving(const bh_lease *lease)
{
	return lease->state == BH_LEASE_HELD || lease->state == BH_LEASE_LATE || lease->state == BH_LEASE_ATTACHING;
}

/* Whether DEKs may be in memory. */
static bool has_keys(const bh_lease *lease)
{
	return bh_lease_is_serving(lease) || lease->state == BH_LEASE_DOUBTED;
}

/* Whether the KMS is to be asked again, once the pause is over. */
static bool is_asking(const bh_lease *lease)
{
	return lease->state != BH_LEASE_OFF && lease->state != BH_LEASE_DAMAGED && !lease->attach_due;
}

static void start_serving(bh_lease *lease, bh_lease_state state, bh_lease_time asked)
{
	lease->state = state;
	lease->started = asked;
	lease->failures = 0;
	lease->close_due = lease->detach_due = lease->attach_due = false;
	pause_until_renewal(lease);
}

/* Into one of the detached states. Also from one to another: then the detach records the new cause. */
static void stop_serving(bh_lease *lease, bh_lease_state state, bh_lease_time now)
{
	lease->close_due = lease->close_due || has_keys(lease);
	lease->state = state;
	lease->attach_due = false;
	lease->detach_due = true;
	lease->detach_from = now;
	lease->detach_pause_ms = 0;
	pause_while_detached(lease, now);
}

void bh_lease_init(bh_lease *lease, int64_t limit_ms, uint64_t seed)
{
	memset(lease, 0, sizeof(*lease));
	lease->limit_ms = limit_ms;
	lease->random = seed;
}

void bh_lease_granted(bh_lease *lease, bh_lease_time asked)
{
	lease->known = ++lease->newest;
	start_serving(lease, BH_LEASE_HELD, asked);
}

void bh_lease_found(bh_lease *lease, bh_lease_state state, bh_lease_time now)
{
	bh_lease_stop(lease);
	lease->state = state;
	pause_while_detached(lease, now);
}

void bh_lease_stop(bh_lease *lease)
{
	lease->known = ++lease->newest;
	lease->state = BH_LEASE_OFF;
	lease->failures = 0;
	lease->close_due = lease->detach_due = lease->attach_due = false;
}

/* ---- events */

static void answered_yes(bh_lease *lease, bh_lease_time now)
{
	/* Asked before the clock jumped: as good as not asked. */
	if (lease->state == BH_LEASE_DOUBTED && bh_lease_elapsed_ms(lease->called_at, now) >= lease->limit_ms) {
		pause_for(lease, now, 0);
		return;
	}
	if (has_keys(lease)) {
		start_serving(lease, lease->work == BH_LEASE_WORK_ATTACH ? BH_LEASE_ATTACHING : BH_LEASE_HELD, lease->called_at);
		return;
	}
	/* The keys are gone from memory; the attach unwraps them, and with that a lease begins. */
	lease->attach_due = true;
	lease->failures = 0;
}

static void answered_nothing(bh_lease *lease, bh_lease_time now)
{
	if (lease->failures < UINT32_MAX)
		lease->failures++;
	if (lease->state == BH_LEASE_HELD)
		lease->state = BH_LEASE_LATE;
	if (lease->state == BH_LEASE_DOUBTED)
		stop_serving(lease, BH_LEASE_LOST, now);
	else if (bh_lease_is_serving(lease))
		pause_while_late(lease, now);
	else
		pause_while_detached(lease, now);
}

static void answered_no(bh_lease *lease, bh_lease_state state, bh_lease_time now)
{
	lease->failures = 0;
	if (lease->state == state)
		pause_while_detached(lease, now);
	else
		stop_serving(lease, state, now);
}

static void take_answer(bh_lease *lease, bh_lease_answer answer, bh_lease_time now)
{
	switch (answer) {
	case BH_LEASE_YES: answered_yes(lease, now); break;
	case BH_LEASE_NO: answered_no(lease, BH_LEASE_REFUSED, now); break;
	case BH_LEASE_NO_ANSWER: answered_nothing(lease, now); break;
	case BH_LEASE_WRONG: answered_no(lease, BH_LEASE_DAMAGED, now); break;
	}
}

/* A clock jumped, or we were stalled: nothing is known against the KMS. A call that is under way since before a jump will be
 * answered; one that is under way for so long will not. */
static bool is_doubtful(const bh_lease *lease, bh_lease_time now)
{
	return lease->failures == 0 && (!lease->calling || now.boot_ms - lease->started.boot_ms < lease->limit_ms);
}

static void begin_doubt(bh_lease *lease, bh_lease_time now)
{
	lease->state = BH_LEASE_DOUBTED;
	lease->doubted_at = now;
	pause_for(lease, now, 0);
}

static bool is_over(const bh_lease *lease, bh_lease_time now)
{
	if (lease->state == BH_LEASE_DOUBTED)
		return bh_lease_elapsed_ms(lease->doubted_at, now) >= BH_MIN(BH_LEASE_DOUBT_MAX_MS, lease->limit_ms);
	return bh_lease_is_serving(lease) && bh_lease_elapsed_ms(lease->started, now) >= lease->limit_ms;
}

/* Also before an answer is taken: the limit may have passed with nobody looking, and a yes must not find the lease still held. */
static void let_time_pass(bh_lease *lease, bh_lease_time now)
{
	if (!is_over(lease, now))
		return;
	if (lease->state != BH_LEASE_DOUBTED && is_doubtful(lease, now)) {
		begin_doubt(lease, now);
		return;
	}
	lease->failures = 0;
	stop_serving(lease, BH_LEASE_LOST, now);
}

bool bh_lease_answered(bh_lease *lease, uint64_t call, bh_lease_answer answer, bh_lease_time now)
{
	if (!lease->calling || call != lease->call)
		return false;
	if (call < lease->known || !is_asking(lease)) {
		lease->calling = false;
		return false;
	}
	lease->known = call;
	let_time_pass(lease, now);
	lease->calling = false;
	take_answer(lease, answer, now);
	return true;
}

void bh_lease_detached(bh_lease *lease, bool done, bh_lease_time now)
{
	lease->work = BH_LEASE_IDLE;
	if (done || bh_lease_is_serving(lease) || lease->state == BH_LEASE_OFF)
		return;
	lease->detach_due = true;
	lease->detach_from = now;
	lease->detach_pause_ms = BH_LEASE_DETACH_RETRY_MS;
}

void bh_lease_attached(bh_lease *lease, bh_lease_answer answer, bh_lease_time now)
{
	lease->work = BH_LEASE_IDLE;
	/* In doubt, and there: as in doubt as before. */
	if (lease->state == BH_LEASE_DOUBTED && answer != BH_LEASE_YES)
		lease->state = BH_LEASE_ATTACHING;
	if (lease->state != BH_LEASE_ATTACHING) { /* refused, lost or stopped meanwhile: the detach is due still */
		lease->close_due = lease->detach_due && answer == BH_LEASE_YES;
		return;
	}
	switch (answer) {
	case BH_LEASE_YES: lease->state = lease->failures > 0 ? BH_LEASE_LATE : BH_LEASE_HELD; break;
	case BH_LEASE_NO: stop_serving(lease, BH_LEASE_REFUSED, now); break;
	case BH_LEASE_NO_ANSWER:
		lease->failures++;
		stop_serving(lease, BH_LEASE_LOST, now);
		break;
	case BH_LEASE_WRONG: stop_serving(lease, BH_LEASE_DAMAGED, now); break;
	}
}

/* ---- decisions */

static int64_t left_ms(bh_lease_time from, int64_t pause_ms, bh_lease_time now)
{
	return BH_MAX(pause_ms - bh_lease_elapsed_ms(from, now), 0);
}

static unsigned decide_work(bh_lease *lease, bh_lease_time now)
{
	if (lease->work != BH_LEASE_IDLE)
		return 0;
	if (lease->detach_due && left_ms(lease->detach_from, lease->detach_pause_ms, now) == 0) {
		lease->detach_due = false;
		lease->work = BH_LEASE_WORK_DETACH;
		return BH_LEASE_DETACH;
	}
	if (lease->detach_due || !lease->attach_due)
		return 0;
	lease->work = BH_LEASE_WORK_ATTACH;
	lease->known = ++lease->newest;
	start_serving(lease, BH_LEASE_ATTACHING, now);
	return BH_LEASE_ATTACH;
}

static unsigned decide_call(bh_lease *lease, bh_lease_time now)
{
	if (lease->calling || !is_asking(lease) || left_ms(lease->paused_at, lease->pause_ms, now) > 0)
		return 0;
	lease->calling = true;
	lease->call = ++lease->newest;
	lease->called_at = now;
	return BH_LEASE_CALL;
}

static int64_t next_wake_ms(const bh_lease *lease, bh_lease_time now)
{
	int64_t wake = INT64_MAX;

	if (bh_lease_is_serving(lease))
		wake = BH_MIN(wake, left_ms(lease->started, lease->limit_ms, now));
	if (lease->state == BH_LEASE_DOUBTED)
		wake = BH_MIN(wake, left_ms(lease->doubted_at, BH_MIN(BH_LEASE_DOUBT_MAX_MS, lease->limit_ms), now));
	if (!lease->calling && is_asking(lease))
		wake = BH_MIN(wake, left_ms(lease->paused_at, lease->pause_ms, now));
	if (lease->work == BH_LEASE_IDLE && lease->detach_due)
		wake = BH_MIN(wake, left_ms(lease->detach_from, lease->detach_pause_ms, now));
	return wake;
}

void bh_lease_decide(bh_lease *lease, bh_lease_time now, bh_lease_decision *out)
{
	bh_lease_decision decision = { 0 };

	let_time_pass(lease, now);
	if (lease->close_due)
		decision.acts |= BH_LEASE_CLOSE;
	lease->close_due = false;
	decision.acts |= decide_work(lease, now);
	decision.acts |= decide_call(lease, now);
	decision.call = lease->call;
	decision.wake_ms = next_wake_ms(lease, now);
	*out = decision;
}

/* ---- what status shows */

int64_t bh_lease_age_ms(const bh_lease *lease, bh_lease_time now)
{
	return bh_lease_is_serving(lease) ? bh_lease_elapsed_ms(lease->started, now) : -1;
}

int64_t bh_lease_remaining_ms(const bh_lease *lease, bh_lease_time now)
{
	return bh_lease_is_serving(lease) ? left_ms(lease->started, lease->limit_ms, now) : 0;
}
