/* SPDX-License-Identifier: Apache-2.0
 *
 * openssl.h: how calls to OpenSSL end: its error queue belongs to the host as well, and is left as it was found.
 */
#ifndef BH_OPENSSL_H
#define BH_OPENSSL_H

#include "base.h"

/* After ERR_set_mark() and the calls: takes what OpenSSL said into the message, and out of its queue down to the mark. BH_OK, or
 * BH_E_CRYPTO. */
BH_MUST_CHECK bh_status bh_openssl_end(bool ok, const char *what);

#endif
