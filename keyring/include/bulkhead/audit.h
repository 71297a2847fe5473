/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.h: what was moved of a database's audit log into an archive; bh_db_audit_archive() in db.h does it.
 *
 * Thread-safety: types alone.
 */
#ifndef BULKHEAD_AUDIT_H
#define BULKHEAD_AUDIT_H

#include <bulkhead/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BH_AUDIT_ARCHIVE_NAME_SIZE 64

typedef struct bh_audit_archived {
	uint64_t first, last;                  /* entries in the file that was made, by their numbers */
	uint64_t bytes;                        /* of it */
	char name[BH_AUDIT_ARCHIVE_NAME_SIZE]; /* its name in the archive */
} bh_audit_archived;

#ifdef __cplusplus
}
#endif
#endif
