/* SPDX-License-Identifier: Apache-2.0
 *
 * status.c: names and exit codes of every status, and the thread's message.
 *
 * Invariants: the tables have one row per code (checked at compile time); the message is always NUL-terminated; errno survives.
 * Thread-safety: the message is thread-local, all else is const.
 */
#include "base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	EXIT_DONE = 0,
	EXIT_OTHER = 1,
	EXIT_INPUT = 2,
	EXIT_ABSENT = 3,
	EXIT_NO_KEY = 4,
	EXIT_SHREDDED = 5,
	EXIT_INTEGRITY = 6,
	EXIT_REFUSED = 7,
	EXIT_KMS_UNREACHABLE = 8,
	EXIT_REGION = 9,
	EXIT_IO = 10,
	EXIT_UNMERGED = 11,
};

typedef struct status_row {
	const char *name;
	int exit_code;
} status_row;

static const status_row rows[] = {
	[BH_OK] = { "ok", EXIT_DONE },
	[BH_E_INVALID] = { "invalid", EXIT_INPUT },
	[BH_E_NOT_FOUND] = { "not-found", EXIT_ABSENT },
	[BH_E_EXISTS] = { "exists", EXIT_INPUT },
	[BH_E_BUSY] = { "busy", EXIT_OTHER },
	[BH_E_UNSUPPORTED] = { "unsupported", EXIT_INPUT },
	[BH_E_SUSPENDED] = { "suspended", EXIT_NO_KEY },
	[BH_E_NO_KEY] = { "no-key", EXIT_NO_KEY },
	[BH_E_SHREDDED] = { "shredded", EXIT_SHREDDED },
	[BH_E_TAG] = { "tag-mismatch", EXIT_INTEGRITY },
	[BH_E_FORMAT] = { "malformed", EXIT_INTEGRITY },
	[BH_E_TRUNCATED] = { "truncated", EXIT_INTEGRITY },
	[BH_E_VERSION] = { "unknown-version", EXIT_INTEGRITY },
	[BH_E_ROLLBACK] = { "rollback", EXIT_INTEGRITY },
	[BH_E_KMS_REFUSED] = { "kms-refused", EXIT_REFUSED },
	[BH_E_KMS_UNREACHABLE] = { "kms-unreachable", EXIT_KMS_UNREACHABLE },
	[BH_E_REGION] = { "wrong-region", EXIT_REGION },
	[BH_E_IO] = { "io", EXIT_IO },
	[BH_E_NOMEM] = { "no-memory", EXIT_OTHER },
	[BH_E_CRYPTO] = { "crypto", EXIT_OTHER },
	[BH_E_ROCKSDB] = { "rocksdb", EXIT_OTHER },
	[BH_E_DAMAGED] = { "damaged", EXIT_INTEGRITY },
	[BH_E_ERASED] = { "erased", EXIT_INPUT },
	[BH_E_NO_SUCH_KEY] = { "no-such-key", EXIT_ABSENT },
	[BH_E_NO_SUCH_MERCHANT] = { "no-such-merchant", EXIT_ABSENT },
	[BH_E_NO_SUCH_CLASS] = { "no-such-class", EXIT_ABSENT },
	[BH_E_UNMERGED] = { "unmerged", EXIT_UNMERGED },
	[BH_E_FULL] = { "full", EXIT_IO },
	[BH_E_KMS_THROTTLED] = { "kms-throttled", EXIT_KMS_UNREACHABLE },
	[BH_E_KMS_SEALED] = { "kms-sealed", EXIT_KMS_UNREACHABLE },
	[BH_E_DENIED] = { "denied", EXIT_REFUSED },
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == BH_E_COUNT_, "a status without a row");

static _Thread_local char message[BH_MESSAGE_SIZE];

__thread const char *bh_status_said;

/* Takes a text over as the thread's message. */
static void say(const char text[BH_MESSAGE_SIZE])
{
	memcpy(message, text, sizeof(message));
	bh_status_said = message;
}

static bool is_code(bh_status status)
{
	return (unsigned)status < (unsigned)BH_E_COUNT_;
}

const char *bh_status_name(bh_status status)
{
	return is_code(status) ? rows[status].name : "unknown-status";
}

const char *bh_status_message(void)
{
	return bh_status_said != NULL ? bh_status_said : "";
}

int bh_status_exit_code(bh_status status)
{
	return is_code(status) ? rows[status].exit_code : EXIT_OTHER;
}

/* Formats beside the message, not into it: the arguments may well point at the message. */
BH_PRINTF(2, 0) static void format(char text[BH_MESSAGE_SIZE], const char *fmt, va_list args)
{
	if (vsnprintf(text, BH_MESSAGE_SIZE, fmt, args) < 0)
		text[0] = '\0';
}

bh_status bh_fail(bh_status status, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[BH_MESSAGE_SIZE];
	va_list args;

	va_start(args, fmt);
	format(text, fmt, args);
	va_end(args);
	say(text);
	errno = saved_errno;
	return status;
}

bh_status bh_fail_prefix(bh_status status, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[BH_MESSAGE_SIZE];
	va_list args;
	size_t len, room;

	if (status == BH_OK)
		return status;
	va_start(args, fmt);
	format(text, fmt, args);
	va_end(args);
	len = strlen(text);
	room = sizeof(text) - 1 - len;
	if (room >= 2) {
		memcpy(text + len, ": ", 2);
		memccpy(text + len + 2, bh_status_message(), '\0', room - 2);
		text[sizeof(text) - 1] = '\0';
	}
	say(text);
	errno = saved_errno;
	return status;
}

bh_message bh_message_keep(void)
{
	bh_message kept;

	strncpy(kept.text, bh_status_message(), sizeof(kept.text) - 1);
	kept.text[sizeof(kept.text) - 1] = '\0';
	return kept;
}

void bh_message_restore(const bh_message *kept)
{
	say(kept->text);
}
