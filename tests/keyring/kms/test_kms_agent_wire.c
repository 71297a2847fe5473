/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kms_agent_wire.c: the codec between a process and its KMS agent: round trips, fixed bytes, every cut, every flipped bit,
 * rubbish.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/random.h"
#include "keyring/kms/agent/wire.h"

#define assert_status(call, expected) assert_string_equal(bh_status_name(call), bh_status_name(expected))

static const uint8_t dek[BH_DEK_LEN] = { 9, 8, 7, 6, 5 };
static const uint8_t wrap[65] = { 1, 2, 3 };

static bh_agent_request request_of(bh_agent_command command)
{
	bh_agent_request request = { .command = command, .key = "acme" };

	for (size_t i = 0; i < sizeof(request.id); i++)
		request.id[i] = (uint8_t)(0xa0 + i);
	if (command == BH_AGENT_WRAP)
		request.payload = bh_view_of(dek, sizeof(dek));
	if (command == BH_AGENT_UNWRAP)
		request.payload = bh_view_of(wrap, sizeof(wrap));
	if (command == BH_AGENT_WRAP || command == BH_AGENT_UNWRAP)
		request.context = bh_view_str("class=events\n");
	return request;
}

static bh_agent_answer answer_of(bh_agent_command command, bh_status outcome)
{
	bh_agent_answer answer = { .command = command, .key = "acme", .outcome = outcome };

	memset(answer.id, 0x5a, sizeof(answer.id));
	if (outcome != BH_OK) {
		snprintf(answer.message, sizeof(answer.message), "it is disabled");
		return answer;
	}
	if (command == BH_AGENT_DESCRIBE)
		answer.info = (bh_kms_key_info){ .name = "acme",
						 .region = "eu",
						 .state = BH_KMS_PENDING_DELETION,
						 .version = 3,
						 .created_at_s = 1700000000,
						 .changed_at_s = 1700000001,
						 .deletion_window_s = 86400,
						 .scheduled_s = 1700086401,
						 .request_id = "0123" };
	if (command == BH_AGENT_WRAP)
		answer.version = 7;
	if (command == BH_AGENT_WRAP)
		answer.payload = bh_view_of(wrap, sizeof(wrap));
	if (command == BH_AGENT_UNWRAP)
		answer.payload = bh_view_of(dek, sizeof(dek));
	if (command == BH_AGENT_DESTROY)
		answer.evidence = (bh_kms_evidence){ BH_KMS_DESTROYED, 1700000002, 1700000003, "ff" };
	return answer;
}

static void assert_view_equal(bh_view a, bh_view b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.data, b.data, a.len);
}

/* The frame's body, after a check of its length. */
static bh_view body_of(const bh_secret *frame)
{
	bh_view whole = bh_agent_frame_view(frame);
	size_t len = 0;

	assert_status(bh_agent_length_decode(whole.data, &len), BH_OK);
	assert_int_equal(len, whole.len - BH_AGENT_LENGTH_SIZE);
	return bh_view_of(whole.data + BH_AGENT_LENGTH_SIZE, len);
}

static void test_requests_round_trip(void **state)
{
	(void)state;
	for (int command = BH_AGENT_OPEN; command <= BH_AGENT_DESTROY; command++) {
		bh_agent_request in = request_of((bh_agent_command)command), out;
		bh_secret frame = { 0 };

		assert_status(bh_agent_request_encode(&in, &frame), BH_OK);
		assert_status(bh_agent_request_decode(body_of(&frame), &out), BH_OK);
		assert_int_equal(out.command, in.command);
		assert_memory_equal(out.id, in.id, sizeof(in.id));
		assert_string_equal(out.key, in.key);
		assert_view_equal(out.payload, in.payload);
		assert_view_equal(out.context, in.context);
		bh_secret_clear(&frame);
	}
}

static void test_answers_round_trip(void **state)
{
	static const bh_status outcomes[] = { BH_OK,       BH_E_KMS_REFUSED, BH_E_NOT_FOUND, BH_E_KMS_UNREACHABLE, BH_E_TAG,
					      BH_E_FORMAT, BH_E_VERSION,     BH_E_INVALID,   BH_E_REGION,          BH_E_TRUNCATED };
	(void)state;

	for (int command = BH_AGENT_OPEN; command <= BH_AGENT_DESTROY; command++) {
		for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
			bh_agent_answer in = answer_of((bh_agent_command)command, outcomes[i]), out;
			bh_secret frame = { 0 };

			assert_status(bh_agent_answer_encode(&in, &frame), BH_OK);
			assert_status(bh_agent_answer_decode(body_of(&frame), &out), BH_OK);
			assert_int_equal(out.command, in.command);
			assert_memory_equal(out.id, in.id, sizeof(in.id));
			assert_string_equal(out.key, in.key);
			assert_status(out.outcome, in.outcome);
			assert_string_equal(out.message, in.message);
			assert_int_equal(out.version, in.version);
			assert_view_equal(out.payload, in.payload);
			assert_memory_equal(&out.evidence, &in.evidence, sizeof(in.evidence));
			if (command == BH_AGENT_DESCRIBE && outcomes[i] == BH_OK)
				assert_memory_equal(&out.info, &in.info, sizeof(in.info));
			bh_secret_clear(&frame);
		}
	}
}

/* What README.md's table says, byte by byte. */
static void test_bytes_of_a_request(void **state)
{
	static const uint8_t expected[] = "\x4f\0\0\0"
					  "BHKQ\1\0\3\0"
					  "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf"
					  "\4\0acme"
					  "\x20\0\x9\x8\x7\x6\x5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
					  "\xd\0class=events\n";
	bh_agent_request request = request_of(BH_AGENT_WRAP);
	bh_secret frame = { 0 };
	(void)state;

	assert_status(bh_agent_request_encode(&request, &frame), BH_OK);
	bh_view bytes = bh_agent_frame_view(&frame);
	assert_int_equal(bytes.len, sizeof(expected) - 1);
	assert_memory_equal(bytes.data, expected, bytes.len);
	bh_secret_clear(&frame);
}

static bh_status decode(bool is_request, bh_view body)
{
	bh_agent_request request;
	bh_agent_answer answer;

	return is_request ? bh_agent_request_decode(body, &request) : bh_agent_answer_decode(body, &answer);
}

static void encode(bool is_request, bh_agent_command command, bh_status outcome, bh_secret *out)
{
	bh_agent_request request = request_of(command);
	bh_agent_answer answer = answer_of(command, outcome);

	assert_status(is_request ? bh_agent_request_encode(&request, out) : bh_agent_answer_encode(&answer, out), BH_OK);
}

/* Each cut is refused, each byte more, too. The copies have their exact size, for the sanitizers' sake. */
static void test_every_truncation_is_refused(void **state)
{
	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		for (int command = BH_AGENT_OPEN; command <= BH_AGENT_DESTROY; command++) {
			bh_secret frame = { 0 };
			encode(kind == 0, (bh_agent_command)command, kind == 1 ? BH_OK : BH_E_TAG, &frame);
			bh_view body = body_of(&frame);
			for (size_t len = 0; len < body.len; len++) {
				bh_buf cut = { 0 };
				assert_status(bh_buf_append(&cut, body.data, len), BH_OK);
				assert_status(decode(kind == 0, bh_buf_view(&cut)), BH_E_FORMAT);
				bh_buf_clear(&cut);
			}
			bh_buf more = { 0 };
			assert_status(bh_buf_append(&more, body.data, body.len), BH_OK);
			assert_status(bh_buf_append_u8(&more, 0), BH_OK);
			assert_status(decode(kind == 0, bh_buf_view(&more)), BH_E_FORMAT);
			bh_buf_clear(&more);
			bh_secret_clear(&frame);
		}
	}
}

/* A flipped bit is refused or is another well-formed value; in magic and version it is always refused. */
static void test_every_flip_ends_in_a_status(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		for (int command = BH_AGENT_OPEN; command <= BH_AGENT_DESTROY; command++) {
			bh_secret frame = { 0 };
			encode(kind == 0, (bh_agent_command)command, BH_OK, &frame);
			bh_view body = body_of(&frame);
			for (size_t bit = 0; bit < body.len * 8; bit++) {
				frame.data[BH_AGENT_LENGTH_SIZE + bit / 8] ^= (uint8_t)(1u << bit % 8);
				bh_status status = decode(kind == 0, body);
				assert_true(status == BH_OK || status == BH_E_FORMAT || status == BH_E_VERSION);
				if (bit < 32)
					assert_status(status, BH_E_FORMAT);
				else if (bit < 48)
					assert_status(status, BH_E_VERSION);
				frame.data[BH_AGENT_LENGTH_SIZE + bit / 8] ^= (uint8_t)(1u << bit % 8);
			}
			bh_secret_clear(&frame);
		}
	}
}

static void test_rubbish_is_refused(void **state)
{
	test_random random = test_random_new();
	(void)state;

	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[256];
		size_t len = test_random_below(&random, sizeof(bytes));
		test_random_fill(&random, bytes, len);
		bool is_request = i % 2 == 0;
		/* Half of it gets past the magic. */
		if (i % 4 < 2 && len > 8)
			memcpy(bytes, is_request ? "BHKQ\1\0" : "BHKA\1\0", 6);
		bh_status status = decode(is_request, bh_view_of(bytes, len));
		assert_true(status == BH_E_FORMAT || status == BH_E_VERSION || status == BH_OK);
	}
}

static void test_bounds(void **state)
{
	static const struct {
		uint32_t len;
		bh_status status;
	} lengths[] = { { 0, BH_E_FORMAT },
			{ 1, BH_OK },
			{ BH_AGENT_BODY_MAX, BH_OK },
			{ BH_AGENT_BODY_MAX + 1, BH_E_FORMAT },
			{ UINT32_MAX, BH_E_FORMAT } };
	char context[BH_AGENT_CONTEXT_MAX + 2] = { 0 };
	uint8_t wrapped[BH_KMS_WRAPPED_MAX + 1] = { 0 }, bytes[4];
	bh_agent_request request = request_of(BH_AGENT_UNWRAP), out;
	bh_secret frame = { 0 };
	size_t len = 0;
	(void)state;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		bh_put_u32(bytes, lengths[i].len);
		assert_status(bh_agent_length_decode(bytes, &len), lengths[i].status);
	}
	/* The largest of everything fits; one byte more of anything is refused by who would send it. */
	memset(request.key, 'k', BH_NAME_MAX);
	request.payload = bh_view_of(wrapped, BH_KMS_WRAPPED_MAX);
	request.context = bh_view_of(context, BH_AGENT_CONTEXT_MAX);
	assert_status(bh_agent_request_encode(&request, &frame), BH_OK);
	assert_status(bh_agent_request_decode(body_of(&frame), &out), BH_OK);
	bh_secret_clear(&frame);
	request.payload.len++;
	assert_status(bh_agent_request_encode(&request, &frame), BH_E_INVALID);
	request.payload.len--;
	request.context.len++;
	assert_status(bh_agent_request_encode(&request, &frame), BH_E_INVALID);
	assert_null(frame.data);
}

/* Text from the other side reaches messages and terminals. */
static void test_text_has_no_control_characters(void **state)
{
	bh_agent_answer answer = answer_of(BH_AGENT_OPEN, BH_E_KMS_REFUSED), out;
	bh_secret frame = { 0 };
	(void)state;

	snprintf(answer.message, sizeof(answer.message), "red\x1b[31m\n");
	assert_status(bh_agent_answer_encode(&answer, &frame), BH_OK);
	assert_status(bh_agent_answer_decode(body_of(&frame), &out), BH_OK);
	assert_string_equal(out.message, "red?[31m?");
	bh_view body = body_of(&frame);
	frame.data[BH_AGENT_LENGTH_SIZE + body.len - 1] = 0x1b;
	assert_status(bh_agent_answer_decode(body, &out), BH_E_FORMAT);
	bh_secret_clear(&frame);
}

/* The agent's own troubles are no answer of the KMS's. */
static void test_outcomes(void **state)
{
	(void)state;
	for (int status = BH_OK; status < BH_E_COUNT_; status++) {
		bh_status outcome = bh_agent_outcome((bh_status)status);
		assert_true((int)outcome == status || outcome == BH_E_KMS_UNREACHABLE);
	}
	assert_status(bh_agent_outcome(BH_E_KMS_REFUSED), BH_E_KMS_REFUSED);
	assert_status(bh_agent_outcome(BH_E_NOMEM), BH_E_KMS_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_round_trip),
		cmocka_unit_test(test_answers_round_trip),
		cmocka_unit_test(test_bytes_of_a_request),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_every_flip_ends_in_a_status),
		cmocka_unit_test(test_rubbish_is_refused),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_text_has_no_control_characters),
		cmocka_unit_test(test_outcomes),
	};

	return cmocka_run_group_tests_name("kms_agent_wire", tests, NULL, NULL);
}
