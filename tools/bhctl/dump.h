/* SPDX-License-Identifier: Apache-2.0
 *
 * dump.h: what the parts of `dump` share: cmd_dump.c (header, layout, which part shows the rest), dump_paged.c (SST and blob
 * files), dump_log.c (WAL, MANIFEST), dump_keyring.c.
 *
 * Each part prints items of one long array as it goes; text and JSON say the same. Thread-safety: none.
 */
#ifndef BHCTL_DUMP_H
#define BHCTL_DUMP_H

#include "bhctl.h"
#include "inspect.h"
#include "sealed.h"

typedef struct dump {
	bhctl *ctl;
	const char *path;
	bool raw;
	bool hex;
	bool full;
	uint64_t limit; /* items; 0: no limit */
	sealed file;
	bh_header header;
	inspect in;
	json_t *head; /* JSON: the members in front of the array, until it begins; owned */
	json_t *tail; /* JSON: those behind it; owned */
	out_array array;
} dump;

/* Begins the array; what was collected in `head` goes out first. */
BH_MUST_CHECK bh_status dump_begin(dump *d, const char *array);
/* Whether the limit is reached. */
bool dump_enough(const dump *d);
/* Text: a key or value between quotes, cut unless --full; or "<no key>". */
void dump_bytes(const dump *d, bh_view bytes, bool available);
/* JSON: the same as a member: the bytes, or NAME: null and NAME_bytes: its length. */
void dump_set_bytes(const dump *d, json_t *object, const char *name, bh_view bytes, bool available);

/* The file's records; the header is parsed, keys are there as far as they can be had. */
BH_MUST_CHECK bh_status dump_sst(dump *d);
BH_MUST_CHECK bh_status dump_blob(dump *d);
BH_MUST_CHECK bh_status dump_log(dump *d); /* WAL and MANIFEST */
/* DB/KEYRING: the head, which needs no key; then merchants and DEKs unless --raw. `dir`: the database. */
BH_MUST_CHECK bh_status dump_keyring(dump *d, const char *dir);

#endif
