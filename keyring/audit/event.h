/* SPDX-License-Identifier: Apache-2.0
 *
 * event.h: what the audit log is told, and how far a log has come.
 */
#ifndef BH_AUDIT_EVENT_H
#define BH_AUDIT_EVENT_H

#include "keyring/crypto/kdf.h"
#include "keyring/dek/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The actions. */
#define BH_AUDIT_DATABASE_CREATED "database.created"
#define BH_AUDIT_OPENED "keyring.opened" /* by this process; from here on it holds the platform's DEKs */
#define BH_AUDIT_CLOSED "keyring.closed" /* all keys are wiped */
#define BH_AUDIT_KMS_ASKED "kms.asked"   /* a KMS is about to be asked, what for is in the detail; what came of it follows */
#define BH_AUDIT_DEK_WRAPPED "dek.wrapped"
#define BH_AUDIT_DEK_UNWRAPPED "dek.unwrapped"
#define BH_AUDIT_DEK_DESTROYED "dek.destroyed"
#define BH_AUDIT_DEK_REWRAPPED "dek.rewrapped" /* another wrap of it is about to be recorded, by this version of this CMK */
#define BH_AUDIT_DEK_MARKED "dek.marked"
#define BH_AUDIT_DEK_RETIRED "dek.retired" /* its wrap is gone, its merchant lives on */
#define BH_AUDIT_KEYS_GRANTED                                                                                                      \
	"keys.granted" /* the merchant's DEKs are in this process's memory, from here to "wiped" or "closed" */
#define BH_AUDIT_KEYS_RENEWED "keys.renewed" /* the KMS has said yes again, `count` times since the last such entry */
#define BH_AUDIT_KEYS_DENIED "keys.denied"   /* the KMS refused, gave no answer or a damaged one: `outcome` */
#define BH_AUDIT_KEYS_WIPED "keys.wiped"
#define BH_AUDIT_MERCHANT_ADDED "merchant.added"
#define BH_AUDIT_MERCHANT_ROTATED "merchant.rotated" /* about to get a new generation, of these DEKs, which is in memory then */
#define BH_AUDIT_MERCHANT_MOVED "merchant.moved"     /* about to be, to this CMK */
#define BH_AUDIT_STATE_CHANGED "state.changed"
#define BH_AUDIT_CMK_DESTROY_ASKED "cmk.destroy-asked"
#define BH_AUDIT_CMK_DESTROY_ANSWERED "cmk.destroy-answered"
#define BH_AUDIT_CMK_KEPT "cmk.kept"                 /* a shred has not had it destroyed, since the database is a copy */
#define BH_AUDIT_DATABASE_ADOPTED "database.adopted" /* an operator says that it lives on where it is now */
#define BH_AUDIT_CERTIFICATE_ISSUED "certificate.issued"
#define BH_AUDIT_ERASE_BEGUN "erase.begun"           /* rows of a class are about to be erased; no key changes by it */
#define BH_AUDIT_ERASE_ENDED "erase.ended"           /* no file holds them any more; or: what still does */
#define BH_AUDIT_ERASE_SUPPRESSED "erase.suppressed" /* rows of that prefix are about to be kept from coming back */
#define BH_AUDIT_ERASE_LIFTED "erase.lifted"         /* they are about to be let in again */
#define BH_AUDIT_PLUGIN_OPENED "plugin.opened"       /* a stock tool of RocksDB's shows the database, or has a scratch in a class */
#define BH_AUDIT_LOG_TORN_TAIL "log.torn-tail"       /* an append that a crash cut short was removed */
#define BH_AUDIT_LOG_GAP "log.gap"                   /* events before this line could not be written */
#define BH_AUDIT_LOG_ARCHIVED                                                                                                      \
	"log.archived"                         /* the first `archived` entries are in an archive, and are about to leave this file \
						*/
#define BH_AUDIT_LOG_RESTARTED "log.restarted" /* an operator gave up the log that was there */

/* What happened. All but `action` may be absent: NULL, 0. Texts that are no UTF-8, or longer than BH_AUDIT_TEXT_MAX bytes, are
 * mended or cut. */
typedef struct bh_audit_event {
	const char *action, *merchant, *region, *cls;
	const uint8_t *dek_id;  /* BH_ID_LEN bytes */
	const uint8_t *dek_ids; /* several: dek_count * BH_ID_LEN bytes; at most BH_AUDIT_DEKS_MAX */
	size_t dek_count;
	const char *cmk_uri;
	uint32_t cmk_version;
	const char *kms_request_id, *kms_principal; /* of that call: the KMS's own id; as whom it was asked */
	uint64_t count;                             /* so many of the same, of which this is the last; 0 and 1: itself alone */
	int64_t until_ms;  /* until then the same may happen without an entry, and is counted in the next one; 0: it does not */
	uint64_t archived; /* the first so many entries lie in an archive, from which they can be proved (archive.h); 0: none is
			      said */
	uint64_t keyring;  /* sequence of a commit mark of KEYRING's that was durable by then; 0: none is said */
	bh_status outcome;
	const char *detail;
} bh_audit_event;

#define BH_AUDIT_TEXT_MAX 2048
#define BH_AUDIT_DEKS_MAX 512

/* How far a log has come. */
typedef struct bh_audit_position {
	uint64_t size;               /* entries, checkpoints not counted */
	uint8_t root[BH_SHA256_LEN]; /* RFC 6962 tree head over them; any, where size is 0 */
} bh_audit_position;

/* "SIZE:ROOT", the root in hex: what is written down of a log elsewhere, to be compared with it later. */
#define BH_AUDIT_FLOOR_SIZE (20 + 1 + 2 * BH_SHA256_LEN + 1)
void bh_audit_floor_format(const bh_audit_position *position, char out[BH_AUDIT_FLOOR_SIZE]);
/* Errors: BH_E_INVALID. */
BH_MUST_CHECK bh_status bh_audit_floor_parse(const char *text, bh_audit_position *out);

#ifdef __cplusplus
}
#endif
#endif
