/* SPDX-License-Identifier: Apache-2.0
 *
 * args.c: options and arguments; see bhctl.h.
 */
#include "bhctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "keyring/manifest/pin.h"
#include "tools/passphrase.h"
#include "commands.h"
#include "suggest.h"

#define OPTIONS_MAX 20

void bhctl_list_clear(bhctl_list *list)
{
	free(list->items);
	*list = (bhctl_list){ 0 };
}

static bh_status list_add(bhctl_list *list, const char *item)
{
	const char **grown = realloc(list->items, (list->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the options");
	list->items = grown;
	list->items[list->count++] = item;
	return BH_OK;
}

bh_status bhctl_usage_error(const bhctl *ctl, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return bh_fail(BH_E_INVALID, "%s; 'bhctl %s --help' says how it is used", text, ctl->command->name);
}

bh_status bhctl_number(const char *option, const char *text, uint64_t *out)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[strspn(text, "0123456789")] != '\0')
		return bh_fail(BH_E_INVALID, "%s '%s': must be a decimal number", option, text);
	*out = value;
	return BH_OK;
}

bh_status bhctl_passphrase(bhctl *ctl, const char *fd)
{
	uint64_t number = 0;

	BH_TRY(bhctl_number("--passphrase-fd", fd, &number));
	bh_secret_clear(&ctl->passphrase);
	BH_TRY(passphrase_read((int)BH_MIN(number, (uint64_t)INT32_MAX), &ctl->passphrase));
	ctl->kms.passphrase = (const char *)ctl->passphrase.data;
	return BH_OK;
}

static bh_status take_option(const bhctl_option *option, const char *value)
{
	if (option->flag != NULL)
		*option->flag = true;
	else if (option->value != NULL)
		*option->value = value;
	else
		return list_add(option->list, value);
	return BH_OK;
}

/* The common options and the command's own, as one table. */
static size_t gather_options(const bhctl_option *common, const bhctl_option *own, const bhctl_option *all[OPTIONS_MAX],
			     struct option longs[OPTIONS_MAX + 1])
{
	const bhctl_option *tables[] = { common, own };
	size_t n = 0;

	for (size_t t = 0; t < 2; t++)
		for (const bhctl_option *o = tables[t]; o != NULL && o->name != NULL && n < OPTIONS_MAX; o++, n++) {
			all[n] = o;
			longs[n] = (struct option){ o->name, o->flag != NULL ? no_argument : required_argument, NULL, (int)n };
		}
	longs[n] = (struct option){ 0 };
	return n;
}

static bh_status unknown_option(const bhctl *ctl, const char *given, const struct option *longs)
{
	const char *name = given + strspn(given, "-");
	char typed[SUGGEST_SIZE], like[SUGGEST_SIZE] = "";

	snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(name, "="), name);
	for (; longs->name != NULL; longs++) {
		if (strcmp(typed, longs->name) == 0)
			return bhctl_usage_error(ctl, "option '%s': --%s takes no value", given, typed);
		suggest_weigh(typed, longs->name, like);
	}
	return bhctl_usage_error(ctl, "option '%s': not known here%s%s%s", given, like[0] != '\0' ? ", did you mean '--" : "", like,
				 like[0] != '\0' ? "'?" : "");
}

bh_status bhctl_parse(bhctl *ctl, int argc, char **argv, const bhctl_option *options, int min, int max, char ***args_out,
		      int *count_out)
{
	const char *fd = NULL, *db = NULL;
	bh_pin pin;
	bool help = false;
	const bhctl_option common[] = {
		{ .name = "json", .flag = &ctl->json },
		{ .name = "help", .flag = &help },
		{ .name = "passphrase-fd", .value = &fd },
		{ .name = "db", .value = &db },
		{ .name = "audit-optional", .flag = &ctl->audit_optional },
		{ .name = "pin", .value = &ctl->pin },
		{ .name = "show-pin", .flag = &ctl->show_pin },
		{ 0 },
	};
	const bhctl_option *all[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
	int idx;

	(void)gather_options(common, options, all, longs);
	opterr = 0;
	optind = 0;
	while ((idx = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (idx == '?' && optopt != 0)
			return bhctl_usage_error(ctl, "option '%s': needs a value", argv[optind - 1]);
		if (idx == '?')
			return unknown_option(ctl, argv[optind - 1], longs);
		BH_TRY(take_option(all[idx], optarg));
	}
	if (help) {
		commands_help(ctl->command);
		exit(EXIT_SUCCESS);
	}
	if (db != NULL)
		ctl->db = db;
	if (fd != NULL)
		BH_TRY(bhctl_passphrase(ctl, fd));
	if (ctl->pin != NULL)
		BH_TRY(bh_pin_parse(ctl->pin, &pin));
	if (argc - optind < min)
		return bhctl_usage_error(ctl, "too few arguments");
	if (argc - optind > max)
		return bhctl_usage_error(ctl, "too many arguments, from '%s' on", argv[optind + max]);
	*args_out = argv + optind;
	*count_out = argc - optind;
	return BH_OK;
}

/* ---- bytes */

bh_status bhctl_bytes(const char *what, bh_view text, bool hex, bh_buf *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf digits = { 0 };
	size_t len = text.len;

	if (!hex)
		return bh_buf_append(out, text.data, text.len);
	while (len > 0 && (text.data[len - 1] == '\n' || text.data[len - 1] == '\r'))
		len--;
	if (len % 2 != 0 || (len > 0 && memchr(text.data, '\0', len) != NULL))
		return bh_fail(BH_E_INVALID, "%s: --hex wants pairs of hex digits", what);
	BH_TRY(bh_buf_append(&digits, text.data, len));
	BH_TRY(bh_buf_append_u8(&digits, 0));
	BH_TRY(bh_buf_reserve(out, len / 2));
	if (bh_unhex((const char *)digits.data, out->data + out->len, len / 2) != BH_OK)
		return bh_fail(BH_E_INVALID, "%s: --hex wants pairs of hex digits", what);
	out->len += len / 2;
	return BH_OK;
}

bh_status bhctl_stdin(bh_buf *out)
{
	for (;;) {
		ssize_t got;

		BH_TRY(bh_buf_reserve(out, 65536));
		got = read(STDIN_FILENO, out->data + out->len, 65536);
		if (got == 0)
			return BH_OK;
		if (got < 0 && errno != EINTR)
			return bh_fail(BH_E_IO, "standard input: cannot be read: %s", strerror(errno));
		out->len += got > 0 ? (size_t)got : 0;
	}
}

bh_status bhctl_target(const char *text, bh_scope *out)
{
	const char *slash = strchr(text, '/');
	bh_scope scope = { 0 };

	if (slash == NULL)
		return bh_fail(BH_E_INVALID, "'%.80s': name a merchant and a class of it, as NAME/CLASS", text);
	if ((size_t)(slash - text) > BH_NAME_MAX || strlen(slash + 1) > BH_NAME_MAX)
		return bh_fail(BH_E_INVALID, "'%.80s...': a name has %d bytes at most", text, BH_NAME_MAX);
	memcpy(scope.merchant, text, (size_t)(slash - text));
	memcpy(scope.cls, slash + 1, strlen(slash + 1));
	BH_TRY(bh_name_check("merchant", scope.merchant));
	BH_TRY(bh_name_check("class", scope.cls));
	*out = scope;
	return BH_OK;
}
