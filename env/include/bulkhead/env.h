/* SPDX-License-Identifier: Apache-2.0
 *
 * env.h: Bulkhead's Env for programs that drive RocksDB themselves; and the mapping of RocksDB's error texts back to bh_status.
 *
 * Most programs want db.h instead, which does all of this and keeps merchants' states. With an Env of your own: open every column
 * family with bh_options_use_class(), name it "<merchant>/<class>", and refuse yourself what bh_options_check() refuses.
 *
 * Thread-safety: an Env may be used from many threads.
 */
#ifndef BULKHEAD_ENV_H
#define BULKHEAD_ENV_H

#include <bulkhead/kms.h>
#include <bulkhead/pin.h>

#ifdef BH_FFI_BARE
typedef struct rocksdb_env_t rocksdb_env_t;
typedef struct rocksdb_options_t rocksdb_options_t;
#else
#include <rocksdb/c.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_env_options {
	bh_kms_options kms;
	uint64_t generation_floor; /* refuse a keyring older than this; 0: no floor */
	const char *pin;           /* refuse another database, and an older state of this one (pin.h); NULL: no pin */
	bh_pin_fn pin_changed;     /* is told of each new pin; NULL. Its argument has to outlive the Env */
	void *pin_arg;
} bh_env_options;

/* Opens the keyring of the database directory `dir` (made by bh_db_open or `bhctl init`), unwraps the DEKs of every merchant
 * that is not suspended (whose families are presented as dropped), and returns an Env that seals under them. The keyring is locked
 * until rocksdb_env_destroy(), which the caller owes after closing the database. Errors: those of the keyring and the KMS:
 * BH_E_NOT_FOUND, BH_E_BUSY (also: a merchant is half suspended or resumed), BH_E_INVALID (the pin is none), BH_E_TAG, BH_E_FORMAT,
 * BH_E_ROLLBACK, BH_E_KMS_REFUSED, BH_E_KMS_UNREACHABLE, BH_E_IO, BH_E_NOMEM. */
BH_API BH_MUST_CHECK bh_status bh_env_create(const char *dir, const bh_env_options *options, rocksdb_env_t **out);

/* Sets cf_paths to the directory of a merchant's class, DIR/tenants/<merchant>/<class>, which is made if missing.
 * Errors: BH_E_INVALID (names), BH_E_IO. */
BH_API BH_MUST_CHECK bh_status bh_options_use_class(rocksdb_options_t *options, const char *dir, const char *merchant,
						    const char *cls);

/* Refuses options that break the promises: mmap, WAL recycling and compression, paranoid_checks=false, and more.
 * Errors: BH_E_UNSUPPORTED, naming the option. */
BH_API BH_MUST_CHECK bh_status bh_options_check(const rocksdb_options_t *options);

/* The bh_status behind a text that RocksDB's C API returned in `errptr` (BH_E_TAG for a failed tag, and so on; BH_E_ROCKSDB if it
 * is RocksDB's own). Keeps the text as this thread's message and releases it with rocksdb_free(). NULL is BH_OK. */
BH_API BH_MUST_CHECK bh_status bh_status_of_rocksdb(char *error);

#ifdef __cplusplus
}
#endif
#endif
