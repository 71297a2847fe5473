/* SPDX-License-Identifier: Apache-2.0
 *
 * survey.h: what is sealed under the older generations of a merchant's DEKs, found in the files themselves, never in a list that
 * could drift: headers of SSTs and blob files, announcements in WALs and in the MANIFEST.
 */
#ifndef BH_ENGINE_SURVEY_H
#define BH_ENGINE_SURVEY_H

#include "place.h"

/* One DEK that has a wrap but is not the newest of its class. */
typedef struct bh_old_dek {
	bh_dek_info dek;
	uint64_t files; /* SSTs and blob files */
	uint64_t bytes; /* of them, on disk */
	uint64_t wals;
	uint64_t manifests;
	uint64_t parked; /* of all these, those that are parked and stay as they are, and their logs: the platform's alone */
	uint64_t parked_logs;
	char log[64]; /* the name of one of these, "" if there is none; of one that is parked, its directory */
} bh_old_dek;

typedef struct bh_survey {
	bh_old_dek *deks;
	size_t count;
	size_t unproven;   /* of the files, those whose header cannot be checked, since the key is not in memory */
	size_t unfinished; /* SSTs and blob files that do not say what they need, since they were begun by who knows whom */
} bh_survey;
void bh_survey_clear(bh_survey *survey);

/* `merchant` "": the platform's, over all that lies under its DEKs (platform_files.h), small files as well. Errors:
 * BH_E_NO_SUCH_MERCHANT, BH_E_NOMEM; any file that does not say what it needs, or whose header is not what its key sealed:
 * BH_E_TAG, BH_E_NO_KEY, BH_E_SHREDDED (a DEK that is destroyed), BH_E_FORMAT, BH_E_VERSION, BH_E_TRUNCATED, BH_E_IO; it is named.
 * What RocksDB removes meanwhile needs nothing. */
BH_MUST_CHECK bh_status bh_survey_make(const bh_place *place, const char *merchant, bh_survey *out);
/* The same without a look into the logs, which may be large. */
BH_MUST_CHECK bh_status bh_survey_files(const bh_place *place, const char *merchant, bh_survey *out);

/* Whether nothing lies under it any more; nothing but what is parked. */
bool bh_old_dek_is_free(const bh_old_dek *dek);
bool bh_old_dek_is_parked(const bh_old_dek *dek);
/* Sums over all of them. */
bh_old_dek bh_survey_total(const bh_survey *survey);

/* Destroys the wraps of those under which nothing lies. *left_out: how many older ones stay. Errors: those of the survey;
 * BH_E_BUSY (somebody in this process still holds such a key), BH_E_IO. */
BH_MUST_CHECK bh_status bh_retire(bh_db *db, const char *merchant, size_t *left_out);
/* The same for the platform and all that are ACTIVE, at open, when RocksDB has just begun a new MANIFEST and emptied its WALs. A
 * failure is logged: the generations stay. */
void bh_retire_at_open(bh_db *db);

/* The directories where logs are, RocksDB's archive among them: calls `each` with the path of every WAL and MANIFEST there. */
BH_MUST_CHECK bh_status bh_each_log(const bh_place *place, bh_status (*each)(void *arg, const char *path, bh_file_kind kind),
				    void *arg);
/* With the path of every file in the directories of the merchant's classes, of those that wait to be ingested, too. */
BH_MUST_CHECK bh_status bh_each_class_file(const bh_place *place, const char *merchant,
					   bh_status (*each)(void *arg, const char *path), void *arg);

#endif
