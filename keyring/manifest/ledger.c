/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger.c: see ledger.h.
 */
#include "ledger.h"

#include <string.h>

/* Log:
 *     0     8  number
 *     8    16  salt
 *    24     8  end
 */
void bh_ledger_log_put(const bh_ledger_log *log, uint8_t out[BH_LEDGER_LOG_LEN])
{
	bh_put_u64(out, log->number);
	memcpy(out + 8, log->salt, BH_LEDGER_SALT_LEN);
	bh_put_u64(out + 8 + BH_LEDGER_SALT_LEN, log->end);
}

void bh_ledger_log_get(const uint8_t bytes[BH_LEDGER_LOG_LEN], bh_ledger_log *out)
{
	out->number = bh_get_u64(bytes);
	memcpy(out->salt, bytes + 8, BH_LEDGER_SALT_LEN);
	out->end = bh_get_u64(bytes + 8 + BH_LEDGER_SALT_LEN);
}

/* Ledger:
 *     0     1  1: begins; else 0
 *     1     1  count of MANIFESTs
 *     2     1  count of WALs
 *     3     1  zero
 *     4     4  count of older WALs
 *     8     8  of these, those up to this number are gone
 *    16    32  digest of their file
 *    48    64  MANIFESTs
 *   112   256  WALs
 */
#define DIGEST_OFF 16u
#define LOGS_OFF (DIGEST_OFF + BH_SHA256_LEN)

void bh_ledger_put(const bh_ledger *ledger, uint8_t out[BH_LEDGER_LEN])
{
	uint8_t *p = out + LOGS_OFF;

	memset(out, 0, BH_LEDGER_LEN);
	out[0] = ledger->begins;
	out[1] = ledger->manifest_count;
	out[2] = ledger->wal_count;
	bh_put_u32(out + 4, ledger->older_count);
	if (ledger->older_count > 0) {
		bh_put_u64(out + 8, ledger->gone);
		memcpy(out + DIGEST_OFF, ledger->older_digest, BH_SHA256_LEN);
	}
	for (size_t i = 0; i < ledger->manifest_count; i++)
		bh_ledger_log_put(&ledger->manifests[i], p + i * BH_LEDGER_LOG_LEN);
	p += BH_LEDGER_MANIFESTS * BH_LEDGER_LOG_LEN;
	for (size_t i = 0; i < ledger->wal_count; i++)
		bh_ledger_log_put(&ledger->wals[i], p + i * BH_LEDGER_LOG_LEN);
}

bh_status bh_ledger_get(const uint8_t bytes[BH_LEDGER_LEN], bh_ledger *out)
{
	bh_ledger ledger = { .begins = bytes[0] == 1, .older_count = bh_get_u32(bytes + 4) };
	uint8_t again[BH_LEDGER_LEN];
	const uint8_t *p = bytes + LOGS_OFF;

	if (bytes[1] > BH_LEDGER_MANIFESTS || bh_ledger_wal_count(bytes) > BH_LEDGER_WALS)
		return bh_fail(BH_E_FORMAT, "lists %u MANIFESTs and %u WALs, which are too many", bytes[1], bytes[2]);
	ledger.manifest_count = bytes[1];
	ledger.wal_count = (uint8_t)bh_ledger_wal_count(bytes);
	ledger.gone = bh_get_u64(bytes + 8);
	memcpy(ledger.older_digest, bytes + DIGEST_OFF, BH_SHA256_LEN);
	for (size_t i = 0; i < ledger.manifest_count; i++)
		bh_ledger_log_get(p + i * BH_LEDGER_LOG_LEN, &ledger.manifests[i]);
	p += BH_LEDGER_MANIFESTS * BH_LEDGER_LOG_LEN;
	for (size_t i = 0; i < ledger.wal_count; i++)
		bh_ledger_log_get(p + i * BH_LEDGER_LOG_LEN, &ledger.wals[i]);
	bh_ledger_put(&ledger, again);
	if (memcmp(again, bytes, BH_LEDGER_LEN) != 0)
		return bh_fail(BH_E_FORMAT, "its list of logs has something where zeros are due");
	*out = ledger;
	return BH_OK;
}
