/* SPDX-License-Identifier: Apache-2.0
 *
 * generations.c: see generations.h.
 */
#include "generations.h"

#include <strings.h>

#include "keyring/kms/kms.h"

#define FINGERPRINT_LABEL "bulkhead dek fingerprint v1"

/* One DEK */

void bh_dek_record_clear(bh_dek_record *dek)
{
	bh_buf_clear(&dek->wrapped);
}

bh_status bh_dek_record_fingerprint(const bh_dek_record *dek, uint8_t out[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	if (bh_dek_record_is_tombstone(dek)) {
		memcpy(out, dek->fingerprint, BH_SHA256_LEN);
		return BH_OK;
	}
	BH_TRY(bh_buf_append(&bytes, FINGERPRINT_LABEL, strlen(FINGERPRINT_LABEL)));
	BH_TRY(bh_buf_append(&bytes, dek->id, BH_ID_LEN));
	BH_TRY(bh_buf_append(&bytes, dek->wrapped.data, dek->wrapped.len));
	return bh_sha256(bh_buf_view(&bytes), out);
}

bh_status bh_dek_record_bury(bh_dek_record *dek, int64_t retired_at_s)
{
	uint8_t fingerprint[BH_SHA256_LEN];

	if (bh_dek_record_is_tombstone(dek))
		return BH_OK;
	BH_TRY(bh_dek_record_fingerprint(dek, fingerprint));
	memcpy(dek->fingerprint, fingerprint, sizeof(fingerprint));
	dek->retired_at_s = retired_at_s;
	dek->sealed = 0;
	bh_buf_clear(&dek->wrapped);
	return BH_OK;
}

static bh_status malformed(const char *what)
{
	return bh_fail(BH_E_FORMAT, "a record has the wrong form (%s); it was written by another version of this program", what);
}

/* DEK: blob16 class, 16 id, u32 generation, u32 CMK version, i64 created at, u8 marks, i64 marked at, u64 bytes sealed if the marks
 * say so, blob16 wrap; in a tombstone the wrap is empty, and i64 retired at, 32 fingerprint follow */

enum { SEALED_FOLLOWS = 0x80 }; /* among the marks; no mark of the DEK */

bh_status bh_dek_record_encode(const bh_dek_record *dek, bh_buf *out)
{
	BH_TRY(bh_buf_append_blob16(out, bh_view_str(dek->cls)));
	BH_TRY(bh_buf_append(out, dek->id, BH_ID_LEN));
	BH_TRY(bh_buf_append_u32(out, dek->generation));
	BH_TRY(bh_buf_append_u32(out, dek->cmk_version));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)dek->created_at_s));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)(dek->marks | (dek->sealed != 0 ? SEALED_FOLLOWS : 0))));
	BH_TRY(bh_buf_append_u64(out, (uint64_t)dek->marked_at_s));
	if (dek->sealed != 0)
		BH_TRY(bh_buf_append_u64(out, dek->sealed));
	BH_TRY(bh_buf_append_blob16(out, bh_buf_view(&dek->wrapped)));
	if (!bh_dek_record_is_tombstone(dek))
		return BH_OK;
	BH_TRY(bh_buf_append_u64(out, (uint64_t)dek->retired_at_s));
	return bh_buf_append(out, dek->fingerprint, sizeof(dek->fingerprint));
}

static bool class_read(bh_reader *r, char out[BH_NAME_MAX + 1])
{
	bh_view name = bh_read_blob16(r);

	if (!bh_reader_ok(r) || name.len > BH_NAME_MAX || (name.len > 0 && memchr(name.data, 0, name.len) != NULL))
		return false;
	if (name.len > 0)
		memcpy(out, name.data, name.len);
	out[name.len] = '\0';
	return name.len == 0 || bh_name_check("class in the keyring", out) == BH_OK;
}

static bool tombstone_read(bh_reader *r, bh_dek_record *out)
{
	out->retired_at_s = (int64_t)bh_read_u64(r);
	bh_view fingerprint = bh_read_bytes(r, BH_SHA256_LEN);

	if (!bh_reader_ok(r) || out->retired_at_s < 0)
		return false;
	memcpy(out->fingerprint, fingerprint.data, BH_SHA256_LEN);
	return true;
}

bh_status bh_dek_record_decode(bh_reader *r, bh_dek_record *out)
{
	if (!class_read(r, out->cls))
		return malformed("class of a DEK");
	bh_view id = bh_read_bytes(r, BH_ID_LEN);
	out->generation = bh_read_u32(r);
	out->cmk_version = bh_read_u32(r);
	out->created_at_s = (int64_t)bh_read_u64(r);
	unsigned marks = bh_read_u8(r);
	bool sealed_follows = (marks & SEALED_FOLLOWS) != 0;
	out->marks = marks & ~(unsigned)SEALED_FOLLOWS;
	out->marked_at_s = (int64_t)bh_read_u64(r);
	out->sealed = sealed_follows ? bh_read_u64(r) : 0;
	bh_view wrapped = bh_read_blob16(r);
	if (!bh_reader_ok(r) || out->generation == 0 || out->cmk_version == 0 || wrapped.len > BH_KMS_WRAPPED_MAX)
		return malformed("DEK");
	if (sealed_follows && (out->sealed == 0 || wrapped.len == 0))
		return malformed("bytes sealed under a DEK");
	memcpy(out->id, id.data, BH_ID_LEN);
	if (wrapped.len == 0)
		return tombstone_read(r, out) ? BH_OK : malformed("tombstone of a DEK");
	return bh_buf_append(&out->wrapped, wrapped.data, wrapped.len);
}

/* Several */

size_t bh_deks_class_count(const bh_dek_record *deks, size_t count)
{
	size_t classes = 0;

	while (classes < count && deks[classes].generation == 1)
		classes++;
	return classes;
}

uint32_t bh_deks_generation(const bh_dek_record *deks, size_t count)
{
	return count > 0 ? deks[count - 1].generation : 0;
}

bool bh_deks_is_newest(const bh_dek_record *deks, size_t count, size_t idx)
{
	return deks[idx].generation == bh_deks_generation(deks, count);
}

const bh_dek_record *bh_deks_wrapped(const bh_dek_record *deks, size_t count)
{
	for (size_t i = count; i-- > 0;)
		if (!bh_dek_record_is_tombstone(&deks[i]))
			return &deks[i];
	return NULL;
}

const bh_dek_record *bh_deks_find(const bh_dek_record *deks, size_t count, const uint8_t id[BH_ID_LEN])
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(deks[i].id, id, BH_ID_LEN) == 0)
			return &deks[i];
	return NULL;
}

bool bh_dek_record_takes(const bh_dek_record *dek, unsigned marks)
{
	return !bh_dek_record_is_tombstone(dek) && (dek->marks | marks) != dek->marks;
}

size_t bh_deks_mark(bh_dek_record *deks, size_t count, unsigned marks, int64_t at_s)
{
	size_t changed = 0;

	for (size_t i = 0; i < count; i++) {
		bh_dek_record *dek = &deks[i];

		if (bh_deks_is_newest(deks, count, i) || !bh_dek_record_takes(dek, marks))
			continue;
		dek->marks |= marks;
		dek->marked_at_s = at_s;
		changed++;
	}
	return changed;
}

/* Without case: each class has a directory, and not every file system tells "A" from "a". */
static bool classes_are_distinct(const bh_dek_record *deks, size_t classes)
{
	for (size_t i = 1; i < classes; i++)
		for (size_t j = 0; j < i; j++)
			if (strcasecmp(deks[i].cls, deks[j].cls) == 0)
				return false;
	return true;
}

static bool marks_are_sound(const bh_dek_record *dek, bool newest)
{
	if ((dek->marks & ~(unsigned)BH_DEK_MARKS) != 0 || (newest && dek->marks != 0))
		return false;
	return dek->marks != 0 ? dek->marked_at_s > 0 : dek->marked_at_s == 0;
}

static bool end_is_sound(const bh_dek_record *dek, bool newest, bool shredded)
{
	if (!bh_dek_record_is_tombstone(dek))
		return !shredded;
	return dek->retired_at_s != 0 ? !newest : shredded;
}

bh_status bh_deks_check(const bh_dek_record *deks, size_t count, bool shredded)
{
	size_t classes = bh_deks_class_count(deks, count);

	if (classes == 0 || classes > BH_CLASSES_MAX || count % classes != 0 || !classes_are_distinct(deks, classes))
		return malformed("classes of a merchant");
	for (size_t i = 0; i < count; i++) {
		bool newest = i >= count - classes;

		if (deks[i].generation != i / classes + 1 || strcmp(deks[i].cls, deks[i % classes].cls) != 0)
			return malformed("generations of a merchant's DEKs");
		if (!marks_are_sound(&deks[i], newest) || !end_is_sound(&deks[i], newest, shredded))
			return malformed("marks or end of a DEK");
	}
	return BH_OK;
}
