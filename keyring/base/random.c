/* SPDX-License-Identifier: Apache-2.0
 *
 * random.c: see random.h.
 */
#include "random.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "openssl.h"

#define STEP ((size_t)1 << 20) /* bytes asked of OpenSSL at once: it takes an int */
#define KERNEL_STEP 256        /* bytes that getrandom(2) gives without being interrupted */

static bh_status from_openssl(uint8_t *out, size_t len)
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

static bh_status mix_kernel(uint8_t *out, size_t len)
{
	uint8_t fresh[KERNEL_STEP];
	bh_status status = BH_OK;

	for (size_t done = 0; status == BH_OK && done < len;) {
		ssize_t got = TEMP_FAILURE_RETRY(getrandom(fresh, BH_MIN(len - done, sizeof(fresh)), 0));

		if (got <= 0)
			status = bh_fail(BH_E_CRYPTO, "the kernel gives no random bytes: %s", strerror(errno));
		for (ssize_t i = 0; i < got; i++)
			out[done + (size_t)i] ^= fresh[i];
		done += got > 0 ? (size_t)got : 0;
	}
	bh_wipe(fresh, sizeof(fresh));
	return status;
}

bh_status bh_random(uint8_t *out, size_t len)
{
	BH_TRY(from_openssl(out, len));
	return mix_kernel(out, len);
}
