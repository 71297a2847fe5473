/* SPDX-License-Identifier: Apache-2.0
 *
 * home.h: DB/HOME, by which a database that was copied is told from the one it was copied from.
 *
 * Both have the same merchants and the same CMKs. A shred in the copy would have these destroyed, and with them the data of the one
 * that lives on. So a database that is not at home asks no KMS to destroy a key, until somebody says that it is the one now.
 *
 * HOME is 64 hex digits and a newline: SHA-256 of "bulkhead/1/home", zero, the machine's id (/etc/machine-id, without its newline;
 * nothing, where there is none), zero, and as u64 each the id of the file system, as statfs(2) tells it, and the inode of the
 * directory. So a copy, a restored backup and another host are told; a rename, a remount and a reboot are not taken for one. It is
 * a safeguard against mistakes, and not sealed: who can write the directory can write it. A snapshot of the whole file system that
 * is mounted on the same host is not told.
 *
 * Thread-safety: pure but for the file.
 */
#ifndef BH_ENGINE_HOME_H
#define BH_ENGINE_HOME_H

#include "keyring/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BH_HOME_FILE "HOME"
#define BH_HOME_TEMP BH_HOME_FILE ".tmp" /* what a kill has left; a writable open removes it */

/* Says that the database in `dir` is at home there: HOME is replaced whole, durably. Errors: BH_E_NOT_FOUND, BH_E_IO, BH_E_FULL. */
BH_MUST_CHECK bh_status bh_home_set(const char *dir);
/* Removes what set has made, of a directory that became no database. */
void bh_home_unset(const char *dir);
/* Removes what a kill has left of a set. */
void bh_home_tidy(const char *dir);
/* Whether it is. Not where HOME is missing, is of another place, or cannot be read. */
bool bh_home_is_here(const char *dir);

#ifdef __cplusplus
}
#endif
#endif
