/* SPDX-License-Identifier: Apache-2.0
 *
 * fs.h: which file is whose. The policy of the Env: from a path to what the file is and whose key seals it, from a column-family id
 * to the DEK of its spans. Without I/O, but for where an oddly spelled path leads. The bridge asks; the keyring answers.
 *
 *     DB/tenants/<merchant>/<class>/...   that merchant's class       DB/..., and anything outside of DB   the platform
 *     CF name "<merchant>/<class>"        that merchant's class       "default"                            the platform
 * A sealed file is used only where its DEK's scope is the scope of its path, and only under the file number it was made for.
 *
 * Thread-safety: all calls may come from many threads. `lock` (rwlock) guards the claims; the family table has its own.
 */
#ifndef BH_FS_H
#define BH_FS_H

#include "env/files/kept.h"
#include "env/files/page_readers.h"
#include "env/room/room.h"
#include "fresh.h"
#include "env/stream/stream.h"
#include "path.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_fs bh_fs;

/* `root`: the database directory. Takes `keyring` over: bh_fs_free() closes it. */
BH_MUST_CHECK bh_status bh_fs_new(const char *root, bh_keyring *keyring, bh_fs **out);
/* The same for a scratch database of one class: every file is of `scope` wherever it lies, and so are all column families, whatever
 * their names. The caller keeps it out of the database. */
BH_MUST_CHECK bh_status bh_fs_new_scratch(const char *root, const bh_scope *scope, bh_keyring *keyring, bh_fs **out);
/* Another file system over the same keyring (borrowed): the directory `root`, which has the layout of a database, shows
 * `merchant`'s column families, whatever state the merchant is in. Other families are presented as dropped, the default one without
 * its files.
 */
BH_MUST_CHECK bh_status bh_fs_new_view(bh_keyring *keyring, const char *root, const char *merchant, bh_fs **out);
bool bh_fs_is_view(const bh_fs *fs);
/* Has pause(arg) called after each piece of a stream (256 KiB at most) that is read through `fs`, by the thread that reads it.
 * Before anybody reads. */
void bh_fs_set_pause(bh_fs *fs, void (*pause)(void *arg), void *arg);
void bh_fs_pause(const bh_fs *fs);
/* A view that shows its merchant without this SST, whatever the MANIFEST says. Before anybody reads. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fs_hide_sst(bh_fs *fs, uint64_t number);
/* What was met in a merchant's file: blame.h says when, and by whom this is called. */
typedef struct bh_damage {
	const bh_scope *owner;
	const char *path;
	bh_status status;
	const char *message; /* names the file, and the page or frame where that is known */
} bh_damage;
/* Before the first file is opened. `each` comes from any thread, with no lock of the Env's held, perhaps from inside of RocksDB: it
 * must not wait, and not call RocksDB. */
void bh_fs_on_damage(bh_fs *fs, void (*each)(void *arg, const bh_damage *damage), void *arg);
/* Tells who has registered, if anybody has. */
void bh_fs_damaged(const bh_fs *fs, const bh_damage *damage);
/* From now on no file is made through `fs`: bh_fs_new_file() fails with BH_E_UNSUPPORTED. */
void bh_fs_set_read_only(bh_fs *fs);
void bh_fs_free(bh_fs *fs);
const char *bh_fs_root(const bh_fs *fs); /* the directory */
bh_keyring *bh_fs_keyring(const bh_fs *fs);
/* What files that grow are measured by (borrowed; outlives `fs`); NULL, as at first: by nothing. Before anybody writes. */
void bh_fs_set_room(bh_fs *fs, bh_room *room);
bh_room *bh_fs_room(const bh_fs *fs);
/* Whether what a WAL has no room for was told to its writer as failed and must not come back (wal_void.h): with a room, and where
 * RocksDB writes each record before it says that it is done (not manual_wal_flush). Before anybody writes. */
void bh_fs_set_voids(bh_fs *fs, bool voids);
bool bh_fs_voids(const bh_fs *fs);
/* Has the next sync of a WAL fail, once, as one that may be tried again: what has RocksDB begin to recover from a failure before
 * that it has given up on. */
void bh_fs_fail_a_sync(bh_fs *fs);
bool bh_fs_takes_failing_sync(bh_fs *fs);
const bh_scopes *bh_fs_scopes(const bh_fs *fs); /* lives as long as `fs` */

/* What the file at `path` is, however that is spelled: a path that has dots, or does not begin as `root` does, is resolved. Errors:
 * BH_E_INVALID (a path under tenants/ that names no merchant and class), BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fs_classify(const bh_fs *fs, const char *path, bh_path_info *out);

/* A fresh key and header for a new file at `path`. Errors: those of the keyring, BH_E_CRYPTO, BH_E_NOMEM, BH_E_BUSY (an
 * OPTIONS file that is not wanted now), BH_E_UNSUPPORTED (a WAL outside of the database's directory); prefixed with the path. */
BH_MUST_CHECK bh_status bh_fs_new_file(bh_fs *fs, const char *path, const bh_path_info *info, bh_file_key *key_out,
				       uint8_t header_out[BH_HEADER_LEN]);
/* Whether what lies at `path` may be opened, or a file made there: see bh_path_look(). */
BH_MUST_CHECK bh_status bh_fs_look(const bh_fs *fs, const char *path);
/* Whether a file may be renamed or linked as it is (else, small ones: bh_rename_resealed()). Errors: BH_E_INVALID (to another
 * scope, between sealed and not, or to a name under which it could not be opened any more, because it was sealed as another kind or
 * number; not BH_E_UNSUPPORTED, at which RocksDB's ingestion of another class's file would copy its rows instead). */
BH_MUST_CHECK bh_status bh_fs_check_move(const bh_fs *fs, const char *from, const char *to);

/* Tells that DEKs were added, taken away or replaced: what was looked up before is looked up anew, and no key of them is left in
 * the logs that are being written. */
void bh_fs_keys_changed(bh_fs *fs);

/* RocksDB writes an OPTIONS file anew whenever a family is made or dropped, all families in it, and reads it back, while all
 * writers wait. While `held` on the calling thread, beginning one there fails with BH_E_BUSY, which RocksDB notes in its log and
 * passes over (unless fail_if_options_file_error is set). A view's OPTIONS file is never written: nobody reads it. */
void bh_fs_hold_options_file(bool held);

/* From now on RocksDB makes no column family of a merchant but those that are being made between _begin() and _end(), whichever of
 * its threads writes the MANIFEST: the others are refused when they are made (BH_E_INVALID). `claim` and `scope` are the caller's
 * until the end. A bh_fs that is not guarded takes those that have a key. */
typedef struct bh_family_claim {
	const bh_scope *scope;
	struct bh_family_claim *next;
} bh_family_claim;
void bh_fs_guard_families(bh_fs *fs);
void bh_fs_family_begin(bh_fs *fs, bh_family_claim *claim, const bh_scope *scope);
void bh_fs_family_end(bh_fs *fs, const bh_family_claim *claim);

/* While a merchant is parked: from begin to end its page files, and all WALs and MANIFESTs, stay where they are though RocksDB
 * removes them (kept.h). Others' files go as ever, and nobody waits. */
void bh_fs_keep_begin(bh_fs *fs, bh_keeping *keeping);
void bh_fs_keep_end(bh_fs *fs, const bh_keeping *keeping);
/* The file at `path` is to be removed. *kept_out: it stays for now; else it is the caller's to remove. Errors: BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_fs_keep(bh_fs *fs, const char *path, bool *kept_out);

/* The logs being written. */
struct bh_live *bh_fs_live(bh_fs *fs);
bool bh_fs_is_live(bh_fs *fs, const char *path);

/* Which logs there are. Of a view or a scratch it keeps and expects nothing. */
bh_fresh *bh_fs_fresh(bh_fs *fs);
/* Whether `path` is this name in the root directory; `name` NULL: any. */
bool bh_fs_is_in_root(const bh_fs *fs, const char *path, const char *name);
/* Whether the file at `path` is a log of those that are on the list: a WAL or MANIFEST in the root directory. */
bool bh_fs_lists(const bh_fs *fs, const char *path, const bh_path_info *info);

/* Has the reader of such a log take for synced what the list says. Errors: BH_E_ROLLBACK (it is not the one that is listed). */
BH_MUST_CHECK bh_status bh_fs_expect(bh_fs *fs, bh_stream_reader *log);

/* The paged files that are open; lives as long as `fs`. */
bh_page_readers *bh_fs_page_readers(const bh_fs *fs);

#ifdef __cplusplus
}
#endif
#endif
