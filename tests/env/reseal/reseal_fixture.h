/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal_fixture.h: a database directory with a keyring, a merchant "acme" and its class "events", and one paged file in it that
 * tests reseal.
 */
#ifndef RESEAL_FIXTURE_H
#define RESEAL_FIXTURE_H

#include "tests/keyring/ring/keyring_fixture.h"
#include "tests/env/format/sealed_fixture.h"

#include "env/reseal/reseal.h"

#define LARGE (900u * 1024 + 333)

static const bh_scope events = { .merchant = "acme", .cls = "events" };

typedef struct rig {
	keyring_fixture f;
	bh_keyring *keyring; /* owned by fs */
	bh_fs *fs;
	char dir[192], path[224], temp[232];
	bh_buf plain;
	uint8_t first_dek[BH_ID_LEN];
} rig;

static inline int rig_make(void **state)
{
	rig *r = calloc(1, sizeof(*r));
	bh_dek *dek = NULL;

	unsetenv("BULKHEAD_KMS_PASSPHRASE");
	r->f = fixture_make_keyring();
	r->keyring = fixture_open(&r->f);
	fixture_add(&r->f, r->keyring, "acme");
	assert_done(bh_keyring_merchant_set_state(r->keyring, "acme", BH_MERCHANT_ACTIVE));
	assert_done(bh_fs_new(r->f.db, r->keyring, &r->fs));
	assert_done(bh_keyring_dek_current(r->keyring, &events, &dek));
	memcpy(r->first_dek, bh_dek_id(dek), BH_ID_LEN);
	bh_dek_unref(dek);
	text_format(r->dir, sizeof(r->dir), "%s/tenants", r->f.db);
	assert_int_equal(mkdir(r->dir, 0700), 0);
	text_format(r->dir, sizeof(r->dir), "%s/tenants/acme", r->f.db);
	assert_int_equal(mkdir(r->dir, 0700), 0);
	text_format(r->dir, sizeof(r->dir), "%s/tenants/acme/events", r->f.db);
	assert_int_equal(mkdir(r->dir, 0700), 0);
	*state = r;
	return 0;
}

static inline int rig_clear(void **state)
{
	rig *r = *state;

	bh_fs_free(r->fs);
	fixture_remove(&r->f);
	bh_buf_clear(&r->plain);
	free(r);
	return 0;
}

/* A file of `len` bytes under the newest DEK. */
static inline void make_file(rig *r, const char *name, uint32_t page_size, size_t len)
{
	uint8_t header[BH_HEADER_LEN];
	bh_file_key key = { 0 };
	bh_page_writer *w = NULL;
	bh_buf sealed = { 0 };
	bh_path_info info;
	bh_dek *dek = NULL;
	uint8_t *bytes = pattern(len);

	text_format(r->path, sizeof(r->path), "%s/%s", r->dir, name);
	text_format(r->temp, sizeof(r->temp), "%s.bhtmp", r->path);
	assert_done(bh_fs_classify(r->fs, r->path, &info));
	assert_done(bh_keyring_dek_current(r->keyring, &events, &dek));
	assert_done(bh_header_create(info.kind, page_size, info.number, dek, &key, header));
	assert_done(bh_page_writer_new(&key, header, &w));
	assert_done(bh_page_writer_append(w, bh_view_of(bytes, len), &sealed));
	assert_done(bh_page_writer_finish(w, &sealed));
	file_store(r->path, bh_buf_view(&sealed));
	bh_page_writer_free(w);
	bh_dek_unref(dek);
	bh_buf_clear(&sealed);
	bh_buf_clear(&r->plain);
	assert_done(bh_buf_append(&r->plain, bytes, len));
	free(bytes);
}

static inline void rotate(rig *r)
{
	assert_done(bh_keyring_merchant_rotate(r->keyring, "acme", 0));
}

static inline bool under_newest(rig *r, const char *path)
{
	bh_buf file = file_load(path);
	bh_dek *dek = NULL;
	bh_header header;

	assert_done(bh_keyring_dek_current(r->keyring, &events, &dek));
	assert_done(bh_header_parse(bh_view_of(file.data, BH_HEADER_LEN), &header));
	bool newest = memcmp(bh_dek_id(dek), header.dek_id, BH_ID_LEN) == 0;
	bh_dek_unref(dek);
	bh_buf_clear(&file);
	return newest;
}

static inline void assert_content(rig *r, const char *path)
{
	bh_buf file = file_load(path), out = { 0 };

	assert_done(read_pages(bh_buf_view(&file), bh_fs_scopes(r->fs), &out));
	assert_int_equal(out.len, r->plain.len);
	assert_memory_equal(out.data, r->plain.data, out.len);
	bh_buf_clear(&file);
	bh_buf_clear(&out);
}

static inline bh_status reseal(rig *r, const bh_pace *pace, bool *done)
{
	*done = false;
	return bh_reseal_pages(r->fs, r->path, pace, done);
}

static inline void assert_resealed(rig *r)
{
	bool done;

	assert_done(reseal(r, NULL, &done));
	assert_true(done);
	assert_true(under_newest(r, r->path));
	assert_content(r, r->path);
	assert_false(file_exists(r->temp));
}

/* What a reader reads, and with what key, cannot be asked for any more. */
static inline bh_status retire_first(rig *r)
{
	return bh_keyring_deks_retire(r->keyring, "acme", r->first_dek, 1, NULL);
}

#define RESEAL_CASE(name) cmocka_unit_test_setup_teardown(name, rig_make, rig_clear)

#endif
