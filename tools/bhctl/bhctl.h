/* SPDX-License-Identifier: Apache-2.0
 *
 * bhctl.h: what the commands share: the settings of this call, the table of commands, options, and the ways to a database.
 *
 * A command returns a status; main() turns it into the message on stderr, the JSON error on stdout and the exit code. A command
 * prints its result only when it has succeeded, so a refused one prints nothing but its error. Thread-safety: none, the program has
 * one thread.
 */
#ifndef BHCTL_H
#define BHCTL_H

#include <bulkhead/bulkhead.h>

#include "keyring/base/base.h"
#include "keyring/dek/context.h"
#include "keyring/base/secret.h"
#include "output.h"

typedef struct bhctl_command bhctl_command;

typedef struct bhctl {
	const char *db;               /* --db; NULL: not given */
	bool json;                    /* --json */
	bool audit_optional;          /* --audit-optional */
	const char *pin;              /* --pin or BULKHEAD_PIN; NULL: none */
	bool show_pin;                /* --show-pin */
	char last_pin[BH_PIN_SIZE];   /* that the database has handed out; "": none was opened */
	bh_kms_options kms;           /* its passphrase lies in: */
	bh_secret passphrase;         /* what --passphrase-fd gave, with a NUL */
	const bhctl_command *command; /* the one that runs */
	bool reported;                /* the JSON document is out already: main() adds none for the error */
} bhctl;

struct bhctl_command {
	const char *name; /* as typed: "put", "merchant add" */
	bh_status (*run)(bhctl *ctl, int argc, char **argv);
	const char *summary;
	const char *usage; /* what follows the name, then lines on each option */
};

bh_status cmd_init(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_create(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_list(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_rotate(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_disable(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_enable(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_destroy(bhctl *ctl, int argc, char **argv);
bh_status cmd_kms_relocate(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_add(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_list(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_show(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_suspend(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_resume(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_shred(bhctl *ctl, int argc, char **argv);
bh_status cmd_merchant_certificate(bhctl *ctl, int argc, char **argv);
bh_status cmd_certificate_verify(bhctl *ctl, int argc, char **argv);
bh_status cmd_rewrap(bhctl *ctl, int argc, char **argv);
bh_status cmd_put(bhctl *ctl, int argc, char **argv);
bh_status cmd_get(bhctl *ctl, int argc, char **argv);
bh_status cmd_delete(bhctl *ctl, int argc, char **argv);
bh_status cmd_scan(bhctl *ctl, int argc, char **argv);
bh_status cmd_load(bhctl *ctl, int argc, char **argv);
bh_status cmd_rotate(bhctl *ctl, int argc, char **argv);
bh_status cmd_erase(bhctl *ctl, int argc, char **argv);
bh_status cmd_compact(bhctl *ctl, int argc, char **argv);
bh_status cmd_status(bhctl *ctl, int argc, char **argv);
bh_status cmd_report(bhctl *ctl, int argc, char **argv);
bh_status cmd_verify(bhctl *ctl, int argc, char **argv);
bh_status cmd_audit_show(bhctl *ctl, int argc, char **argv);
bh_status cmd_audit_verify(bhctl *ctl, int argc, char **argv);
bh_status cmd_audit_who(bhctl *ctl, int argc, char **argv);
bh_status cmd_adopt(bhctl *ctl, int argc, char **argv);
bh_status cmd_audit_archive(bhctl *ctl, int argc, char **argv);
bh_status cmd_audit_restart(bhctl *ctl, int argc, char **argv);
bh_status cmd_help(bhctl *ctl, int argc, char **argv);
bh_status cmd_dump(bhctl *ctl, int argc, char **argv);

/* ---- options: a table a command, ended by a NULL name. Those of every command (--json, --help, --passphrase-fd) are added. */

typedef struct bhctl_list {
	const char **items; /* owned, the strings are argv's */
	size_t count;
} bhctl_list;
void bhctl_list_clear(bhctl_list *list);

typedef struct bhctl_option {
	const char *name;   /* without the dashes */
	bool *flag;         /* one of these three is set: the option is given or not, ... */
	const char **value; /* ... has a value, ... */
	bhctl_list *list;   /* ... or may be given several times */
} bhctl_option;

/* Parses what follows the command's name; *args_out is what is not an option, between `min` and `max` of them. --help ends the
 * program here, when nothing has been opened yet. Errors: BH_E_INVALID, with the usage line. */
BH_MUST_CHECK bh_status bhctl_parse(bhctl *ctl, int argc, char **argv, const bhctl_option *options, int min, int max,
				    char ***args_out, int *count_out);
/* Reads the passphrase of the local KMS: the first line of what descriptor `fd` (a decimal number) yields. Errors: BH_E_INVALID,
 * BH_E_IO. */
BH_MUST_CHECK bh_status bhctl_passphrase(bhctl *ctl, const char *fd);
/* A decimal number. Errors: BH_E_INVALID, naming the option. */
BH_MUST_CHECK bh_status bhctl_number(const char *option, const char *text, uint64_t *out);
/* A point in time, in ms since 1970 (when.c). Errors: BH_E_INVALID, naming the option. */
BH_MUST_CHECK bh_status bhctl_time(const char *option, const char *text, int64_t *at_ms_out);
/* A public key: 64 hex digits, a file that holds them, or a pin (cmd_shred.c). Errors: BH_E_INVALID, those of reading. */
BH_MUST_CHECK bh_status bhctl_public_key(const char *given, uint8_t out[BH_PUBLIC_KEY_LEN]);
/* The certificate of a shred, as it was signed, appended to `out` (cmd_shred.c). Errors: those of bh_merchant_certificate(). */
BH_MUST_CHECK bh_status bhctl_certificate(bhctl *ctl, const char *name, bh_buf *out);
/* Replaces the caller's file, or makes it, whole (cmd_shred.c). Errors: BH_E_INVALID (names no file), those of bh_io. */
BH_MUST_CHECK bh_status bhctl_write_file(const char *path, bh_view bytes);
/* BH_E_INVALID with the command's usage line. */
bh_status bhctl_usage_error(const bhctl *ctl, const char *fmt, ...) BH_PRINTF(2, 3);

/* ---- whose files
 *
 * Run by root on a database of somebody else's, a command acts as the owner of its directory: what it makes and replaces there is
 * the owner's, and the service can go on. The audit log names who has started it. */
BH_MUST_CHECK bh_status bhctl_act_as_owner(const char *path);    /* BH_OK where there is no such path; BH_E_IO */
BH_MUST_CHECK bh_status bhctl_act_as_kms_owner(const char *uri); /* the same for the directory of a local KMS */
/* The process is the caller's again, root's where root has started it, or no longer. Errors: BH_E_IO. */
BH_MUST_CHECK bh_status bhctl_as_caller(bool caller);
/* This thread reads and writes files with the caller's own rights, or no longer: what was named on the command line. */
void bhctl_callers_files(bool callers);

/* ---- the database */

/* The directory of --db. Errors: BH_E_INVALID (not given). */
BH_MUST_CHECK bh_status bhctl_need_db(const bhctl *ctl);
/* Keeps what a database hands out: bh_pin_fn, `arg` is the bhctl. */
void bhctl_keep_pin(void *arg, const char *pin);
/* Opens it; notes of the engine go to stderr. `blob_min_size` > 0: values of at least so many bytes that are written by this call
 * go to blob files. */
BH_MUST_CHECK bh_status bhctl_open(bhctl *ctl, uint64_t blob_min_size, bh_db **out);
/* The same read-only, for commands that look: nothing but AUDIT is changed. */
BH_MUST_CHECK bh_status bhctl_open_to_look(bhctl *ctl, bh_db **out);
void bhctl_db_close(bh_db **db);
void bhctl_cf_close(bh_cf **cf);

/* Splits "NAME/CLASS". Errors: BH_E_INVALID. */
BH_MUST_CHECK bh_status bhctl_target(const char *text, bh_scope *out);

/* ---- places */

/* An absolute form of `path`, with symbolic links resolved as far as it exists. malloc'ed. */
BH_MUST_CHECK bh_status bhctl_absolute(const char *path, char **out);
/* The URI to record for a CMK: a directory of local: or a socket of agent: is made absolute, so that it is found from wherever the
 * database is opened, and is refused inside of the database `db` (NULL: not checked), where the key would lie beside what it locks.
 * malloc'ed. Errors: BH_E_INVALID. */
BH_MUST_CHECK bh_status bhctl_cmk_uri(const char *db, const char *uri, char **out);
void bhctl_freep(char **p);

/* cmd_status.c: why a merchant is switched off, where it is, as text: " (CAUSE, since TIME: NOTE)"; from a document's merchant. */
void suspension_print(const json_t *merchant);

/* ---- bytes */

/* The bytes of an argument; `hex`: written in hex. Appended to `out`. */
BH_MUST_CHECK bh_status bhctl_bytes(const char *what, bh_view text, bool hex, bh_buf *out);
/* All of standard input. */
BH_MUST_CHECK bh_status bhctl_stdin(bh_buf *out);

#endif
