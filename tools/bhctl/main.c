/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c: finds the command, runs it, and says how it ended: exit code (bh_status_exit_code), message on stderr, JSON error on
 * stdout.
 */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bhctl.h"
#include "tools/hide.h"

#define WORDS_MAX 2 /* of a command's name */

static const bhctl_command commands[] = {
	{ "init", cmd_init, "Makes a database in --db DIR",
	  "--region R [--platform-cmk URI]\n\n"
	  "  --region R           home region: where this database and its keys live\n"
	  "  --platform-cmk URI   the operator's own key; without it a local KMS is made in DIR-kms" },
	{ "kms create", cmd_kms_create, "Makes a key in a KMS",
	  "URI [--region R] [--deletion-window-days N]\n\n"
	  "  --region R                 region of the key; the default is that of --db, if it is given and can be read\n"
	  "  --deletion-window-days N   'destroy' lets it refuse everything at once and destroys it after so many days,\n"
	  "                             in which 'enable' takes that back; the default is 0: destroyed at once" },
	{ "kms list", cmd_kms_list, "Lists the keys of a KMS", "URI" },
	{ "kms rotate", cmd_kms_rotate, "Gives a key a new version, which wraps from now on", "URI" },
	{ "kms disable", cmd_kms_disable, "Lets a key refuse everything until it is enabled again", "URI" },
	{ "kms enable", cmd_kms_enable, "Lets a disabled key work again, or one that is pending deletion", "URI" },
	{ "kms destroy", cmd_kms_destroy,
	  "Destroys a key for good, and all that it has wrapped: at once, or after its deletion window", "URI" },
	{ "kms relocate", cmd_kms_relocate,
	  "Says where a KMS lies now: CMKs that are the same, by what they unwrap, get their new URIs",
	  "FROM TO\n\n"
	  "  FROM, TO   local:DIR or agent:SOCKET, without a key; as it was, and as it is" },
	{ "merchant add", cmd_merchant_add, "Adds a merchant under a key of its own",
	  "NAME --cmk URI [--class C]...\n\n"
	  "  --cmk URI   its key, which exists and which nobody else uses\n"
	  "  --class C   a data class; may be given several times; the default is one class, 'data'" },
	{ "merchant list", cmd_merchant_list, "Lists the merchants, shredded ones included", "" },
	{ "merchant show", cmd_merchant_show, "Shows one merchant", "NAME" },
	{ "merchant suspend", cmd_merchant_suspend, "Switches a merchant off: its data and keys leave the live database",
	  "NAME [--reason TEXT] [--operator WHO]\n\n"
	  "  --reason TEXT    why, and ...\n"
	  "  --operator WHO   ... who asks for it: kept, and shown by 'merchant show'" },
	{ "merchant resume", cmd_merchant_resume, "Switches a suspended merchant on again, with all it had",
	  "NAME [--salvage] [--reason TEXT] [--operator WHO]\n\n"
	  "  --salvage        with what can be read of its damaged files; what cannot is reported, and given up for good\n"
	  "  --reason TEXT    why, and ...\n"
	  "  --operator WHO   ... who asks for it" },
	{ "merchant shred", cmd_merchant_shred, "Destroys a merchant's keys and data for good",
	  "NAME --yes [--certificate FILE] | NAME --finalize [--certificate FILE]\n\n"
	  "  --yes                no question; without it, a terminal is asked to type the merchant's name\n"
	  "  --certificate FILE   where to put the signed certificate; the database keeps one, too\n"
	  "  --finalize           of a merchant that is shredded: ask its KMS again to destroy its key" },
	{ "merchant certificate", cmd_merchant_certificate, "Prints the certificate of a merchant's shred",
	  "NAME [--out FILE]\n\n"
	  "  --out FILE   to a file instead of standard output" },
	{ "certificate verify", cmd_certificate_verify, "Checks a certificate; needs no database and no key",
	  "FILE|- [--public-key KEY]\n\n"
	  "  --public-key KEY   the database's, as 'status' shows it: 64 hex digits, a file that holds them, or a pin;\n"
	  "                     the default is that of --pin" },
	{ "rewrap", cmd_rewrap, "Wraps DEKs by the newest version of their key, or by another key; no data is rewritten",
	  "NAME|--all|--platform [--cmk URI [--no-rotate]]\n\n"
	  "  --all       all merchants\n"
	  "  --platform  the operator's own DEK\n"
	  "  --cmk URI   the key to move to, which exists and which nobody else uses; the merchant gets new DEKs, and its\n"
	  "              data is moved onto them, since the key before can unwrap the older ones\n"
	  "  --no-rotate the DEKs stay the same" },
	{ "put", cmd_put, "Stores a value",
	  "NAME/CLASS KEY [VALUE] [--hex] [--no-sync]\n\n"
	  "  VALUE       without it, or as '-', it is read from standard input to the end\n"
	  "  --hex       key and value are in hex\n"
	  "  --no-sync   do not wait until it is durable" },
	{ "get", cmd_get, "Prints a value as it is",
	  "NAME/CLASS KEY [--hex]\n\n"
	  "  --hex   the key is in hex, and the value is printed in hex" },
	{ "delete", cmd_delete, "Removes a key; one that is not there is no error",
	  "NAME/CLASS KEY [--hex] [--no-sync]\n\n"
	  "  --hex       the key is in hex\n"
	  "  --no-sync   do not wait until it is durable" },
	{ "scan", cmd_scan, "Prints keys and values in order, one 'KEY<tab>VALUE' a line, escaped as 'load' reads them",
	  "NAME/CLASS [--prefix P] [--limit N] [--hex]\n\n"
	  "  --prefix P   only keys that begin with P\n"
	  "  --limit N    at most N of them\n"
	  "  --hex        the prefix is in hex, and keys and values are printed in hex" },
	{ "load", cmd_load, "Stores many records out of a file",
	  "NAME/CLASS FILE|- [--format tsv|jsonl] [--blob-min-size N] [--skip-erased]\n\n"
	  "  --format tsv        KEY<tab>VALUE a line (the default); \\t \\n \\\\ \\xHH stand for tab, newline, backslash, a byte\n"
	  "  --format jsonl      a line {\"key\": ..., \"value\": ...}; key_hex and value_hex for bytes that are no text\n"
	  "  --blob-min-size N   values of N bytes or more go to blob files\n"
	  "  --skip-erased       leaves out, and counts, rows of prefixes that were erased with --suppress; else they end it" },
	{ "rotate", cmd_rotate, "Begins a new generation of a merchant's keys; compaction moves its data there",
	  "NAME [--now | --exposed | --sweep] [--rate N]\n\n"
	  "  --now      moves all data there at once and destroys the older generations\n"
	  "  --exposed  the same, and records that somebody may have the older keys\n"
	  "  --sweep    moves what lies under older generations, and begins no new one\n"
	  "  --rate N   moves at most N MiB per second; the default is 64" },
	{ "erase", cmd_erase, "Erases the rows of a key prefix, down to the bytes in the files",
	  "NAME/CLASS --prefix P [--hex] [--wait S] [--rotate] [--suppress] | NAME/CLASS --prefix P [--hex] --lift |\n"
	  "       NAME/CLASS --list\n\n"
	  "  --prefix P   what the keys of the rows begin with\n"
	  "  --hex        P is written in hex\n"
	  "  --wait S     waits up to S seconds for who still reads the rows\n"
	  "  --rotate     destroys the keys, too, that older copies of the files lie under\n"
	  "  --suppress   refuses to write rows under P from then on, so that no import brings them back\n"
	  "  --lift       erases nothing: lets rows under P in again\n"
	  "  --list       erases nothing: shows what is suppressed, by digests as in the audit log" },
	{ "compact", cmd_compact, "Rewrites a class without what was deleted or replaced", "NAME/CLASS" },
	{ "status", cmd_status, "Shows the database, its merchants, their keys and their sizes",
	  "[NAME] [--live] [--prometheus FILE]" },
	{ "verify", cmd_verify, "Checks every byte of a closed database; changes nothing", "" },
	{ "audit show", cmd_audit_show, "Shows the log of every use of a key, and its floor",
	  "[FILE] [--merchant M] [--since T]\n\n"
	  "  FILE           the log; the default is that of --db. No key is needed, and nothing is proved\n"
	  "  --merchant M   only what concerns M\n"
	  "  --since T      only from T on: 2026-01-31T12:00:00Z, seconds since 1970, or -90s, -30m, -1h, -2d" },
	{ "audit verify", cmd_audit_verify, "Proves the audit log: every change is found",
	  "[FILE] [--public-key KEY] [--floor SIZE:ROOT]\n\n"
	  "  FILE                the log; the default is that of --db\n"
	  "  --public-key KEY    the database's, as 'status' shows it: 64 hex digits, a file that holds them, or a pin; the\n"
	  "                      default is that of --pin; without one the database is opened, and the log compared with its\n"
	  "                      keyring\n"
	  "  --floor SIZE:ROOT   as printed earlier: the log has to begin with those entries. Without one nobody can tell a log\n"
	  "                      from its own beginning" },
	{ "audit who-could-decrypt", cmd_audit_who, "Shows which processes had a merchant's keys at a time",
	  "[FILE] --merchant M --at T [--lease-limit SECONDS]\n\n"
	  "  --merchant M            whose keys\n"
	  "  --at T                  2026-01-31T12:00:00Z, seconds since 1970, or -90s, -30m, -1h, -2d\n"
	  "  --lease-limit SECONDS   of the database's options; the default is 300" },
	{ "audit restart", cmd_audit_restart, "Gives up an audit log that is lost or damaged for good, and begins another",
	  "--yes\n\n"
	  "  --yes   no question; what was there is kept beside the new log, whose first entry says what the keyring knew of it" },
	{ "dump", cmd_dump, "Shows what is in a file of a database",
	  "FILE [--raw] [--hex] [--full] [--limit N]\n\n"
	  "  --raw       header and layout alone, which need no key\n"
	  "  --hex       keys and values in hex\n"
	  "  --full      long keys and values whole\n"
	  "  --limit N   at most N records, frames or entries\n\n"
	  "The database is that of --db, or the one that FILE lies in" },
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fprintf(out, "usage: bhctl [--db DIR] [--json] [--passphrase-fd N] COMMAND ...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-20s %s\n", commands[i].name, commands[i].summary);
	fprintf(out,
		"\n  --db DIR            the database\n"
		"  --json              one JSON document on standard output\n"
		"  --passphrase-fd N   descriptor that the local KMS's passphrase is read from (or BULKHEAD_KMS_PASSPHRASE)\n"
		"  --audit-optional    where the audit log cannot be written: look all the same, with nothing recorded\n"
		"  --pin PIN           refuse another database, or an older state of it, than PIN is of (or BULKHEAD_PIN)\n"
		"  --show-pin          at the end, print the database's new pin on standard error\n"
		"  --help              after a command: how it is used\n\n"
		"Exit codes: 0 done, 1 other failure, 2 refused input, 3 not found, 4 suspended or key not available, 5 shredded,\n"
		"6 integrity failure, 7 KMS refused, 8 KMS unreachable, 9 region refused, 10 I/O, 11 unmerged.\n");
}

/* ---- the command line up to the command */

static bh_status take_global(bhctl *ctl, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "db", required_argument, NULL, 'd' },
		{ "json", no_argument, NULL, 'j' },
		{ "passphrase-fd", required_argument, NULL, 'p' },
		{ "audit-optional", no_argument, NULL, 'a' },
		{ "pin", required_argument, NULL, 'n' },
		{ "show-pin", no_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
		switch (c) {
		case 'd': ctl->db = optarg; break;
		case 'j': ctl->json = true; break;
		case 'a': ctl->audit_optional = true; break;
		case 'n': ctl->pin = optarg; break;
		case 's': ctl->show_pin = true; break;
		case 'p': BH_TRY(bhctl_passphrase(ctl, optarg)); break;
		case 'v': puts("bhctl " BH_VERSION); exit(EXIT_SUCCESS);
		case 'h': usage(stdout); exit(EXIT_SUCCESS);
		default:
			return bh_fail(BH_E_INVALID, "option '%s': not known, or without its value; 'bhctl --help' lists them",
				       argv[optind - 1]);
		}
	}
	return BH_OK;
}

/* How many of `words` are the command's name; 0: it is another one. */
static int match(const bhctl_command *command, char **words, int count)
{
	const char *name = command->name;
	int used = 0;

	for (; used < count && *name != '\0'; used++) {
		size_t len = strlen(words[used]);

		if (strncmp(name, words[used], len) != 0 || (name[len] != ' ' && name[len] != '\0'))
			return 0;
		name += len + (name[len] == ' ');
	}
	return *name == '\0' ? used : 0;
}

static bh_status find_command(char **words, int count, const bhctl_command **out, int *used_out)
{
	if (count == 0)
		return bh_fail(BH_E_INVALID, "which command? 'bhctl --help' lists them");
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		*used_out = match(&commands[i], words, count);
		if (*used_out > 0) {
			*out = &commands[i];
			return BH_OK;
		}
	}
	return bh_fail(BH_E_INVALID, "'%s%s%s': no such command; 'bhctl --help' lists them", words[0], count > 1 ? " " : "",
		       count > 1 ? words[1] : "");
}

static bh_status run(bhctl *ctl, int argc, char **argv)
{
	int used = 0;

	BH_TRY(take_global(ctl, argc, argv));
	BH_TRY(find_command(argv + optind, BH_MIN(argc - optind, WORDS_MAX), &ctl->command, &used));
	if (ctl->db != NULL)
		BH_TRY(bhctl_act_as_owner(ctl->db));
	/* The last word of the name stands where getopt expects the program's. */
	return ctl->command->run(ctl, argc - optind - used + 1, argv + optind + used - 1);
}

/* ---- the end */

/* A message may quote a file name or an argument: nothing of it may steer a terminal. */
static void print_message(const char *message)
{
	fputs("bhctl: ", stderr);
	for (const char *p = message; *p != '\0'; p++)
		fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, stderr);
	fputc('\n', stderr);
}

static void report(const bhctl *ctl, bh_status status)
{
	print_message(bh_status_message());
	if (ctl->json && !ctl->reported)
		status = out_json(json_pack("{s:o}", "error", out_error(status)));
	(void)status;
}

/* --json in front of what could not be parsed counts, too. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bhctl ctl = { 0 };
	bh_status status;

	/* RocksDB's threads end after main(), each with a random generator that OpenSSL frees then, unless it has cleaned up
	 * before. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
		return bh_status_exit_code(BH_E_CRYPTO);
	if (!tool_hide()) {
		perror("bhctl: cannot be closed to other processes");
		return bh_status_exit_code(BH_E_IO);
	}
	ctl.json = wants_json(argc, argv);
	ctl.pin = getenv("BULKHEAD_PIN"); /* one that is empty is no pin, and refused: whoever set it meant one */
	status = run(&ctl, argc, argv);
	if (status == BH_OK)
		status = out_finish();
	if (status != BH_OK)
		report(&ctl, status);
	if (ctl.show_pin && ctl.last_pin[0] != '\0')
		fprintf(stderr, "bhctl: pin: %s\n", ctl.last_pin);
	bh_secret_clear(&ctl.passphrase);
	return bh_status_exit_code(status);
}
