/* SPDX-License-Identifier: Apache-2.0
 *
 * pin.c: see pin.h.
 */
#include "pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIN_MAX 256

bool bh_p11_pin_source_is_fd(const char *source)
{
	return strncmp(source, "fd:", 3) == 0;
}

/* -1: it names none. */
static int fd_number(const char *source)
{
	const char *digits = source + 3;
	size_t len = strlen(digits);

	return len >= 1 && len <= 6 && strspn(digits, "0123456789") == len ? (int)strtol(digits, NULL, 10) : -1;
}

/* NULL: it names none. */
static const char *file_path(const char *source)
{
	if (strncmp(source, "file:", 5) == 0)
		source += 5;
	if (strncmp(source, "///", 3) == 0)
		source += 2;
	return source[0] == '/' && source[1] != '/' && source[1] != '\0' ? source : NULL;
}

bh_status bh_p11_pin_source_check(const char *source)
{
	if (source[0] == '\0')
		return BH_OK;
	if (source[0] == '|')
		return bh_fail(BH_E_INVALID, "pkcs11: URI: no program is run for a PIN: pin-source=file:/PATH, or fd:N");
	if (bh_p11_pin_source_is_fd(source) ? fd_number(source) >= 0 : file_path(source) != NULL)
		return BH_OK;
	return bh_fail(BH_E_INVALID, "pkcs11: URI: pin-source=%.100s: is neither file:/ABSOLUTE/PATH nor fd:N", source);
}

static int source_open(const char *source)
{
	return bh_p11_pin_source_is_fd(source) ? fcntl(fd_number(source), F_DUPFD_CLOEXEC, 3)
					       : open(file_path(source), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Reads until a line's end, the source's, or PIN_MAX. */
static ssize_t line_read(int fd, uint8_t *out)
{
	size_t at = 0;

	while (at < PIN_MAX && memchr(out, '\n', at) == NULL) {
		ssize_t got = read(fd, out + at, PIN_MAX - at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		at += (size_t)got;
	}
	return (ssize_t)at;
}

bh_status bh_p11_pin_read(const char *source, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret text = { 0 };
	int fd = source_open(source);

	bh_status status = bh_secret_init(&text, PIN_MAX);
	ssize_t got = fd >= 0 && status == BH_OK ? line_read(fd, text.data) : -1;
	int error = errno;
	if (fd >= 0)
		close(fd);
	BH_TRY(status);
	if (got < 0)
		return bh_fail(BH_E_KMS_REFUSED, "there is no PIN to log in with: %s cannot be read: %s", source, strerror(error));
	size_t len = (size_t)got;
	const uint8_t *end = memchr(text.data, '\n', len);
	if (end != NULL)
		len = (size_t)(end - text.data);
	if (len > 0 && text.data[len - 1] == '\r')
		len--;
	if (len == 0 || len == PIN_MAX)
		return bh_fail(BH_E_KMS_REFUSED, "there is no PIN to log in with: the first line of %s is %s", source,
			       len == 0 ? "empty" : "too long");
	bh_secret_clear(out);
	return bh_secret_copy(out, bh_view_of(text.data, len));
}
