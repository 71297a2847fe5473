/* SPDX-License-Identifier: Apache-2.0
 *
 * path.h: what a path of a database says: what the file is and whose. Pure: no I/O, no keys.
 */
#ifndef BH_PATH_H
#define BH_PATH_H

#include "env/format/header.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_TENANTS_DIR "tenants"
/* staging/<merchant>/<class>/: sorted files that wait to be ingested: the class's, and no part of it yet. RocksDB knows nothing of
 * them, and no step of the merchant's life but its end removes one. */
#define BH_STAGING_DIR "staging"
#define BH_PARKED_DIR "parked" /* parked/<merchant>/: a small database of its own, of a merchant that is detached */
/* In it, while somebody is parked or comes back. No merchant's name begins with a dot. */
#define BH_PARKED_NEW_PREFIX ".new-"
#define BH_PARKED_LENT_PREFIX ".resume-"
/* A WAL or MANIFEST whose header is not durable yet; a file that is being resealed, before or after the exchange. In any case
 * nobody's: the next open removes it. */
#define BH_TEMP_SUFFIX ".bhtmp"
/* What RocksDB has deleted and removes bit by bit (SstFileManager): nobody's either. */
#define BH_TRASH_SUFFIX ".trash"
bool bh_is_temp_name(const char *name); /* either; also of a path */

typedef struct bh_path_info {
	bool sealed;       /* false: LOCK and LOG, which hold nothing of a merchant */
	bh_file_kind kind; /* of a sealed file */
	uint64_t number;   /* bound to the header; of a small file XXH3-64 of its name; 0 where the name binds nothing */
	bool staged;       /* below staging/ */
	bool trash;        /* deleted, but for its last name: it may be cut, and nobody reads it */
	bh_scope scope;
} bh_path_info;

/* The rest of `path` below `root`, without leading slashes; NULL where it lies outside. Doubled slashes count as one. */
const char *bh_path_below(const char *root, const char *path);

/* Whether no component of `path` is "." or "..". */
bool bh_path_is_plain(const char *path);

/* Whether RocksDB begins a new OPTIONS file under this name. */
bool bh_path_is_new_options(const char *path);
/* A small file that gets its name by a rename alone, whole: CURRENT, IDENTITY, OPTIONS-<number>. */
bool bh_path_is_whole_small(const char *path);

/* bh_fs_classify() without a bh_fs: `root` is the database directory. */
BH_MUST_CHECK bh_status bh_path_classify(const char *root, const char *path, bh_path_info *out);
/* The same for a file that is of `scope` wherever it lies. */
void bh_path_classify_as(const bh_scope *scope, const char *path, bh_path_info *out);

/* Whether a file with this opened header may stand at `path`. Errors: BH_E_TAG (another kind, number or scope: a swapped file). */
BH_MUST_CHECK bh_status bh_path_check_place(const char *path, const bh_path_info *info, const bh_file_key *key);

/* Whose directory `below`, a path below the root, names or lies in; false: nobody's. */
bool bh_path_owner(const char *below, bh_scope *out);

/* Splits a column-family name. Errors: BH_E_INVALID. */
BH_MUST_CHECK bh_status bh_cf_name_parse(bh_view name, bh_scope *out);
/* "<merchant>/<class>", or "default"; `out` holds 2*BH_NAME_MAX+2 bytes. */
#define BH_CF_NAME_SIZE (2 * BH_NAME_MAX + 2)
void bh_cf_name_format(const bh_scope *scope, char out[BH_CF_NAME_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
