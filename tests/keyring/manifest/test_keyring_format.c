/* SPDX-License-Identifier: Apache-2.0
 *
 * test_keyring_format.c: the bytes of KEYRING without any file: head, mark, records, and the scan over a whole image.
 * Round trips, every truncation, every flipped bit; records moved, doubled, dropped, put together from two chains.
 */
#include "tests/keyring/ring/keyring_fixture.h"

#include "keyring/manifest/scan.h"

static bh_secret mac_key;

static int setup(void **state)
{
	static const uint8_t bytes[BH_SHA256_LEN] = { 1, 2, 3 };
	(void)state;

	return bh_secret_copy(&mac_key, bh_view_of(bytes, sizeof(bytes))) == BH_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	bh_secret_clear(&mac_key);
	return 0;
}

static void flip(uint8_t *bytes, size_t bit)
{
	bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* Head */

static bh_keyring_head head_sample(size_t uri_len)
{
	bh_keyring_head head = { .created_at_s = 1700000000, .cmk_version = 3, .region = "eu-west", .wrapped_len = 65 };

	memset(head.database_id, 0xd1, BH_ID_LEN);
	memset(head.root_id, 0xd2, BH_ID_LEN);
	memset(head.cmk_uri, 'u', uri_len);
	memset(head.wrapped, 0xee, head.wrapped_len);
	return head;
}

static void test_head_round_trip(void **state)
{
	static const size_t uri_lens[] = { 1, 40, BH_KMS_URI_MAX };
	(void)state;

	for (size_t i = 0; i < sizeof(uri_lens) / sizeof(uri_lens[0]); i++) {
		bh_keyring_head head = head_sample(uri_lens[i]), decoded;
		uint8_t bytes[BH_KEYRING_HEAD_LEN], mac[BH_SHA256_LEN], verified[BH_SHA256_LEN];

		if (i == 2) {
			head.wrapped_len = BH_KMS_WRAPPED_MAX;
			memset(head.region, 'r', BH_NAME_MAX);
		}
		assert_done(bh_keyring_head_encode(&head, &mac_key, bytes, mac));
		assert_done(bh_keyring_head_decode(bytes, &decoded));
		assert_done(bh_keyring_head_verify(bytes, &mac_key, verified));
		assert_memory_equal(&decoded, &head, sizeof(head));
		assert_memory_equal(mac, verified, sizeof(mac));
	}
}

static void test_head_refuses_every_flip(void **state)
{
	bh_keyring_head head = head_sample(40), decoded;
	uint8_t bytes[BH_KEYRING_HEAD_LEN], mac[BH_SHA256_LEN];
	(void)state;

	assert_done(bh_keyring_head_encode(&head, &mac_key, bytes, mac));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		flip(bytes, bit);
		bh_status decode = bh_keyring_head_decode(bytes, &decoded);
		if (bit < 64)
			assert_status(decode, BH_E_FORMAT);
		else if (bit < 80)
			assert_status(decode, BH_E_VERSION);
		else if (bit < (BH_KEYRING_HEAD_LEN - BH_SHA256_LEN) * 8)
			assert_status(decode, BH_E_TAG);
		assert_status(bh_keyring_head_verify(bytes, &mac_key, mac), BH_E_TAG);
		flip(bytes, bit);
	}
}

/* Mark */

static void test_mark_round_trip_and_flips(void **state)
{
	bh_keyring_mark mark = { .generation = 77, .committed_len = 4242 }, decoded;
	uint8_t bytes[BH_KEYRING_MARK_LEN];
	(void)state;

	memset(mark.chain, 0xc4, sizeof(mark.chain));
	mark.audit.size = 1234567;
	memset(mark.audit.root, 0xa7, sizeof(mark.audit.root));
	mark.sequence = 4711;
	mark.ledger = (bh_ledger){ .manifest_count = 2, .wal_count = BH_LEDGER_WALS, .older_count = 3, .gone = 5 };
	memset(mark.ledger.older_digest, 0xd1, sizeof(mark.ledger.older_digest));
	for (size_t i = 0; i < BH_LEDGER_WALS; i++)
		mark.ledger.wals[i] = (bh_ledger_log){ .number = 100 + i, .salt = { 1 + (uint8_t)i }, .end = 4096 + i };
	mark.ledger.manifests[0] = (bh_ledger_log){ .number = 7, .salt = { 0xee }, .end = 5000 };
	mark.ledger.manifests[1] = (bh_ledger_log){ .number = 9, .salt = { 0xef }, .end = 6000 };
	assert_done(bh_keyring_mark_encode(&mark, &mac_key, bytes));
	assert_done(bh_keyring_mark_decode(bytes, &mac_key, &decoded));
	assert_memory_equal(&decoded, &mark, sizeof(mark));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		flip(bytes, bit);
		assert_status(bh_keyring_mark_decode(bytes, &mac_key, &decoded), bit < 496 * 8 ? BH_E_TAG : BH_E_FORMAT);
		flip(bytes, bit);
	}
	mark.ledger.wal_count = 1; /* the other slots are no part of the message, and zeros */
	memset(&mark.ledger.wals[1], 0, (BH_LEDGER_WALS - 1) * sizeof(mark.ledger.wals[1]));
	assert_done(bh_keyring_mark_encode(&mark, &mac_key, bytes));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		const bool unused = (bit >= 232 * 8 && bit < 456 * 8) || bit >= 496 * 8;

		flip(bytes, bit);
		assert_status(bh_keyring_mark_decode(bytes, &mac_key, &decoded), unused ? BH_E_FORMAT : BH_E_TAG);
		flip(bytes, bit);
	}
	mark.committed_len = BH_KEYRING_RECORDS_OFF - 1;
	assert_done(bh_keyring_mark_encode(&mark, &mac_key, bytes));
	assert_status(bh_keyring_mark_decode(bytes, &mac_key, &decoded), BH_E_FORMAT);
}

/* Marks as they follow one another: syncs, new WALs, WALs that go, a commit. */
static void test_marks_of_a_series(void **state)
{
	BH_CLEANUP(bh_hmac_series_freep) bh_hmac_series *series = NULL;
	bh_keyring_mark mark = { .generation = 1, .committed_len = BH_KEYRING_RECORDS_OFF, .ledger = { .manifest_count = 1 } };
	(void)state;

	assert_done(bh_hmac_series_new(bh_secret_view(&mac_key), &series));
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t bytes[BH_KEYRING_MARK_LEN], alone[BH_KEYRING_MARK_LEN];
		bh_ledger *ledger = &mark.ledger;

		mark.sequence++;
		if (i % 50 == 0) {
			ledger->wal_count = (uint8_t)((i / 50 * 5) % (BH_LEDGER_WALS + 1));
			memset(ledger->wals, 0, sizeof(ledger->wals));
		}
		if (i % 333 == 0)
			mark.generation++;
		if (ledger->wal_count > 0)
			ledger->wals[i % 7 == 0 ? 0 : ledger->wal_count - 1].end = i;
		assert_done(bh_keyring_mark_encode_next(&mark, series, bytes));
		assert_done(bh_keyring_mark_encode(&mark, &mac_key, alone));
		assert_memory_equal(bytes, alone, sizeof(bytes));
	}
}

/* Records */

static void test_record_round_trip_truncations_and_flips(void **state)
{
	static const size_t lens[] = { 0, 1, 100 };
	static const uint8_t payload[100] = { 9, 8, 7 };
	(void)state;

	for (size_t i = 0; i < 3; i++) {
		uint8_t chain[BH_SHA256_LEN] = { 5 }, before[BH_SHA256_LEN] = { 5 }, other[BH_SHA256_LEN] = { 6 };
		bh_keyring_record record;
		bh_buf bytes = { 0 };

		assert_done(bh_keyring_record_encode(BH_KEYRING_STATE_CHANGED, 12, bh_view_of(payload, lens[i]), &mac_key, chain,
						     &bytes));
		assert_int_equal(bytes.len, lens[i] + BH_KEYRING_RECORD_OVERHEAD);
		assert_done(bh_keyring_record_decode(bh_buf_view(&bytes), &mac_key, before, &record));
		assert_int_equal(record.type, BH_KEYRING_STATE_CHANGED);
		assert_int_equal(record.generation, 12);
		assert_int_equal(record.payload.len, lens[i]);
		assert_memory_equal(record.payload.data, payload, lens[i]);
		assert_memory_equal(record.chain, chain, sizeof(chain));
		assert_int_equal(record.len, bytes.len);
		assert_status(bh_keyring_record_decode(bh_buf_view(&bytes), &mac_key, other, &record), BH_E_TAG);
		for (size_t len = 0; len < bytes.len; len++)
			assert_status(bh_keyring_record_decode(bh_view_of(bytes.data, len), &mac_key, before, &record),
				      BH_E_TRUNCATED);
		for (size_t bit = 0; bit < bytes.len * 8; bit++) {
			flip(bytes.data, bit);
			bh_status status = bh_keyring_record_decode(bh_buf_view(&bytes), &mac_key, before, &record);
			assert_true(status == BH_E_FORMAT || (status == BH_E_TRUNCATED && bit < 32));
			flip(bytes.data, bit);
		}
		bh_buf_clear(&bytes);
	}
}

/* Whole images, with `n` records of which the first `committed` are covered by the mark. */

struct image {
	bh_buf bytes;
	size_t ends[8]; /* offset of each record's end */
};

static struct image image_make_salted(uint8_t database, uint8_t salt, size_t n, size_t committed)
{
	struct image image = { 0 };
	bh_keyring_head head = head_sample(10);
	bh_keyring_mark mark = { 0 };
	uint8_t chain[BH_SHA256_LEN], payload[3] = { 0, salt, 0 };

	head.database_id[0] = database;
	assert_done(bh_buf_reserve(&image.bytes, BH_KEYRING_RECORDS_OFF));
	assert_done(bh_keyring_head_encode(&head, &mac_key, image.bytes.data, chain));
	image.bytes.len = BH_KEYRING_RECORDS_OFF;
	for (size_t i = 0; i < n; i++) {
		payload[0] = (uint8_t)i;
		assert_done(bh_keyring_record_encode(i == 0 ? BH_KEYRING_SNAPSHOT : BH_KEYRING_STATE_CHANGED, i + 1,
						     bh_view_of(payload, sizeof(payload)), &mac_key, chain, &image.bytes));
		image.ends[i] = image.bytes.len;
		if (i + 1 == committed) {
			mark.generation = committed;
			mark.committed_len = image.bytes.len;
			memcpy(mark.chain, chain, sizeof(chain));
		}
	}
	assert_done(bh_keyring_mark_encode(&mark, &mac_key, image.bytes.data + BH_KEYRING_HEAD_LEN));
	return image;
}

static struct image image_make(uint8_t database, size_t n, size_t committed)
{
	return image_make_salted(database, 0, n, committed);
}

static bh_status count_records(void *arg, const bh_keyring_record *record)
{
	size_t *count = arg;

	assert_int_equal(record->payload.data[0], *count);
	++*count;
	return BH_OK;
}

static bh_status scan(bh_view bytes, size_t *count, bh_keyring_scan_result *out)
{
	*count = 0;
	return bh_keyring_scan(bytes, &mac_key, count_records, count, out);
}

static void test_scan_finds_what_counts(void **state)
{
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	for (size_t committed = 1; committed <= 4; committed++) {
		struct image image = image_make(1, 4, committed);
		for (size_t len = image.ends[committed - 1]; len <= image.bytes.len; len++) {
			size_t whole = committed;
			while (whole < 4 && image.ends[whole] <= len)
				whole++;
			assert_done(scan(bh_view_of(image.bytes.data, len), &count, &result));
			assert_int_equal(count, whole);
			assert_int_equal(result.found.generation, whole);
			assert_int_equal(result.found.committed_len, image.ends[whole - 1]);
			assert_int_equal(result.stored.committed_len, image.ends[committed - 1]);
			assert_int_equal(result.snapshot_len, image.ends[0] - BH_KEYRING_RECORDS_OFF);
			assert_int_equal(result.torn, len != image.ends[whole - 1]);
		}
		bh_buf_clear(&image.bytes);
	}
}

static void test_scan_refuses_every_cut_below_the_mark(void **state)
{
	struct image image = image_make(1, 4, 3);
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	for (size_t len = 0; len < image.ends[2]; len++)
		assert_status(scan(bh_view_of(image.bytes.data, len), &count, &result), BH_E_TRUNCATED);
	bh_buf_clear(&image.bytes);
}

static void test_scan_refuses_every_flip_below_the_mark(void **state)
{
	struct image image = image_make(1, 4, 3);
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	for (size_t bit = 0; bit < image.ends[2] * 8; bit++) {
		flip(image.bytes.data, bit);
		bh_status status = scan(bh_buf_view(&image.bytes), &count, &result);
		assert_true(status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_TRUNCATED);
		flip(image.bytes.data, bit);
	}
	for (size_t bit = image.ends[2] * 8; bit < image.bytes.len * 8; bit++) {
		flip(image.bytes.data, bit);
		assert_done(scan(bh_buf_view(&image.bytes), &count, &result));
		assert_int_equal(count, 3);
		assert_true(result.torn);
		flip(image.bytes.data, bit);
	}
	bh_buf_clear(&image.bytes);
}

/* Pieces of an image in another order. */
static bh_status scan_pieces(const struct image *image, const char *order, size_t *count, bh_keyring_scan_result *result)
{
	bh_buf bytes = { 0 };

	assert_done(bh_buf_append(&bytes, image->bytes.data, BH_KEYRING_RECORDS_OFF));
	for (; *order != '\0'; order++) {
		size_t i = (size_t)(*order - '0');
		size_t start = i == 0 ? BH_KEYRING_RECORDS_OFF : image->ends[i - 1];
		assert_done(bh_buf_append(&bytes, image->bytes.data + start, image->ends[i] - start));
	}
	bh_status status = scan(bh_buf_view(&bytes), count, result);
	bh_buf_clear(&bytes);
	return status;
}

static void test_scan_refuses_records_moved_doubled_dropped(void **state)
{
	static const char *const committed[] = { "1023", "0213", "123", "0023", "0113", "0132", "023", "013", "0122" };
	static const char *const behind[] = { "02", "011", "0101", "0120" };
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	struct image image = image_make(1, 4, 4);
	assert_done(scan_pieces(&image, "0123", &count, &result));
	for (size_t i = 0; i < sizeof(committed) / sizeof(committed[0]); i++)
		assert_true(scan_pieces(&image, committed[i], &count, &result) != BH_OK);
	bh_buf_clear(&image.bytes);

	/* Behind the mark such records are whole, so they are no torn tail, and refused as well. */
	image = image_make(1, 4, 1);
	assert_done(scan_pieces(&image, "0123", &count, &result));
	assert_int_equal(count, 4);
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++)
		assert_status(scan_pieces(&image, behind[i], &count, &result), BH_E_TAG);
	bh_buf_clear(&image.bytes);
}

static void test_scan_refuses_another_database(void **state)
{
	static const size_t cuts[] = { BH_KEYRING_HEAD_LEN, BH_KEYRING_RECORDS_OFF };
	struct image ours = image_make(1, 4, 2), theirs = image_make(2, 4, 2);
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	for (size_t i = 0; i < 2; i++) {
		bh_buf spliced = { 0 };
		assert_done(bh_buf_append(&spliced, ours.bytes.data, cuts[i]));
		assert_done(bh_buf_append(&spliced, theirs.bytes.data + cuts[i], theirs.bytes.len - cuts[i]));
		assert_status(scan(bh_buf_view(&spliced), &count, &result), BH_E_TAG);
		assert_int_equal(count, 0);
		bh_buf_clear(&spliced);
	}
	/* Their record behind our mark. */
	memcpy(ours.bytes.data + ours.ends[1], theirs.bytes.data + theirs.ends[1], theirs.bytes.len - theirs.ends[1]);
	assert_status(scan(bh_buf_view(&ours.bytes), &count, &result), BH_E_TAG);
	bh_buf_clear(&ours.bytes);
	bh_buf_clear(&theirs.bytes);
}

/* A backup was put back and went on by itself: both histories are genuine, of one length and one generation, and do not mix. */
static void test_scan_refuses_the_mark_of_another_history(void **state)
{
	struct image one = image_make_salted(1, 1, 3, 3), other = image_make_salted(1, 2, 3, 3);
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	assert_int_equal(one.bytes.len, other.bytes.len);
	memcpy(one.bytes.data + BH_KEYRING_HEAD_LEN, other.bytes.data + BH_KEYRING_HEAD_LEN, BH_KEYRING_MARK_LEN);
	assert_status(scan(bh_buf_view(&one.bytes), &count, &result), BH_E_TAG);
	bh_buf_clear(&one.bytes);
	bh_buf_clear(&other.bytes);
}

static void test_scan_refuses_wrong_sequences(void **state)
{
	static const struct {
		uint8_t type;
		uint64_t generation;
	} wrong[] = { { BH_KEYRING_STATE_CHANGED, 3 }, { BH_KEYRING_STATE_CHANGED, 1 }, { BH_KEYRING_SNAPSHOT, 2 } };
	bh_keyring_scan_result result;
	size_t count;
	(void)state;

	for (size_t i = 0; i < 3; i++) {
		struct image image = image_make(1, 1, 1);
		assert_done(scan(bh_buf_view(&image.bytes), &count, &result));
		uint8_t payload = 1;
		assert_done(bh_keyring_record_encode((bh_keyring_record_type)wrong[i].type, wrong[i].generation,
						     bh_view_of(&payload, 1), &mac_key, result.found.chain, &image.bytes));
		assert_status(scan(bh_buf_view(&image.bytes), &count, &result), BH_E_FORMAT);
		bh_buf_clear(&image.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_round_trip),
		cmocka_unit_test(test_head_refuses_every_flip),
		cmocka_unit_test(test_mark_round_trip_and_flips),
		cmocka_unit_test(test_marks_of_a_series),
		cmocka_unit_test(test_record_round_trip_truncations_and_flips),
		cmocka_unit_test(test_scan_finds_what_counts),
		cmocka_unit_test(test_scan_refuses_every_cut_below_the_mark),
		cmocka_unit_test(test_scan_refuses_every_flip_below_the_mark),
		cmocka_unit_test(test_scan_refuses_records_moved_doubled_dropped),
		cmocka_unit_test(test_scan_refuses_another_database),
		cmocka_unit_test(test_scan_refuses_the_mark_of_another_history),
		cmocka_unit_test(test_scan_refuses_wrong_sequences),
	};

	return cmocka_run_group_tests_name("keyring_format", tests, setup, teardown);
}
