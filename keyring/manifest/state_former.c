/* SPDX-License-Identifier: Apache-2.0
 *
 * state_former.c: see state_former.h.
 */
#include "state_former.h"

#include <stdlib.h>

static bh_status malformed(const char *what)
{
	return bh_fail(BH_E_FORMAT, "a record has the wrong form (%s); it was written by another version of this program", what);
}

/* Its place; the count where there is none. */
static size_t place_of(const bh_merchant_record *merchant, const char *uri)
{
	size_t i = 0;

	while (i < merchant->former_count && strcmp(merchant->former[i].uri, uri) != 0)
		i++;
	return i;
}

bool bh_merchant_knows_cmk(const bh_merchant_record *merchant, const char *uri)
{
	return strcmp(merchant->cmk_uri, uri) == 0 || place_of(merchant, uri) < merchant->former_count;
}

/* Merchant's former CMKs: u8 count, that many */

bh_status bh_former_cmks_encode(const bh_merchant_record *merchant, bh_buf *out)
{
	BH_TRY(bh_buf_append_u8(out, (uint8_t)merchant->former_count));
	for (size_t i = 0; i < merchant->former_count; i++)
		BH_TRY(bh_former_cmk_encode(&merchant->former[i], out));
	return BH_OK;
}

bh_status bh_former_cmks_decode(bh_reader *r, bh_merchant_record *merchant)
{
	size_t count = bh_read_u8(r);

	if (!bh_reader_ok(r))
		return malformed("former CMKs of a merchant");
	if (count == 0)
		return BH_OK;
	merchant->former = calloc(count, sizeof(*merchant->former));
	if (merchant->former == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the former CMKs of merchant '%s'", merchant->name);
	for (size_t i = 0; i < count; i++) {
		bh_former_cmk *former = &merchant->former[i];

		BH_TRY(bh_former_cmk_decode(r, former));
		if (bh_merchant_knows_cmk(merchant, former->uri))
			return malformed("former CMK of a merchant");
		merchant->former_count = i + 1;
	}
	return BH_OK;
}

/* A move */

static bh_status add(bh_merchant_record *merchant, const char *uri, int64_t at_s)
{
	bh_former_cmk *grown = realloc(merchant->former, (merchant->former_count + 1) * sizeof(*grown));

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the former CMKs of merchant '%s'", merchant->name);
	merchant->former = grown;
	grown += merchant->former_count++;
	*grown = (bh_former_cmk){ .left_at_s = at_s };
	memcpy(grown->uri, uri, strlen(uri) + 1);
	return BH_OK;
}

static void remove_at(bh_merchant_record *merchant, size_t at)
{
	merchant->former_count--;
	memmove(&merchant->former[at], &merchant->former[at + 1], (merchant->former_count - at) * sizeof(*merchant->former));
}

bh_status bh_former_cmk_leave(bh_merchant_record *merchant, const char *uri, int64_t at_s)
{
	const size_t back = place_of(merchant, uri);
	char *copy;

	if (back == merchant->former_count && merchant->former_count == BH_FORMER_CMKS_MAX)
		return bh_fail(BH_E_INVALID, "merchant '%s': has had %d CMKs before this one, which is the most", merchant->name,
			       BH_FORMER_CMKS_MAX);
	copy = strdup(uri);
	if (copy == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for the CMK of merchant '%s'", merchant->name);
	if (back < merchant->former_count)
		remove_at(merchant, back);
	bh_status status = add(merchant, merchant->cmk_uri, at_s);
	if (status != BH_OK) {
		free(copy);
		return status;
	}
	free(merchant->cmk_uri);
	merchant->cmk_uri = copy;
	return BH_OK;
}

/* Former CMK answered: 16 merchant id, u8 index, the former CMK */

bh_status bh_former_answered_encode(const uint8_t merchant_id[BH_ID_LEN], size_t index, const bh_former_cmk *former, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, merchant_id, BH_ID_LEN));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)index));
	return bh_former_cmk_encode(former, out);
}

bh_status bh_former_answered_apply(bh_keyring_state *state, bh_view payload)
{
	bh_reader r = bh_reader_of(payload);
	bh_view id = bh_read_bytes(&r, BH_ID_LEN);
	size_t index = bh_read_u8(&r);
	bh_former_cmk former;

	if (!bh_reader_ok(&r))
		return malformed("answer of a former CMK");
	BH_TRY(bh_former_cmk_decode(&r, &former));
	bh_merchant_record *merchant = bh_keyring_state_find_id(state, id.data);
	if (!bh_reader_done(&r) || merchant == NULL || merchant->state < BH_MERCHANT_SHREDDING || index >= merchant->former_count ||
	    strcmp(merchant->former[index].uri, former.uri) != 0 || merchant->former[index].left_at_s != former.left_at_s)
		return malformed("answer of a former CMK that there is not");
	merchant->former[index] = former;
	return BH_OK;
}
