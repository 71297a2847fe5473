/* SPDX-License-Identifier: Apache-2.0
 *
 * passphrase.h: how the programs take a passphrase: from a descriptor, never from their arguments, which everybody can see.
 */
#ifndef BH_TOOLS_PASSPHRASE_H
#define BH_TOOLS_PASSPHRASE_H

#include "keyring/base/secret.h"

#define PASSPHRASE_MAX 1023 /* bytes */

/* The first line of what `fd` yields, up to a newline or the end, with a NUL, into `out`, which must be empty and becomes
 * PASSPHRASE_MAX + 1 bytes large. Errors: BH_E_INVALID (empty, too long, a NUL in it), BH_E_IO, BH_E_NOMEM. */
BH_MUST_CHECK bh_status passphrase_read(int fd, bh_secret *out);

#endif
