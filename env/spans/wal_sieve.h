/* SPDX-License-Identifier: Apache-2.0
 *
 * wal_sieve.h: the records of a WAL that a reader has use for, as a log of their own.
 *
 * Who recovers one merchant from a WAL that holds everybody's rows would look at every record of the others, only to pass over it.
 * The sieve leaves such records out and lays the others anew, in the log format, one behind the other. A write batch carries its
 * sequence number, so nothing is missed between two records. Two records stay whatever they hold, the first and the last: when a
 * log ends badly, RocksDB takes the next one only if that begins with the sequence number with which this one ended.
 *
 * Everything that passed is plaintext, and wiped when it leaves. Thread-safety: none.
 */
#ifndef BH_WAL_SIEVE_H
#define BH_WAL_SIEVE_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_wal_sieve bh_wal_sieve;

BH_MUST_CHECK bh_status bh_wal_sieve_new(bh_wal_sieve **out);
void bh_wal_sieve_free(bh_wal_sieve *s);

/* The next bytes of a record; they are copied. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_wal_sieve_add(bh_wal_sieve *s, bh_view payload);
/* The record is complete. `keep`: somebody has use for it. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_wal_sieve_record(bh_wal_sieve *s, bool keep);
/* The log ends here. `cut`: inside of a record, which becomes a header that is cut off. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_wal_sieve_end(bh_wal_sieve *s, bool cut);

/* What is to be shown, as spans.h has it. */
bh_view bh_wal_sieve_ready(const bh_wal_sieve *s);
void bh_wal_sieve_consume(bh_wal_sieve *s, size_t len);

#ifdef __cplusplus
}
#endif
#endif
