/* SPDX-License-Identifier: Apache-2.0
 *
 * openssl.c: see openssl.h.
 */
#include "openssl.h"

#include <openssl/err.h>

bh_status bh_openssl_end(bool ok, const char *what)
{
	char reason[160] = "";

	if (!ok)
		ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
	ERR_pop_to_mark();
	return ok ? BH_OK : bh_fail(BH_E_CRYPTO, "%s failed in OpenSSL (%s): check its providers and openssl.cnf", what, reason);
}
