/* SPDX-License-Identifier: Apache-2.0
 *
 * span_run.c: neighbouring spans in one go; see span_run.h.
 */
#include "span_run.h"

bh_status bh_span_run_flush(bh_span_run *run, uint8_t *buf, uint64_t base)
{
	bh_ctr *ctr = run->ctr;

	if (!ctr)
		return BH_OK;
	run->ctr = NULL;
	BH_TRY(bh_ctr_xor(ctr, base + run->start, buf + run->start, run->end - run->start));
	for (unsigned i = 0; i < run->gap_count; i++)
		memcpy(buf + run->gaps[i].at, run->gaps[i].bytes, run->gaps[i].len);
	return BH_OK;
}

static bool joins(const bh_span_run *run, bh_ctr *ctr, size_t at)
{
	return run->ctr == ctr && at - run->end <= BH_RUN_GAP_MAX && (at == run->end || run->gap_count < BH_RUN_GAPS);
}

bh_status bh_span_run_add(bh_span_run *run, bh_ctr *ctr, uint8_t *buf, uint64_t base, size_t at, size_t len)
{
	if (run->ctr && joins(run, ctr, at)) {
		size_t gap = at - run->end;

		if (gap > 0) {
			run->gaps[run->gap_count].at = run->end;
			run->gaps[run->gap_count].len = gap;
			memcpy(run->gaps[run->gap_count].bytes, buf + run->end, gap);
			run->gap_count++;
		}
		run->end = at + len;
		return BH_OK;
	}
	BH_TRY(bh_span_run_flush(run, buf, base));
	run->ctr = ctr;
	run->start = at;
	run->end = at + len;
	run->gap_count = 0;
	return BH_OK;
}
