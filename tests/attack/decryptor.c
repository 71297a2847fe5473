/* SPDX-License-Identifier: Apache-2.0
 *
 * decryptor.c: see decryptor.h.
 */
#include "decryptor.h"

#include "env/spans/logfmt.h"
#include "env/format/pages.h"
#include "env/stream/stream.h"
#include "tests/support/harness.h"

static void unlock(decryptor *d, bh_keyring *keyring, const char *merchant)
{
	size_t used = strlen(d->locked_out);

	if (bh_keyring_merchant_unlock(keyring, merchant) != BH_OK)
		snprintf(d->locked_out + used, sizeof(d->locked_out) - used, " %s ", merchant);
}

void decryptor_open(decryptor *d, const char *dir)
{
	const bh_keyring_options options = { 0 };
	bh_merchant_info *merchants = NULL;
	bh_keyring *keyring = NULL;
	size_t count = 0;

	memset(d, 0, sizeof(*d));
	snprintf(d->dir, sizeof(d->dir), "%s", dir);
	test_ok(bh_keyring_open(dir, &options, false, &keyring));
	test_ok(bh_keyring_merchants(keyring, &merchants, &count));
	for (size_t i = 0; i < count; i++) {
		unlock(d, keyring, merchants[i].name);
		bh_merchant_info_clear(&merchants[i]);
	}
	free(merchants);
	test_ok(bh_fs_new(dir, keyring, &d->fs));
}

void decryptor_close(decryptor *d)
{
	bh_fs_free(d->fs);
	d->fs = NULL;
}

bool decryptor_is_locked_out(const decryptor *d, const char *merchant)
{
	char word[BH_NAME_MAX + 3];

	snprintf(word, sizeof(word), " %s ", merchant);
	return strstr(d->locked_out, word) != NULL;
}

static bh_status push_all(bh_stream_reader *r, bh_view file, bh_buf *out)
{
	bh_status status = BH_OK;

	/* In pieces, and taken at once: what a reader hands out before it fails is part of what can be had. */
	for (size_t off = BH_HEADER_LEN; status == BH_OK && off <= file.len; off += 4096) {
		size_t len = BH_MIN((size_t)4096, file.len - off);
		bh_view ready;

		status = len > 0 ? bh_stream_reader_push(r, bh_view_of(file.data + off, len)) : BH_OK;
		if (status == BH_OK && len < 4096)
			status = bh_stream_reader_finish(r);
		ready = bh_stream_reader_ready(r);
		test_ok(bh_buf_append(out, ready.data, ready.len));
		bh_stream_reader_consume(r, ready.len);
	}
	return status;
}

bh_status decrypt_stream(bh_view file, const bh_scopes *scopes, bool raw, bh_buf *out)
{
	bh_stream_reader *r = NULL;
	bh_status status = bh_stream_reader_new(bh_view_of(file.data, BH_MIN(file.len, BH_HEADER_LEN)), scopes, raw, &r);

	if (status == BH_OK)
		status = push_all(r, file, out);
	bh_stream_reader_free(r);
	return status;
}

static bh_status open_all(const bh_page_file *f, bh_view file, bh_buf *out)
{
	uint64_t size = bh_page_file_size(f);

	for (uint64_t off = 0; off == 0 || off < size; off += BH_HEADER_LEN) {
		bh_page_range range = bh_page_file_range(f, off, BH_HEADER_LEN);

		test_ok(bh_buf_reserve(out, range.out_len + 1)); /* a destination, even for nothing */
		BH_TRY(bh_page_file_open_range(f, off, BH_HEADER_LEN, bh_view_of(file.data + range.off, range.len),
					       out->data + out->len));
		out->len += range.out_len;
	}
	return BH_OK;
}

bh_status decrypt_pages(bh_view file, const bh_scopes *scopes, bh_buf *out)
{
	bh_page_file *f = NULL;
	bh_status status = bh_page_file_new(bh_view_of(file.data, BH_MIN(file.len, BH_HEADER_LEN)), file.len, scopes, &f);

	if (status == BH_OK)
		status = open_all(f, file, out);
	bh_page_file_free(f);
	return status;
}

struct walk {
	const decryptor *d;
	void (*each)(void *arg, const decrypted *file);
	void *arg;
};

static void decrypt(const decryptor *d, decrypted *file)
{
	const bh_scopes *scopes = bh_fs_scopes(d->fs);
	bh_view stored = bh_buf_view(&file->stored);

	if (!file->info.sealed)
		return;
	if (bh_file_kind_is_paged(file->info.kind)) {
		file->raw_status = file->open_status = decrypt_pages(stored, scopes, &file->raw);
		return;
	}
	file->raw_status = decrypt_stream(stored, scopes, true, &file->raw);
	file->open_status = decrypt_stream(stored, scopes, false, &file->opened);
}

static void walk_file(void *arg, const char *path)
{
	const struct walk *walk = arg;
	const char *name = strrchr(path, '/') + 1;
	decrypted file = { .path = path, .stored = file_read(path) };

	test_ok(bh_fs_classify(walk->d->fs, path, &file.info));
	if (strncmp(name, BH_KEYRING_FILE, strlen(BH_KEYRING_FILE)) == 0 || strcmp(name, BH_AUDIT_FILE) == 0 ||
	    strcmp(name, BH_FRESH_OLDER_FILE) == 0 || strstr(path, "/certificates/") != NULL)
		file.info.sealed = false;
	decrypt(walk->d, &file);
	walk->each(walk->arg, &file);
	bh_buf_clear(&file.stored);
	bh_buf_clear(&file.raw);
	bh_buf_clear(&file.opened);
}

void decryptor_walk(const decryptor *d, void (*each)(void *arg, const decrypted *file), void *arg)
{
	struct walk walk = { d, each, arg };

	tree_walk(d->dir, walk_file, &walk);
}

void log_records(bh_view opened, void (*each)(void *arg, bh_view record), void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf record = { 0 };
	bh_log_parser parser = { 0 };
	bh_log_piece piece;

	for (; opened.len > 0; opened = bh_view_of(opened.data + piece.len, opened.len - piece.len)) {
		test_ok(bh_log_next(&parser, opened.data, opened.len, &piece));
		if (piece.what == BH_LOG_IS_PAYLOAD)
			test_ok(bh_buf_append(&record, opened.data, piece.len));
		if (!piece.record_end)
			continue;
		each(arg, bh_buf_view(&record));
		record.len = 0;
	}
}
