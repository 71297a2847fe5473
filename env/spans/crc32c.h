/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c.h: CRC-32C (Castagnoli, RFC 3720) and RocksDB's masking of it, as log records carry it.
 *
 * Thread-safety: pure.
 */
#ifndef BH_CRC32C_H
#define BH_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The CRC of the bytes that gave `crc` followed by `len` more; 0 is the CRC of nothing. */
uint32_t bh_crc32c(uint32_t crc, const void *data, size_t len);

/* What is stored: a CRC over bytes that hold a CRC is weak, so RocksDB rotates it and adds a constant. */
static inline uint32_t bh_crc32c_mask(uint32_t crc)
{
	return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

#ifdef __cplusplus
}
#endif
#endif
