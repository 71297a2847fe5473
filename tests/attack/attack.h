/* SPDX-License-Identifier: Apache-2.0
 *
 * attack.h: a small but complete database, made once and left by a kill; and what happens when somebody changes bytes of a copy of
 * it.
 *
 * The victim has two merchants with two classes each, two SSTs and two blob files a class (of the same sizes), two living WALs, the
 * newer one with a part behind its last synced point (and a dead one, which RocksDB keeps for a while but does not read), MANIFEST,
 * OPTIONS, CURRENT, IDENTITY, KEYRING and AUDIT. Beside it is a twin: another database under the same CMKs, filled in the same way
 * with other values.
 *
 * Every attempt to open runs in a child: an assertion in RocksDB or a hang is a failed check, not the end of the test. This process
 * never opens RocksDB; it reads files by the formats alone.
 */
#ifndef BH_TESTS_ATTACK_H
#define BH_TESTS_ATTACK_H

#include "decryptor.h"
#include "env/format/frame.h"
#include "env/format/pages.h"
#include "env/stream/stream.h"
#include "tests/support/harness.h"

enum { ACME, BOLT, MERCHANTS };

enum {
	FLUSHES = 2,        /* SSTs of each class */
	ROWS_A_FLUSH = 96,  /* of each class */
	OLD_LOG_ROWS = 16,  /* in the older WAL, all synced */
	NEW_LOG_SYNCED = 8, /* in the newer one ... */
	NEW_LOG_LOOSE = 8,  /* ... and behind its last synced point */
	LOG_SYNCED = OLD_LOG_ROWS + NEW_LOG_SYNCED,
	LOG_ROWS = LOG_SYNCED + NEW_LOG_LOOSE,
};

enum { VICTIM_FILES_MAX = 64 };

typedef struct victim_file {
	char name[128]; /* below the directory */
	bh_path_info info;
} victim_file;

typedef struct victim {
	workspace ws;
	victim_file files[VICTIM_FILES_MAX]; /* [file_count]: all of them, in the order of their names */
	size_t file_count;
	char twin[PATH_SIZE]; /* directory of the other database */
	decryptor keys;       /* all keys of the victim, over a copy of it: its scopes open everything */
	char keys_dir[PATH_SIZE];
	const char *wal[2]; /* names of the living ones: the older and the newer */
} victim;
void victim_make(victim *v);
void victim_clear(victim *v);
int victim_setup(void **state); /* for cmocka: *state is one */
int victim_teardown(void **state);
const bh_scopes *victim_scopes(const victim *v);
bh_buf victim_read(const victim *v, const char *name);      /* a file of the victim */
bh_buf victim_read_twin(const victim *v, const char *name); /* the twin's file of that name */
/* The MANIFEST as it was when the newer log had been begun, and what that was for (the flush of a class) was not recorded yet. */
bh_buf victim_read_earlier_manifest(const victim *v);
/* The name of the victim's file number `skip` of those that begin and end like this. */
const char *victim_find(const victim *v, const char *prefix, const char *suffix, size_t skip);
#define ACME_ROWS "tenants/acme/rows/"
#define BOLT_ROWS "tenants/bolt/rows/"

/* Where a stream's frames are. */
typedef struct frames {
	size_t count;
	size_t synced;    /* frames up to the sync mark */
	size_t mark_off;  /* physical bytes up to it */
	size_t off[4097]; /* of each, and of the end */
} frames;
void frames_find(const victim *v, bh_view file, frames *out);
size_t frame_size_at(bh_file_kind kind, bh_view file, size_t off);

/* What became of a merchant: */
typedef struct merchant_report {
	bh_status status; /* of reading all of it */
	uint32_t wrong;   /* rows that nobody wrote like that */
	uint32_t missing; /* rows of its SSTs that are not there */
} merchant_report;

typedef struct report {
	bh_status open;
	merchant_report merchant[MERCHANTS];
	uint32_t log_rows; /* rows of the logs that are there, of the merchants that can be read */
	uint32_t hole;     /* whether one is missing in front of one that is there */
	char message[256]; /* of the first failure */
} report;

typedef struct attack {
	const victim *v;
	const char *what; /* for messages */
	bool may_detach;  /* before the open is refused, a merchant may be recorded as damaged, and parked */
	char dir[PATH_SIZE];
	report report;
} attack;
/* Of attacks that are made everywhere, or at random: whether this one is. All are, but one in four under a sanitizer. */
bool attack_is_due(void);
/* A fresh copy of the victim. */
attack attack_begin(const victim *v, const char *what);
void attack_put(const attack *a, const char *name, bh_view bytes);
/* Has KEYRING know of less of a log than was synced, as it may be after a power cut. */
void attack_relist(const attack *a, const char *name, uint64_t end);
/* Opens the copy in a child, reads everything back, closes it. Fails if the child dies or takes more than 5 seconds, or if a file
 * that was there has other bytes afterwards though the open was refused. */
void attack_open(attack *a);
void attack_end(attack *a);

/* Checks of the report; they fail with a line that names the attack, and end it. */
/* The open was refused, with a status that stands for damage. */
void attack_expect_refused(attack *a);
/* ... or for a key that this database does not have: the file comes from another one. */
void attack_expect_foreign(attack *a);
/* The open was refused, or all reads of the merchant end with such a status; nothing was read wrong, and the other merchant is
 * whole. */
void attack_expect_fails(attack *a, int merchant, bool open_must_succeed);
/* Everything is there up to a point in the logs between `least` and `most` rows, and nothing behind it. */
void attack_expect_prefix(attack *a, unsigned least, unsigned most);

/* One file's bytes replaced, and then one of the above. */
typedef void (*attack_expect)(attack *a);
void attack_file(const victim *v, const char *what, const char *name, bh_view bytes, attack_expect expect);
/* For files of a merchant: attack_expect_fails() with the open left to RocksDB. */
void attack_expect_acme_fails(attack *a);
void attack_expect_bolt_fails(attack *a);

/* The status stands for damage: bhctl would exit with 6 or 10. */
bool is_integrity(bh_status status);

#endif
