/* SPDX-License-Identifier: Apache-2.0
 *
 * random.c: see random.h.
 */
#include "random.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include "openssl.h"

#define STEP ((size_t)1 << 20) /* bytes asked for at once: OpenSSL takes an int */

bh_status bh_random(uint8_t *out, size_t len)
{
	size_t done = 0;
	bool ok = true;

	ERR_set_mark();
	while (ok && done < len) {
		size_t step = BH_MIN(len - done, STEP);

		ok = RAND_priv_bytes(out + done, (int)step) == 1;
		done += step;
	}
	return bh_openssl_end(ok, "the random generator");
}
