/* SPDX-License-Identifier: Apache-2.0
 *
 * state.c: see state.h.
 */
#include "state.h"

#include <stdlib.h>
#include <strings.h>

#include "state_former.h"

#define BIT(state) (1u << (state))

/* From each state, the set of states that may follow. SHREDDING comes with the record of a shred, SHREDDED with the destruction of
 * the wraps alone, and nothing comes after. */
static const unsigned next_states[] = {
	[BH_MERCHANT_CREATING] = BIT(BH_MERCHANT_ACTIVE) | BIT(BH_MERCHANT_SUSPENDING) | BIT(BH_MERCHANT_SHREDDING),
	[BH_MERCHANT_ACTIVE] = BIT(BH_MERCHANT_SUSPENDING) | BIT(BH_MERCHANT_SHREDDING),
	[BH_MERCHANT_SUSPENDING] = BIT(BH_MERCHANT_SUSPENDED) | BIT(BH_MERCHANT_SHREDDING),
	[BH_MERCHANT_SUSPENDED] = BIT(BH_MERCHANT_SUSPENDED) | BIT(BH_MERCHANT_RESUMING) | BIT(BH_MERCHANT_SHREDDING),
	[BH_MERCHANT_RESUMING] = BIT(BH_MERCHANT_ACTIVE) | BIT(BH_MERCHANT_SUSPENDED) | BIT(BH_MERCHANT_SHREDDING),
	[BH_MERCHANT_SHREDDING] = BIT(BH_MERCHANT_SHREDDED),
	[BH_MERCHANT_SHREDDED] = 0,
};

static const char *const state_names[] = {
	[BH_MERCHANT_CREATING] = "creating",   [BH_MERCHANT_ACTIVE] = "active",     [BH_MERCHANT_SUSPENDING] = "suspending",
	[BH_MERCHANT_SUSPENDED] = "suspended", [BH_MERCHANT_RESUMING] = "resuming", [BH_MERCHANT_SHREDDING] = "shredding",
	[BH_MERCHANT_SHREDDED] = "shredded",
};

static const char *const cause_names[] = {
	[BH_SUSPEND_NONE] = "none",
	[BH_SUSPEND_OPERATOR] = "operator",
	[BH_SUSPEND_KMS_REFUSED] = "kms-refused",
	[BH_SUSPEND_KMS_UNREACHABLE] = "kms-unreachable",
	[BH_SUSPEND_KMS_DAMAGED] = "kms-damaged",
	[BH_SUSPEND_DAMAGED] = "damaged",
};

static bool cause_known(unsigned cause)
{
	return cause <= BH_SUSPEND_DAMAGED;
}

const char *bh_suspend_cause_name(bh_suspend_cause cause)
{
	return cause_known(cause) ? cause_names[cause] : "unknown";
}

static bool state_known(unsigned state)
{
	return state >= BH_MERCHANT_CREATING && state <= BH_MERCHANT_SHREDDED;
}

static bool is_ending(bh_merchant_state state)
{
	return state >= BH_MERCHANT_SHREDDING;
}

const char *bh_merchant_state_name(bh_merchant_state state)
{
	return state_known(state) ? state_names[state] : "unknown";
}

bool bh_merchant_state_may(bh_merchant_state from, bh_merchant_state to)
{
	return state_known(from) && state_known(to) && (next_states[from] & BIT(to)) != 0;
}

/* Ownership */

void bh_merchant_record_clear(bh_merchant_record *merchant)
{
	for (size_t i = 0; i < merchant->dek_count; i++)
		bh_dek_record_clear(&merchant->deks[i]);
	free(merchant->deks);
	free(merchant->former);
	free(merchant->cmk_uri);
	*merchant = (bh_merchant_record){ 0 };
}

void bh_keyring_state_clear(bh_keyring_state *state)
{
	bh_merchant_record_clear(&state->platform);
	for (size_t i = 0; i < state->count; i++)
		bh_merchant_record_clear(&state->merchants[i]);
	free(state->merchants);
	*state = (bh_keyring_state){ 0 };
}

bh_status bh_merchant_record_destroy(bh_merchant_record *merchant, int64_t at_ms)
{
	for (size_t i = 0; i < merchant->dek_count; i++)
		BH_TRY(bh_dek_record_bury(&merchant->deks[i], 0));
	merchant->state = BH_MERCHANT_SHREDDED;
	merchant->changed_at_s = at_ms / 1000;
	merchant->shred.destroyed_at_ms = at_ms;
	return BH_OK;
}

/* Moves `merchant` to the end of the list, and leaves it empty. */
static bh_status state_push(bh_keyring_state *state, bh_merchant_record *merchant)
{
	if (state->count == state->cap) {
		size_t cap = state->cap > 0 ? state->cap * 2 : 8;
		bh_merchant_record *merchants = realloc(state->merchants, cap * sizeof(*merchants));
		if (merchants == NULL)
			return bh_fail(BH_E_NOMEM, "no memory for %zu merchants", cap);
		state->merchants = merchants;
		state->cap = cap;
	}
	state->merchants[state->count++] = *merchant;
	*merchant = (bh_merchant_record){ 0 };
	return BH_OK;
}

/* Search */

bh_merchant_record *bh_keyring_state_find(const bh_keyring_state *state, const char *name)
{
	/* A living one is always newer than the tombstones of its name. */
	for (size_t i = state->count; i > 0; i--) {
		if (strcmp(state->merchants[i - 1].name, name) == 0)
			return &state->merchants[i - 1];
	}
	return NULL;
}

bh_merchant_record *bh_keyring_state_find_id(const bh_keyring_state *state, const uint8_t id[BH_ID_LEN])
{
	for (size_t i = 0; i < state->count; i++) {
		if (memcmp(state->merchants[i].id, id, BH_ID_LEN) == 0)
			return &state->merchants[i];
	}
	return NULL;
}

bh_merchant_record *bh_keyring_state_owner(bh_keyring_state *state, const char *name)
{
	return name[0] == '\0' ? &state->platform : bh_keyring_state_find(state, name);
}

bh_merchant_record *bh_keyring_state_owner_id(bh_keyring_state *state, const uint8_t id[BH_ID_LEN])
{
	static const uint8_t none[BH_ID_LEN];

	return memcmp(id, none, BH_ID_LEN) == 0 ? &state->platform : bh_keyring_state_find_id(state, id);
}

const bh_merchant_record *bh_keyring_state_twin(const bh_keyring_state *state, const char *name)
{
	for (size_t i = 0; i < state->count; i++) {
		const bh_merchant_record *merchant = &state->merchants[i];
		if (merchant->state != BH_MERCHANT_SHREDDED && strcasecmp(merchant->name, name) == 0)
			return merchant;
	}
	return NULL;
}

/* Fields */

static bh_status text_append(bh_buf *out, const char *text)
{
	return bh_buf_append_blob16(out, bh_view_str(text));
}

static bool name_read(bh_reader *r, char out[BH_NAME_MAX + 1])
{
	bh_view name = bh_read_blob16(r);

	if (!bh_reader_ok(r) || name.len == 0 || name.len > BH_NAME_MAX || memchr(name.data, 0, name.len) != NULL)
		return false;
	memcpy(out, name.data, name.len);
	out[name.len] = '\0';
	return bh_name_check("name in the keyring", out) == BH_OK;
}

static bool id_read(bh_reader *r, uint8_t out[BH_ID_LEN])
{
	bh_view id = bh_read_bytes(r, BH_ID_LEN);

	if (bh_reader_ok(r))
		memcpy(out, id.data, BH_ID_LEN);
	return bh_reader_ok(r);
}

static bh_status malformed(const char *what)
{
	return bh_fail(BH_E_FORMAT, "a record has the wrong form (%s); it was written by another version of this program", what);
}

/* Why a merchant is suspended: u8 cause, blob16 note; where the cause has HAS_PARKING: 16 id of the parking */

#define HAS_PARKING 0x80u

static const uint8_t no_parking[BH_ID_LEN];

static bh_status why_encode(bh_suspend_cause cause, const char *note, const uint8_t parking[BH_ID_LEN], bh_buf *out)
{
	const bool parked = memcmp(parking, no_parking, BH_ID_LEN) != 0;

	if (strlen(note) > BH_SUSPEND_NOTE_MAX)
		return bh_fail(BH_E_INVALID, "a note of %zu bytes; %d are the most", strlen(note), BH_SUSPEND_NOTE_MAX);
	BH_TRY(bh_buf_append_u8(out, (uint8_t)(cause | (parked ? HAS_PARKING : 0))));
	BH_TRY(text_append(out, note));
	return parked ? bh_buf_append(out, parking, BH_ID_LEN) : BH_OK;
}

/* Who is detached, or on the way out or back. */
static bool may_have_parking(unsigned state)
{
	return state >= BH_MERCHANT_SUSPENDING && state <= BH_MERCHANT_RESUMING;
}

static bool parking_read(bh_reader *r, unsigned state, uint8_t out[BH_ID_LEN])
{
	return may_have_parking(state) && id_read(r, out) && memcmp(out, no_parking, BH_ID_LEN) != 0;
}

/* `state`: of the merchant. */
static bool why_read(bh_reader *r, unsigned state, bh_suspend_cause *cause_out, char note_out[BH_SUSPEND_NOTE_MAX + 1],
		     uint8_t parking_out[BH_ID_LEN])
{
	unsigned first = bh_read_u8(r), cause = first & ~HAS_PARKING;
	bh_view note = bh_read_blob16(r);

	if (!bh_reader_ok(r) || !cause_known(cause) || note.len > BH_SUSPEND_NOTE_MAX ||
	    (note.len > 0 && memchr(note.data, 0, note.len) != NULL))
		return false;
	memset(parking_out, 0, BH_ID_LEN);
	if ((first & HAS_PARKING) != 0 && !parking_read(r, state, parking_out))
		return false;
	*cause_out = (bh_suspend_cause)cause;
	memset(note_out, 0, BH_SUSPEND_NOTE_MAX + 1);
	if (note.len > 0)
		memcpy(note_out, note.data, note.len);
	return true;
}

/* Merchant, the payload of MERCHANT_ADDED, too: blob16 name, 16 id, blob16 region, u8 state, i64 created at, i64 changed at,
 * why it is suspended, blob16 CMK URI, u8 count of former CMKs, these, u16 count of DEKs, the DEKs, in SHREDDING and SHREDDED the
 * record of the shred */

static bh_status deks_encode(const bh_merchant_record *merchant, bh_buf *out)
{
	if (merchant->dek_count > UINT16_MAX)
		return bh_fail(BH_E_INVALID, "'%s': %zu DEKs; 65535 are the most", merchant->name, merchant->dek_count);
	BH_TRY(bh_buf_append_u16(out, (uint16_t)merchant->dek_count));
	for (size_t i = 0; i < merchant->dek_count; i++)
		BH_TRY(bh_dek_record_encode(&merchant->deks[i], out));
	return BH_OK;
}

bh_status bh_merchant_record_encode(const bh_merchant_record *merchant, bh_buf *out)
{
	BH_TRY(text_append(out, merchant->name));
	BH_TRY(bh_buf_append(out, merchant->id, BH_ID_LEN));
	BH_TRY(text_append(out, merchant->region));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)merchant->state));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)merchant->created_at_s));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)merchant->changed_at_s));
	BH_TRY(why_encode(merchant->cause, merchant->note, merchant->parking, out));
	BH_TRY(text_append(out, merchant->cmk_uri));
	BH_TRY(bh_former_cmks_encode(merchant, out));
	BH_TRY(deks_encode(merchant, out));
	return is_ending(merchant->state) ? bh_shred_record_encode(&merchant->shred, out) : BH_OK;
}

static bh_status merchant_fields(bh_reader *r, bh_merchant_record *out)
{
	if (!name_read(r, out->name) || !id_read(r, out->id) || !name_read(r, out->region))
		return malformed("name, id or region of a merchant");
	unsigned state = bh_read_u8(r);
	out->created_at_s = (int64_t)bh_read_u64(r);
	out->changed_at_s = (int64_t)bh_read_u64(r);
	if (!why_read(r, state, &out->cause, out->note, out->parking))
		return malformed("why a merchant is suspended");
	bh_view uri = bh_read_blob16(r);
	if (!bh_reader_ok(r) || !state_known(state) || uri.len == 0 || uri.len > BH_KMS_URI_MAX ||
	    memchr(uri.data, 0, uri.len) != NULL)
		return malformed("state or CMK of a merchant");
	out->state = (bh_merchant_state)state;
	out->cmk_uri = strndup((const char *)uri.data, uri.len);
	return out->cmk_uri != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "no memory for merchant '%s'", out->name);
}

static bh_status shred_decode(bh_reader *r, bh_merchant_state state, bh_shred_record *out)
{
	BH_TRY(bh_shred_record_decode(r, out));
	if ((out->destroyed_at_ms != 0) != (state == BH_MERCHANT_SHREDDED))
		return malformed("end of a shred");
	return BH_OK;
}

static bool has_class(const bh_merchant_record *merchant, const char *cls)
{
	for (size_t i = 0; i < merchant->dek_count; i++)
		if (strcmp(merchant->deks[i].cls, cls) == 0)
			return true;
	return false;
}

static bh_status deks_decode(bh_reader *r, bh_merchant_record *out)
{
	size_t count = bh_read_u16(r);

	if (!bh_reader_ok(r))
		return malformed("DEKs");
	if (count == 0)
		return BH_OK;
	out->deks = calloc(count, sizeof(*out->deks));
	if (out->deks == NULL)
		return bh_fail(BH_E_NOMEM, "'%s': no memory for %zu DEKs", out->name, count);
	for (size_t i = 0; i < count; i++) {
		out->dek_count = i + 1;
		BH_TRY(bh_dek_record_decode(r, &out->deks[i]));
	}
	return bh_deks_check(out->deks, out->dek_count, out->state == BH_MERCHANT_SHREDDED);
}

/* None: a state that is no database's, but a copy of one merchant. */
static bh_status platform_decode(bh_reader *r, bh_merchant_record *out)
{
	out->state = BH_MERCHANT_ACTIVE;
	BH_TRY(deks_decode(r, out));
	if (out->dek_count > 0 && (bh_deks_class_count(out->deks, out->dek_count) != 1 || !has_class(out, "")))
		return malformed("DEKs of the platform");
	return BH_OK;
}

/* On failure `out` holds what was read so far, and is the caller's to clear. */
static bh_status merchant_decode(bh_reader *r, bh_merchant_record *out)
{
	BH_TRY(merchant_fields(r, out));
	BH_TRY(bh_former_cmks_decode(r, out));
	BH_TRY(deks_decode(r, out));
	if (out->dek_count == 0 || has_class(out, ""))
		return malformed("DEKs of a merchant");
	return is_ending(out->state) ? shred_decode(r, out->state, &out->shred) : BH_OK;
}

/* Snapshot: u16 count of the platform's DEKs, these, u32 count of merchants, the merchants */

bh_status bh_keyring_state_encode(const bh_keyring_state *state, bh_buf *out)
{
	BH_TRY(deks_encode(&state->platform, out));
	BH_TRY(bh_buf_append_u32(out, (uint32_t)state->count));
	for (size_t i = 0; i < state->count; i++)
		BH_TRY(bh_merchant_record_encode(&state->merchants[i], out));
	return BH_OK;
}

bh_status bh_keyring_state_decode(bh_view payload, bh_keyring_state *out)
{
	BH_CLEANUP(bh_keyring_state_clear) bh_keyring_state state = { 0 };
	bh_reader r = bh_reader_of(payload);
	uint32_t count;

	BH_TRY(platform_decode(&r, &state.platform));
	count = bh_read_u32(&r);
	for (uint32_t i = 0; i < count; i++) {
		BH_CLEANUP(bh_merchant_record_clear) bh_merchant_record merchant = { 0 };
		BH_TRY(merchant_decode(&r, &merchant));
		BH_TRY(state_push(&state, &merchant));
	}
	if (!bh_reader_done(&r))
		return malformed("length of a snapshot");
	*out = state;
	state = (bh_keyring_state){ 0 };
	return BH_OK;
}

bh_status bh_keyring_state_copy(const bh_keyring_state *state, bh_keyring_state *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	BH_TRY(bh_keyring_state_encode(state, &bytes));
	return bh_keyring_state_decode(bh_buf_view(&bytes), out);
}

/* State change: 16 merchant id, u8 state, i64 at, why it is suspended */

bh_status bh_state_change_encode(const uint8_t merchant_id[BH_ID_LEN], const bh_state_change *change, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, merchant_id, BH_ID_LEN));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)change->state));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)change->at_s));
	return why_encode(change->cause, change->note, change->parking, out);
}

static bh_status apply_state_change(bh_keyring_state *state, bh_view payload)
{
	bh_reader r = bh_reader_of(payload);
	uint8_t id[BH_ID_LEN] = { 0 }, parking[BH_ID_LEN];
	char note[BH_SUSPEND_NOTE_MAX + 1];
	bh_suspend_cause cause;

	id_read(&r, id);
	unsigned next = bh_read_u8(&r);
	int64_t at_s = (int64_t)bh_read_u64(&r);
	if (!why_read(&r, next, &cause, note, parking) || !bh_reader_done(&r))
		return malformed("change of a state");

	bh_merchant_record *merchant = bh_keyring_state_find_id(state, id);
	if (merchant == NULL || is_ending(next) || !bh_merchant_state_may(merchant->state, next))
		return malformed("impossible change of a state");
	merchant->state = (bh_merchant_state)next;
	merchant->changed_at_s = at_s;
	merchant->cause = cause;
	memcpy(merchant->note, note, sizeof(note));
	memcpy(merchant->parking, parking, sizeof(parking));
	return BH_OK;
}

/* Shred: 16 merchant id, the record of the shred */

bh_status bh_shred_edit_encode(const uint8_t merchant_id[BH_ID_LEN], const bh_shred_record *shred, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, merchant_id, BH_ID_LEN));
	return bh_shred_record_encode(shred, out);
}

static bh_status apply_shred(bh_keyring_state *state, bh_view payload)
{
	bh_reader r = bh_reader_of(payload);
	bh_shred_record shred = { 0 };
	uint8_t id[BH_ID_LEN] = { 0 };

	id_read(&r, id);
	bh_merchant_record *merchant = bh_keyring_state_find_id(state, id);
	if (merchant == NULL)
		return malformed("shred of nobody");
	bool shredded = merchant->state == BH_MERCHANT_SHREDDED;
	BH_TRY(shred_decode(&r, shredded ? BH_MERCHANT_SHREDDED : BH_MERCHANT_SHREDDING, &shred));
	if (!bh_reader_done(&r))
		return malformed("length of a shred");
	if (!is_ending(merchant->state)) {
		merchant->state = BH_MERCHANT_SHREDDING;
		merchant->changed_at_s = shred.asked_at_ms / 1000;
		merchant->cause = BH_SUSPEND_NONE;
		memset(merchant->note, 0, sizeof(merchant->note));
		memset(merchant->parking, 0, sizeof(merchant->parking));
	}
	merchant->shred = shred;
	return BH_OK;
}

/* DEKs added: 16 merchant id, u8 marks, i64 at, u16 count of DEKs, the DEKs */

bh_status bh_deks_added_encode(const uint8_t merchant_id[BH_ID_LEN], const bh_deks_added *added, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, merchant_id, BH_ID_LEN));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)added->marks));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)added->at_s));
	BH_TRY(bh_buf_append_u16(out, (uint16_t)added->count));
	for (size_t i = 0; i < added->count; i++)
		BH_TRY(bh_dek_record_encode(&added->deks[i], out));
	return BH_OK;
}

/* Makes room behind the merchant's DEKs, and reads one generation into it. On failure the record is of no use. */
static bh_status deks_append(bh_reader *r, bh_merchant_record *merchant, size_t count)
{
	bh_dek_record *grown = realloc(merchant->deks, (merchant->dek_count + count) * sizeof(*grown));
	size_t before = merchant->dek_count;

	if (grown == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for %zu DEKs of merchant '%s'", count, merchant->name);
	memset(grown + before, 0, count * sizeof(*grown));
	merchant->deks = grown;
	for (size_t i = 0; i < count; i++) {
		bh_dek_record *dek = &merchant->deks[merchant->dek_count++];

		BH_TRY(bh_dek_record_decode(r, dek));
		if (bh_dek_record_is_tombstone(dek) || bh_deks_find(merchant->deks, merchant->dek_count - 1, dek->id) != NULL)
			return malformed("new DEK");
	}
	return BH_OK;
}

static bool marks_known(unsigned marks)
{
	return (marks & ~(unsigned)BH_DEK_MARKS) == 0;
}

static bh_status apply_deks_added(bh_keyring_state *state, bh_view payload)
{
	bh_reader r = bh_reader_of(payload);
	uint8_t id[BH_ID_LEN] = { 0 };

	id_read(&r, id);
	unsigned marks = bh_read_u8(&r);
	int64_t at_s = (int64_t)bh_read_u64(&r);
	size_t count = bh_read_u16(&r);
	bh_merchant_record *merchant = bh_keyring_state_owner_id(state, id);
	if (!bh_reader_ok(&r) || merchant == NULL || merchant->state != BH_MERCHANT_ACTIVE || !marks_known(marks) || at_s <= 0 ||
	    count != bh_deks_class_count(merchant->deks, merchant->dek_count) || merchant->dek_count + count > UINT16_MAX)
		return malformed("impossible generation of DEKs");
	BH_TRY(deks_append(&r, merchant, count));
	bh_deks_mark(merchant->deks, merchant->dek_count, marks, at_s);
	return bh_reader_done(&r) ? bh_deks_check(merchant->deks, merchant->dek_count, false)
				  : malformed("length of a generation of DEKs");
}

/* DEKs marked: 16 merchant id, u8 marks, i64 at */

bh_status bh_deks_marked_encode(const uint8_t merchant_id[BH_ID_LEN], unsigned marks, int64_t at_s, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, merchant_id, BH_ID_LEN));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)marks));
	return bh_buf_append_u64(out, (uint64_t)at_s);
}

static bh_status apply_deks_marked(bh_keyring_state *state, bh_view payload)
{
	bh_reader r = bh_reader_of(payload);
	uint8_t id[BH_ID_LEN] = { 0 };

	id_read(&r, id);
	unsigned marks = bh_read_u8(&r);
	int64_t at_s = (int64_t)bh_read_u64(&r);
	bh_merchant_record *merchant = bh_keyring_state_owner_id(state, id);
	if (!bh_reader_done(&r) || merchant == NULL || is_ending(merchant->state) || !marks_known(marks) || at_s <= 0 ||
	    bh_deks_mark(merchant->deks, merchant->dek_count, marks, at_s) == 0)
		return malformed("impossible mark of DEKs");
	return BH_OK;
}

/* DEKs sealed: once or more, 16 merchant id, 16 DEK id, u64 bytes */

bh_status bh_dek_sealed_encode(const uint8_t merchant_id[BH_ID_LEN], const uint8_t dek_id[BH_ID_LEN], uint64_t bytes, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, merchant_id, BH_ID_LEN));
	BH_TRY(bh_buf_append(out, dek_id, BH_ID_LEN));
	return bh_buf_append_u64(out, bytes);
}

static bh_dek_record *dek_of(const bh_merchant_record *merchant, const uint8_t id[BH_ID_LEN])
{
	const bh_dek_record *found =
		merchant != NULL && !is_ending(merchant->state) ? bh_deks_find(merchant->deks, merchant->dek_count, id) : NULL;

	return found != NULL ? &merchant->deks[found - merchant->deks] : NULL;
}

static bh_status apply_deks_sealed(bh_keyring_state *state, bh_view payload)
{
	bh_reader r = bh_reader_of(payload);

	do {
		uint8_t merchant_id[BH_ID_LEN] = { 0 }, id[BH_ID_LEN] = { 0 };

		id_read(&r, merchant_id);
		id_read(&r, id);
		uint64_t bytes = bh_read_u64(&r);
		bh_dek_record *dek = dek_of(bh_keyring_state_owner_id(state, merchant_id), id);
		if (!bh_reader_ok(&r) || dek == NULL || bh_dek_record_is_tombstone(dek) || bytes <= dek->sealed)
			return malformed("impossible number of bytes sealed under a DEK");
		dek->sealed = bytes;
	} while (!bh_reader_done(&r));
	return BH_OK;
}

static bh_status apply_merchant_added(bh_keyring_state *state, bh_view payload)
{
	BH_CLEANUP(bh_merchant_record_clear) bh_merchant_record merchant = { 0 };
	bh_reader r = bh_reader_of(payload);

	BH_TRY(merchant_decode(&r, &merchant));
	if (!bh_reader_done(&r) || merchant.state != BH_MERCHANT_CREATING || merchant.former_count != 0 ||
	    bh_deks_generation(merchant.deks, merchant.dek_count) != 1)
		return malformed("new merchant");
	if (bh_keyring_state_twin(state, merchant.name) != NULL || bh_keyring_state_find_id(state, merchant.id) != NULL)
		return malformed("new merchant of a name or id in use");
	return state_push(state, &merchant);
}

bh_status bh_keyring_state_apply(bh_keyring_state *state, uint8_t type, bh_view payload)
{
	switch (type) {
	case BH_KEYRING_MERCHANT_ADDED: return apply_merchant_added(state, payload);
	case BH_KEYRING_STATE_CHANGED: return apply_state_change(state, payload);
	case BH_KEYRING_SHRED: return apply_shred(state, payload);
	case BH_KEYRING_DEKS_ADDED: return apply_deks_added(state, payload);
	case BH_KEYRING_DEKS_MARKED: return apply_deks_marked(state, payload);
	case BH_KEYRING_DEKS_SEALED: return apply_deks_sealed(state, payload);
	case BH_KEYRING_FORMER_ANSWERED: return bh_former_answered_apply(state, payload);
	default: return bh_fail(BH_E_VERSION, "has a record of type %u, which this build does not know", type);
	}
}
