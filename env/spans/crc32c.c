/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c.c: CRC-32C by ISA-L, which picks the CPU's own instructions at run time.
 */
#include "crc32c.h"

#include <isa-l/crc.h>

#define CHUNK_MAX (1u << 30) /* ISA-L takes an int */

uint32_t bh_crc32c(uint32_t crc, const void *data, size_t len)
{
	/* ISA-L reads only, but its prototype is not const. */
	unsigned char *p = (unsigned char *)(uintptr_t)data;
	uint32_t state = ~crc;

	while (len > 0) {
		size_t n = len < CHUNK_MAX ? len : CHUNK_MAX;

		state = crc32_iscsi(p, (int)n, state);
		p += n;
		len -= n;
	}
	return ~state;
}
