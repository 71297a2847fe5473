/* SPDX-License-Identifier: Apache-2.0
 *
 * pin.c: see pin.h.
 */
#include "pin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "bhpin1:"
#define SUM_LEN 4

/* PREFIX database ":" key ":" CMK ":" generation ":" SIZE ":" ROOT ":" sum */
_Static_assert(sizeof(PREFIX) + 2 * (BH_ID_LEN + BH_SIGN_PUBLIC_LEN + BH_ID_LEN + SUM_LEN) + 4 + 20 + BH_AUDIT_FLOOR_SIZE <=
		       BH_PIN_SIZE,
	       "the longest pin fits");

bh_status bh_pin_identity(const bh_keyring_head *head, bh_pin *out)
{
	uint8_t digest[BH_SHA256_LEN];

	BH_TRY(bh_sha256(bh_view_str(head->cmk_uri), digest));
	memcpy(out->database_id, head->database_id, BH_ID_LEN);
	memcpy(out->public_key, head->public_key, BH_SIGN_PUBLIC_LEN);
	memcpy(out->cmk, digest, BH_ID_LEN);
	return BH_OK;
}

bh_status bh_pin_format(const bh_pin *pin, char out[BH_PIN_SIZE])
{
	char database[BH_ID_HEX_SIZE], key[2 * BH_SIGN_PUBLIC_LEN + 1], cmk[BH_ID_HEX_SIZE], floor[BH_AUDIT_FLOOR_SIZE];
	uint8_t digest[BH_SHA256_LEN];

	bh_hex(pin->database_id, BH_ID_LEN, database);
	bh_hex(pin->public_key, BH_SIGN_PUBLIC_LEN, key);
	bh_hex(pin->cmk, BH_ID_LEN, cmk);
	bh_audit_floor_format(&pin->audit, floor);
	int len = snprintf(out, BH_PIN_SIZE, PREFIX "%s:%s:%s:%" PRIu64 ":%s:", database, key, cmk, pin->generation, floor);
	BH_TRY(bh_sha256(bh_view_of(out, (size_t)len), digest));
	bh_hex(digest, SUM_LEN, out + len);
	return BH_OK;
}

/* The next field of `*rest`, up to its colon, as text of at most `size` - 1 bytes; `*rest` goes behind it. */
static bool field_next(const char **rest, char *out, size_t size)
{
	const char *colon = strchr(*rest, ':');

	if (colon == NULL || (size_t)(colon - *rest) >= size)
		return false;
	memcpy(out, *rest, (size_t)(colon - *rest));
	out[colon - *rest] = '\0';
	*rest = colon + 1;
	return true;
}

static bool field_hex(const char **rest, uint8_t *out, size_t len)
{
	char text[2 * BH_SIGN_PUBLIC_LEN + 1];

	return field_next(rest, text, sizeof(text)) && bh_unhex(text, out, len) == BH_OK;
}

static bool field_number(const char **rest, uint64_t *out)
{
	char text[20 + 1];

	if (!field_next(rest, text, sizeof(text)) || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, NULL, 10);
	return errno == 0;
}

static bool fields_read(const char *text, bh_pin *out)
{
	const char *rest = text + strlen(PREFIX);

	return strncmp(text, PREFIX, strlen(PREFIX)) == 0 && field_hex(&rest, out->database_id, BH_ID_LEN) &&
	       field_hex(&rest, out->public_key, BH_SIGN_PUBLIC_LEN) && field_hex(&rest, out->cmk, BH_ID_LEN) &&
	       field_number(&rest, &out->generation) && field_number(&rest, &out->audit.size) &&
	       field_hex(&rest, out->audit.root, BH_SHA256_LEN) && out->generation != 0 && out->audit.size != 0;
}

static bh_status refuse(const char *text, const char *why)
{
	return bh_fail(BH_E_INVALID,
		       "'%.300s' is no pin%s: it is one line, '" PREFIX "' and seven fields with colons between them, as 'bhctl "
		       "status' prints it",
		       text, why);
}

/* A pin has one spelling: what was read has to be written the same, its sum included. */
bh_status bh_pin_parse(const char *text, bh_pin *out)
{
	char spelled[BH_PIN_SIZE];
	bh_pin pin = { 0 };

	if (!fields_read(text, &pin))
		return refuse(text, "");
	BH_TRY(bh_pin_format(&pin, spelled));
	if (strcmp(spelled, text) != 0)
		return refuse(text, ", or was changed on its way (its last field is a checksum)");
	*out = pin;
	return BH_OK;
}

static bh_status differs(const char *what, const uint8_t *have, const uint8_t *want, size_t len)
{
	char have_hex[2 * BH_SIGN_PUBLIC_LEN + 1], want_hex[2 * BH_SIGN_PUBLIC_LEN + 1];

	bh_hex(have, len, have_hex);
	bh_hex(want, len, want_hex);
	return bh_fail(
		BH_E_TAG,
		"does not fit the pin: %s is %s, but %s was pinned. It is another database's, or somebody made it anew; no key "
		"was asked for. If this is yours, open it with its own pin",
		what, have_hex, want_hex);
}

bh_status bh_pin_check(const bh_pin *pin, const bh_keyring_head *head)
{
	bh_pin found = { 0 };

	BH_TRY(bh_pin_identity(head, &found));
	if (memcmp(found.database_id, pin->database_id, BH_ID_LEN) != 0)
		return differs("its database id", found.database_id, pin->database_id, BH_ID_LEN);
	if (memcmp(found.public_key, pin->public_key, BH_SIGN_PUBLIC_LEN) != 0)
		return differs("its signing key", found.public_key, pin->public_key, BH_SIGN_PUBLIC_LEN);
	if (memcmp(found.cmk, pin->cmk, BH_ID_LEN) != 0)
		return bh_fail_prefix(differs("the digest of its platform CMK's URI", found.cmk, pin->cmk, BH_ID_LEN),
				      "platform CMK '%s'", head->cmk_uri);
	return BH_OK;
}
