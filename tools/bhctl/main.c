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
#include "commands.h"
#include "tools/hide.h"

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
		case 'h': commands_usage(NULL); exit(EXIT_SUCCESS);
		default:
			return bh_fail(BH_E_INVALID, "option '%s': not known, or without its value; 'bhctl help' lists them",
				       argv[optind - 1]);
		}
	}
	return BH_OK;
}

static bh_status run(bhctl *ctl, int argc, char **argv)
{
	int used = 0;

	BH_TRY(take_global(ctl, argc, argv));
	if (commands_group_help(argv + optind, argc - optind))
		return BH_OK;
	BH_TRY(commands_find(argv + optind, argc - optind, &ctl->command, &used));
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
		status = out_json(json_pack("{s:o}", "error", bh_json_error(status)));
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
