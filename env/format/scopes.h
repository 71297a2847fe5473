/* SPDX-License-Identifier: Apache-2.0
 *
 * scopes.h: the question the codecs ask: under which DEK does this belong?
 *
 * The file codecs know DEKs and column-family ids but neither the keyring nor paths; they ask through this table, which bh_fs fills
 * from the keyring and unit tests fill by hand. All calls may come from many threads.
 */
#ifndef BH_SCOPES_H
#define BH_SCOPES_H

#include "keyring/ring/keyring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_CF_DEFAULT 0u        /* the platform's own column family */
#define BH_CF_ID_MAX (1u << 24) /* far above what one database ever reaches; bounds tables */

struct bh_header;

typedef struct bh_scopes {
	void *arg;
	/* Newest DEK of the column family, counted; *out = NULL with BH_OK for the platform's (bytes stay under the file's own
	 * key). BH_E_NOT_FOUND: an id that no MANIFEST edit has added; BH_E_SHREDDED, BH_E_SUSPENDED, BH_E_NO_KEY: not available.
	 */
	bh_status (*dek_for_cf)(void *arg, uint32_t cf_id, bh_dek **out);
	/* The DEK of an id, counted. BH_E_NO_KEY, BH_E_SHREDDED, BH_E_SUSPENDED: not available. */
	bh_status (*dek_by_id)(void *arg, const uint8_t id[BH_ID_LEN], bh_dek **out);
	/* A MANIFEST edit added a column family (seen when one is written and when one is read). Refuses names that belong to no
	 * merchant of the keyring (BH_E_INVALID); idempotent. `name` need not end in NUL. */
	bh_status (*cf_added)(void *arg, uint32_t cf_id, bh_view name);
	/* ... dropped one. */
	bh_status (*cf_dropped)(void *arg, uint32_t cf_id);
	/* A MANIFEST edit gave the family this log number: WALs below it hold nothing more of it that anybody needs. */
	void (*cf_log_number)(void *arg, uint32_t cf_id, uint64_t number);
	/* Whose the family is, by the name it was added with: a DEK of no other class makes its bytes. BH_E_NOT_FOUND: it is not
	 * known, because it was dropped or no MANIFEST was read. */
	bh_status (*cf_scope)(void *arg, uint32_t cf_id, bh_scope *out);
	/* Whether what this file has of the family may be shown as zeros where its DEK is not available, because nobody will use
	 * it: BH_OK. BH_E_TAG: no, the file is wrong; other errors are passed on. Asked of a WAL at the first such bytes, of a
	 * MANIFEST at its end. */
	bh_status (*cf_blank)(void *arg, uint32_t cf_id, const struct bh_header *file);
	/* Whether a column family that a MANIFEST being read still has may be shown to RocksDB; false: it is presented as dropped.
	 */
	bool (*cf_attached)(void *arg, bh_view name);
	/* The default family's files are not where this MANIFEST is: its edits lose what they say of files. */
	bool hides_default_files;
	/* Edits of a family whose DEK is not available lose what they say of files, too: nobody has authenticated it. */
	bool hides_blank_files;
	/* Records of a WAL being read that hold nothing but bytes whose DEK is not available are left out (wal_sieve.h). */
	bool sieves_logs;
	/* What a MANIFEST being read says of files is noted, or blanked where they are gone (manifest_files.h). NULL: neither. */
	struct bh_manifest_files *files;
	/* Grows, atomically, with everything that may give a column family another DEK, or none: as long as it stays as it is,
	 * dek_for_cf need not be asked again. NULL: it may always be. */
	const uint64_t *changes;
	/* Before cf_added, of an edit that is being written: refuses a family that is not to be made, or has no key. NULL: none. */
	bh_status (*cf_check_new)(void *arg, uint32_t cf_id, bh_view name);
	/* What a MANIFEST being read says of the SST of this number is left out. NULL: of none. */
	bool (*hides_sst)(void *arg, uint64_t number);
	/* The sequence of a commit mark of KEYRING's that is durable by now: a log that is written says so of itself. NULL: 0. */
	uint64_t (*keyring_durable)(void *arg);
} bh_scopes;

#ifdef __cplusplus
}
#endif
#endif
