/* SPDX-License-Identifier: Apache-2.0
 *
 * context.c: the canonical encoding of the encryption context. Changing one byte of it makes every wrapped DEK and every file
 * unreadable.
 */
#include "context.h"

bh_status bh_context_encode(const uint8_t database[BH_ID_LEN], const char *region, const bh_scope *scope,
			    const uint8_t dek_id[BH_ID_LEN], bh_buf *out)
{
	char database_hex[BH_ID_HEX_SIZE], dek_hex[BH_ID_HEX_SIZE];

	bh_hex(database, BH_ID_LEN, database_hex);
	bh_hex(dek_id, BH_ID_LEN, dek_hex);
	return bh_buf_printf(out, "class=%s\ndatabase=%s\ndek=%s\nmerchant=%s\nregion=%s\n", scope->cls, database_hex, dek_hex,
			     scope->merchant, region);
}
