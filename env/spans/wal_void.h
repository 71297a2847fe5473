/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_void.h: a record of a WAL that was refused becomes one of nothing.
 *
 * RocksDB takes a record that could not be written for written: the next one lies where blocks of 32 KiB say, behind it. So it
 * cannot be left out. Nor can it be written later as it was: its caller was told that it has failed, the next record has the same
 * sequence number, and two entries of one key and one number are what RocksDB's recovery does not survive. So it keeps its place
 * and its length, and its batch becomes empty: no entries, and no-operations (tag 0d) for the rest.
 */
#ifndef BH_WAL_VOID_H
#define BH_WAL_VOID_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Voids the records in data[0, len), which stands at logical offset `off`. Errors: BH_E_FORMAT (it is not whole records, each large
 * enough for a batch: nothing is changed). */
BH_MUST_CHECK bh_status bh_wal_void(uint64_t off, uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
