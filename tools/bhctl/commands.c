/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.c: the commands, their help, and which of them the words of a command line name; see commands.h.
 */
#include "commands.h"

#include <stdio.h>

#include "suggest.h"

#define WORDS_MAX 2 /* of a command's name */

static const bhctl_command commands[] = {
	{ "help", cmd_help, "Shows the commands, those of a group, or how one is used", "[COMMAND]" },
	{ "init", cmd_init, "Makes a database in --db DIR",
	  "--region R [--platform-cmk URI]\n\n"
	  "  --region R           home region: where this database and its keys live\n"
	  "  --platform-cmk URI   the operator's own key; without it a local KMS is made in DIR-kms" },
	{ "adopt", cmd_adopt, "Says that a database that was copied or moved lives on where it is now",
	  "\n\n"
	  "Until then a shred in it leaves the merchant's CMK alone, which the database that it comes from may need" },
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
	  "  --platform  the operator's own DEKs and root secret\n"
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
	  "NAME|--platform [--now | --exposed | --sweep] [--rate N]\n\n"
	  "  --platform the operator's own DEK: begins new logs, and moves all that lies under it at once\n"
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
	  "  --rotate     destroys the keys, too, that older copies of the files lie under, in this KEYRING\n"
	  "  --suppress   refuses to write rows under P from then on, so that no import brings them back\n"
	  "  --lift       erases nothing: lets rows under P in again\n"
	  "  --list       erases nothing: shows what is suppressed, by digests as in the audit log" },
	{ "compact", cmd_compact, "Rewrites a class without what was deleted or replaced", "NAME/CLASS" },
	{ "status", cmd_status, "Shows the database, its merchants, their keys and their sizes",
	  "[NAME] [--live] [--prometheus FILE]" },
	{ "report", cmd_report, "Writes a page for an auditor, or for one customer: keys, who had them and when, rotations, shreds",
	  "[FILE...] --html FILE [--merchant M]\n\n"
	  "  FILE...        the audit log, those of its archive first; the default is that of --db\n"
	  "  --html FILE    the page: one file, for a browser and for paper; or, with --json, the same as JSON\n"
	  "  --merchant M   for M, with nothing of others" },
	{ "verify", cmd_verify, "Checks every byte of a closed database; changes nothing", "" },
	{ "audit show", cmd_audit_show, "Shows the log of every use of a key, and its floor",
	  "[FILE...] [--merchant M] [--since T]\n\n"
	  "  FILE...        the log, those of its archive first; the default is that of --db. No key is needed, and nothing is\n"
	  "                 proved\n"
	  "  --merchant M   only what concerns M\n"
	  "  --since T      only from T on: 2026-01-31T12:00:00Z, seconds since 1970, or -90s, -30m, -1h, -2d" },
	{ "audit verify", cmd_audit_verify, "Proves the audit log: every change is found",
	  "[FILE...] [--public-key KEY] [--floor SIZE:ROOT]\n\n"
	  "  FILE...             the log, those of its archive first; the default is that of --db\n"
	  "  --public-key KEY    the database's, as 'status' shows it: 64 hex digits, a file that holds them, or a pin; the\n"
	  "                      default is that of --pin; without one the database is opened, and the log compared with its\n"
	  "                      keyring\n"
	  "  --floor SIZE:ROOT   as printed earlier: the log has to begin with those entries. Without one nobody can tell a log\n"
	  "                      from its own beginning" },
	{ "audit who-could-decrypt", cmd_audit_who, "Shows which processes had a merchant's keys at a time",
	  "[FILE...] --merchant M --at T [--lease-limit SECONDS]\n\n"
	  "  --merchant M            whose keys\n"
	  "  --at T                  2026-01-31T12:00:00Z, seconds since 1970, or -90s, -30m, -1h, -2d\n"
	  "  --lease-limit SECONDS   of the database's options; the default is 300" },
	{ "audit archive", cmd_audit_archive, "Moves the beginning of the audit log to another directory",
	  "DIR\n\n"
	  "  DIR   an archive, outside of the database; what goes there is proved with 'audit verify DIR/AUDIT-* DB/AUDIT'" },
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

/* How many of `words` are the command's name; 0: it is another one. */
static int match(const bhctl_command *command, char *const *words, int count)
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

static const bhctl_command *named(char *const *words, int count, int *used_out)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		*used_out = match(&commands[i], words, count);
		if (*used_out > 0)
			return &commands[i];
	}
	return NULL;
}

/* "add" of "merchant add" where `group` is "merchant"; NULL: the command is none of the group's. */
static const char *verb_of(const bhctl_command *command, const char *group)
{
	size_t len = strlen(group);

	return strncmp(command->name, group, len) == 0 && command->name[len] == ' ' ? command->name + len + 1 : NULL;
}

static bool is_group(const char *word)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (verb_of(&commands[i], word) != NULL)
			return true;
	return false;
}

/* "add, list, show": of a group. */
static void list_verbs(const char *group, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < COMMAND_COUNT && len < size; i++) {
		const char *verb = verb_of(&commands[i], group);

		if (verb != NULL)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "", verb);
	}
}

static bh_status which_verb(const char *group, const char *verb)
{
	char verbs[200], like[SUGGEST_SIZE] = "";

	list_verbs(group, verbs, sizeof(verbs));
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (verb != NULL && verb_of(&commands[i], group) != NULL)
			suggest_weigh(verb, verb_of(&commands[i], group), like);
	if (verb == NULL)
		return bh_fail(BH_E_INVALID, "%s what? There are: %s", group, verbs);
	return bh_fail(BH_E_INVALID, "'%.40s %.40s': no such command%s%s%s; there are: %s", group, verb,
		       like[0] != '\0' ? "; did you mean '" : "", like, like[0] != '\0' ? "'?" : "", verbs);
}

/* The first word, or what it is like; a verb alone ("suspend") is like its whole command. */
static bh_status which_command(const char *word)
{
	char like[SUGGEST_SIZE] = "";

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		char first[SUGGEST_SIZE];
		const char *space = strchr(commands[i].name, ' ');

		if (space != NULL && strcmp(space + 1, word) == 0)
			return bh_fail(BH_E_INVALID, "'%s': no such command; did you mean '%s'?", word, commands[i].name);
		snprintf(first, sizeof(first), "%.*s", (int)strcspn(commands[i].name, " "), commands[i].name);
		suggest_weigh(word, first, like);
	}
	if (like[0] != '\0')
		return bh_fail(BH_E_INVALID, "'%.40s': no such command; did you mean '%s'?", word, like);
	return bh_fail(BH_E_INVALID, "'%.40s': no such command; 'bhctl help' lists them", word);
}

bh_status commands_find(char *const *words, int count, const bhctl_command **out, int *used_out)
{
	if (count == 0)
		return bh_fail(BH_E_INVALID, "which command? 'bhctl help' lists them");
	*out = named(words, BH_MIN(count, WORDS_MAX), used_out);
	if (*out != NULL)
		return BH_OK;
	return is_group(words[0]) ? which_verb(words[0], count > 1 ? words[1] : NULL) : which_command(words[0]);
}

/* ---- help */

void commands_usage(const char *group)
{
	printf("usage: bhctl [--db DIR] [--json] [--passphrase-fd N] %s ...\n\n", group != NULL ? group : "COMMAND");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (group == NULL || verb_of(&commands[i], group) != NULL)
			printf("  %-21s %s\n", commands[i].name, commands[i].summary);
	printf("\n  --db DIR            the database\n"
	       "  --json              one JSON document on standard output\n"
	       "  --passphrase-fd N   descriptor that the local KMS's passphrase is read from (or BULKHEAD_KMS_PASSPHRASE)\n"
	       "  --audit-optional    where the audit log cannot be written: look all the same, with nothing recorded\n"
	       "  --pin PIN           refuse another database, or an older state of it, than PIN is of (or BULKHEAD_PIN)\n"
	       "  --show-pin          at the end, print the database's new pin on standard error\n"
	       "  --help              after a command: how it is used\n\n"
	       "Exit codes: 0 done, 1 other failure, 2 refused input, 3 not found, 4 suspended or key not available, 5 shredded,\n"
	       "6 integrity failure, 7 KMS refused, 8 KMS unreachable, throttled or sealed, 9 region refused, 10 I/O,\n"
	       "11 unmerged.\n");
}

void commands_help(const bhctl_command *command)
{
	printf("usage: bhctl [--db DIR] [--json] %s %s\n\n%s.\n", command->name, command->usage, command->summary);
}

bool commands_group_help(char *const *words, int count)
{
	if (count != 2 || !is_group(words[0]) || (strcmp(words[1], "--help") != 0 && strcmp(words[1], "-h") != 0))
		return false;
	commands_usage(words[0]);
	return true;
}

bh_status cmd_help(bhctl *ctl, int argc, char **argv)
{
	const bhctl_command *command;
	char **words;
	int count, used;

	BH_TRY(bhctl_parse(ctl, argc, argv, NULL, 0, WORDS_MAX, &words, &count));
	if (count == 0 || (count == 1 && is_group(words[0]))) {
		commands_usage(count == 0 ? NULL : words[0]);
		return BH_OK;
	}
	BH_TRY(commands_find(words, count, &command, &used));
	if (used < count)
		return bhctl_usage_error(ctl, "'%.40s': '%s' has no such part", words[used], command->name);
	commands_help(command);
	return BH_OK;
}
