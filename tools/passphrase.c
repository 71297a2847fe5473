/* SPDX-License-Identifier: Apache-2.0
 *
 * passphrase.c: see passphrase.h.
 */
#include "passphrase.h"

#include <errno.h>
#include <unistd.h>

/* Byte by byte: what follows the line is somebody else's. */
static bh_status read_line(int fd, bh_secret *line, size_t *len_out)
{
	size_t len = 0;

	for (;;) {
		ssize_t got = read(fd, line->data + len, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return bh_fail(BH_E_IO, "--passphrase-fd %d: cannot be read: %s", fd, strerror(errno));
		if (got == 0 || line->data[len] == '\n')
			break;
		if (++len > PASSPHRASE_MAX)
			return bh_fail(BH_E_INVALID, "--passphrase-fd %d: a passphrase has %d bytes at most", fd, PASSPHRASE_MAX);
	}
	line->data[len] = '\0';
	*len_out = len;
	return BH_OK;
}

bh_status passphrase_read(int fd, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret line = { 0 };
	size_t len = 0;

	BH_TRY(bh_secret_init(&line, PASSPHRASE_MAX + 1));
	BH_TRY(read_line(fd, &line, &len));
	if (strlen((const char *)line.data) != len || len == 0)
		return bh_fail(BH_E_INVALID, "--passphrase-fd %d: the passphrase is empty or has a NUL in it", fd);
	*out = bh_secret_take(&line);
	return BH_OK;
}
