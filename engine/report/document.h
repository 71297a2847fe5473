/* SPDX-License-Identifier: Apache-2.0
 *
 * document.h: a database and its merchants as one JSON document: what `bhctl status`, `merchant list` and `merchant show` print.
 *
 * Made of an open keyring and of what lies in the directory, whether RocksDB is open or not. Asks the KMS of each merchant that is
 * described whole, and reads the headers of its files where it has older generations. Holds no key and no byte of a row.
 * Thread-safety: one thread a document; the keyring may serve others meanwhile.
 */
#ifndef BH_ENGINE_DOCUMENT_H
#define BH_ENGINE_DOCUMENT_H

#include <bulkhead/report.h>
#include <jansson.h>

#include "engine/rotation/place.h"
#include "tree.h"

/* What it is made of, at one moment. */
typedef struct bh_document {
	bh_place place;              /* borrowed */
	bh_merchant_info *merchants; /* owned, tombstones included */
	size_t merchant_count;
	bh_dek_info *deks; /* owned */
	size_t dek_count;
	bh_tree files;
} bh_document;

/* Errors: BH_E_NOMEM, BH_E_IO. To be cleared in any case. */
BH_MUST_CHECK bh_status bh_document_open(const bh_place *place, bh_document *out);
void bh_document_clear(bh_document *d);

typedef struct bh_document_want {
	bool database;        /* the member "database", too */
	const char *merchant; /* this one alone; NULL: all, shredded ones included */
	bool brief;           /* of each merchant name, state, CMK's URI, classes' names: no KMS is asked, no file read */
} bh_document_want;

/* {"database": {...}, "merchants": [...]}. The caller releases it. Errors: BH_E_NO_SUCH_MERCHANT, BH_E_NOMEM. */
BH_MUST_CHECK bh_status bh_document_make(const bh_document *d, const bh_document_want *want, json_t **out);

/* Adds what only the process can say that has the database open: database.background_errors, database.platform_kms, and for each
 * merchant that is there and not shredded `lease`, `kms` and `suppressed_prefixes`. */
void bh_document_add_live(json_t *document, const bh_db_report *report);

#endif
