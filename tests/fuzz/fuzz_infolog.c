/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_infolog.c: lines and events of the info log. Whatever they hold, the parsers neither crash nor grow it by more than their
 * notes.
 */
#include <stdlib.h>

#include "env/infolog/infolog_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	BH_CLEANUP(bh_buf_clear) bh_buf out = { 0 };

	if (len == 0)
		return 0;
	if (data[0] & 1) {
		if (bh_infolog_event(bh_view_of(data + 1, len - 1), &out) != BH_OK)
			abort();
		return 0;
	}
	if (bh_infolog_line(bh_view_of(data + 1, len - 1), &out) != BH_OK || out.len > len + 200)
		abort();
	return 0;
}
