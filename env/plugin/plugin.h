/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.h: the policy of libbulkhead_plugin.so, the library that lets RocksDB's stock tools work on a Bulkhead database:
 *
 *     LD_PRELOAD=libbulkhead_plugin.so ldb --fs_uri=bulkhead://DB --db=DB --column_family=acme/data scan
 *
 * A URI is a directory, and what it is decides what may be done.
 *   - bulkhead://DB: inspection. A closed database as it is, with the keys of every merchant whose KMS gives them. Nothing is
 *     written, locked or made. ldb knows no cf_paths and asks for DB/N.sst: it gets DB/tenants/<merchant>/<class>/N.sst, as numbers
 *     are unique in a database.
 *   - bulkhead://DB/tenants/<merchant>/<class>: scratch. Whatever the tool makes OUTSIDE of DB is sealed under that class's DEK
 *     (db_bench's --db, or its default below /tmp). DB itself is out of reach.
 * Both open the keyring read-only and hold its lock, so a database in use is refused. A merchant that is suspended, or whose KMS
 * says no, keeps its keys: in an inspection its families look dropped and its files are refused with the reason; a scratch in
 * it is refused. env/bridge/plugin.cc asks this file about every path; what files hold is decided by fs.h as ever.
 *
 * With BULKHEAD_PIN in the environment a database that does not fit that pin (pin.h) is refused, in both.
 *
 * It has no caller to report to, so what an operator should know (a merchant left out, where a dump went) is a line on stderr.
 *
 * Thread-safety: immutable once open.
 */
#ifndef BH_PLUGIN_H
#define BH_PLUGIN_H

#include "env/fs/fs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_PLUGIN_SCHEME "bulkhead"

typedef enum bh_plugin_access {
	BH_PLUGIN_LOOK,   /* whether it exists, its size, what a directory holds */
	BH_PLUGIN_READ,   /* its bytes */
	BH_PLUGIN_CHANGE, /* anything that leaves the disk another than before, locks included */
} bh_plugin_access;

typedef struct bh_plugin bh_plugin;

/* Opens what `uri` names. *fs_out owns the keyring and has to outlive the plugin; bh_fs_free() it after bh_plugin_free().
 * Errors: BH_E_INVALID (URI), BH_E_NOT_FOUND (no database there, no such merchant or class), BH_E_BUSY (the database is in use),
 * BH_E_SUSPENDED, BH_E_SHREDDED (scratch), and those of bh_keyring_open() and bh_keyring_merchant_unlock(). */
BH_MUST_CHECK bh_status bh_plugin_open(const char *uri, bh_plugin **out, bh_fs **fs_out);
void bh_plugin_free(bh_plugin *plugin); /* NULL-safe */

/* Once, when the library is loaded. Tools keep their file system in a static variable, so the keyring is closed, which signs a line
 * of the audit log, after the handlers of exit(): OpenSSL must not have cleaned itself up by then. */
void bh_plugin_start(void);

/* A line for the operator, on stderr. */
void bh_plugin_note(const char *line);

/* Whether this is an inspection, which writes no info log either. */
bool bh_plugin_inspects(const bh_plugin *plugin);

/* Which file `path` means, appended to `out`. Errors: BH_E_UNSUPPORTED (a change in an inspection; the database in a scratch),
 * BH_E_FORMAT (two files of that number), for READ why the merchant's keys are not there; BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_plugin_place(const bh_plugin *plugin, const char *path, bh_plugin_access access, bh_buf *out);

/* Whether `path` is where `sst_dump --command=raw` puts its text: <the SST's name>_dump.txt, beside the SST. */
bool bh_plugin_is_dump(const bh_plugin *plugin, const char *path);
/* Where that text goes instead, since plaintext does not belong into the database: a fresh file in the current directory, for the
 * owner alone (0600). It is made, and named on stderr. Errors: BH_E_UNSUPPORTED (the current directory lies in the database),
 * BH_E_IO. */
BH_MUST_CHECK bh_status bh_plugin_dump_place(const bh_plugin *plugin, const char *path, bh_buf *out);

/* Files that an inspection does not show: LOG, so that a tool does not move it out of the way for its own; and OPTIONS files while
 * a merchant is left out, for they name its families and ldb would open them. */
bool bh_plugin_hides(const bh_plugin *plugin, const char *path);

/* The SST and blob files that an inspection shows in the directory `path` besides its own, by index; NULL: there are no more. */
const char *bh_plugin_child(const bh_plugin *plugin, const char *path, size_t idx);

#ifdef __cplusplus
}
#endif
#endif
