/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_fixture.h: an audit log of its own, without a keyring: a directory, a signer, and logs made in it.
 */
#ifndef BH_TEST_AUDIT_FIXTURE_H
#define BH_TEST_AUDIT_FIXTURE_H

#include "tests/keyring/ring/keyring_fixture.h"

#include "keyring/audit/verify.h"

typedef struct audit_fixture {
	keyring_fixture place; /* its directories; no keys are made */
	bh_io_dir dir;
	bh_signer *signer;
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
} audit_fixture;

/* A child of a fork needs one of its own: what it inherits reads as zeros. */
static inline bh_signer *audit_signer_make(void)
{
	static const uint8_t seed[BH_SIGN_SEED_LEN] = { 7, 7, 7 };
	bh_signer *signer = NULL;

	return bh_signer_new(bh_view_of(seed, sizeof(seed)), &signer) == BH_OK ? signer : NULL;
}

static inline int audit_setup(void **state)
{
	audit_fixture *f = calloc(1, sizeof(*f));

	f->place = fixture_make();
	assert_done(bh_io_dir_open(f->place.db, &f->dir));
	f->signer = audit_signer_make();
	assert_non_null(f->signer);
	bh_signer_public(f->signer, f->public_key);
	*state = f;
	return 0;
}

static inline int audit_teardown(void **state)
{
	audit_fixture *f = *state;

	bh_signer_free(f->signer);
	bh_io_dir_close(&f->dir);
	fixture_remove(&f->place);
	free(f);
	return 0;
}

static inline bh_status audit_try(const audit_fixture *f, const bh_audit_position *known, bh_audit **out)
{
	static const bh_audit_options options = { .actor = "tester" };
	static const bh_audit_position nothing = { 0 };

	return bh_audit_open(&f->dir, f->signer, &options, known != NULL ? known : &nothing, 1, out);
}

static inline bh_audit *audit_start(const audit_fixture *f)
{
	bh_audit *audit = NULL;

	assert_done(audit_try(f, NULL, &audit));
	return audit;
}

static inline bh_status audit_say(bh_audit *audit, const char *merchant)
{
	const bh_audit_event event = { .action = BH_AUDIT_KEYS_GRANTED, .merchant = merchant, .detail = "for a test" };

	return bh_audit_append(audit, &event);
}

/* One append of `count` large entries. */
static inline void audit_say_much(bh_audit *audit, int count)
{
	char detail[BH_AUDIT_TEXT_MAX];
	const bh_audit_event event = { .action = BH_AUDIT_KEYS_RENEWED, .merchant = "ann", .detail = detail };
	bh_audit_batch batch = { 0 };

	memset(detail, 'x', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = '\0';
	for (int i = 0; i < count; i++)
		assert_done(bh_audit_batch_add(audit, &batch, &event));
	assert_done(bh_audit_batch_write(audit, &batch));
}

/* A log of five entries in three appends, the middle one of three. */
static inline bh_audit_position audit_small(const audit_fixture *f)
{
	bh_audit_batch batch = { 0 };
	bh_audit_position position;
	bh_audit *audit = audit_start(f);

	assert_done(audit_say(audit, "ann"));
	for (int i = 0; i < 3; i++) {
		const bh_audit_event event = { .action = BH_AUDIT_DEK_UNWRAPPED, .merchant = "bob" };
		assert_done(bh_audit_batch_add(audit, &batch, &event));
	}
	assert_done(bh_audit_batch_write(audit, &batch));
	assert_done(audit_say(audit, "cleo"));
	bh_audit_position_get(audit, &position);
	assert_int_equal(position.size, 5);
	bh_audit_close(audit);
	return position;
}

static inline bh_status audit_check(const audit_fixture *f, const bh_audit_position *known, bh_audit_scan_result *out)
{
	const bh_audit_scan_options options = { .public_key = f->public_key, .floors = known, .floor_count = known != NULL };

	return bh_audit_verify((const char *const[]){ f->place.audit }, 1, &options, out);
}

static inline bool audit_is_damage(bh_status status)
{
	return status == BH_E_TAG || status == BH_E_FORMAT || status == BH_E_TRUNCATED || status == BH_E_ROLLBACK;
}

/* How often an action is in the log. */
static inline size_t audit_count(const audit_fixture *f, const char *action)
{
	bh_buf file = file_load(f->place.audit);
	char member[64];
	size_t count = 0;

	text_format(member, sizeof(member), "\"action\":\"%s\"", action);
	for (bh_view rest = bh_buf_view(&file); rest.len > 0;) {
		const uint8_t *hit = memmem(rest.data, rest.len, member, strlen(member));
		if (hit == NULL)
			break;
		count++;
		rest = bh_view_of(hit + 1, rest.len - (size_t)(hit + 1 - rest.data));
	}
	bh_buf_clear(&file);
	return count;
}

#endif
