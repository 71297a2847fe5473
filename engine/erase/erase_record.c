/* SPDX-License-Identifier: Apache-2.0
 *
 * erase_record.c: see erase_record.h.
 */
#include "erase_record.h"

#include <bulkhead/env.h>

#include "keyring/crypto/aead.h"
#include "keyring/base/random.h"

/* ---- the platform's column family */

#define KEY_PREFIX "\0bulkhead/1/erase/" /* without its NUL */
enum { KIND_SECRET = 's', KIND_NOTE = 'n', KIND_MARKER = 'm' };

/* "\0bulkhead/1/erase/", kind, merchant id: what the keys of all of a merchant's classes begin with. */
static bh_status make_merchant_key(const uint8_t merchant_id[BH_ID_LEN], char kind, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, KEY_PREFIX, sizeof(KEY_PREFIX) - 1));
	BH_TRY(bh_buf_append_u8(out, (uint8_t)kind));
	return bh_buf_append(out, merchant_id, BH_ID_LEN);
}

/* The same, class, 0, then what the kind adds. */
static bh_status make_key(const bh_erase_scope *scope, char kind, bh_buf *out)
{
	BH_TRY(make_merchant_key(scope->merchant_id, kind, out));
	return bh_buf_append(out, scope->scope.cls, strlen(scope->scope.cls) + 1);
}

/* Of a note or a marker. */
static bh_status make_digest_key(const bh_erase_scope *scope, char kind, const uint8_t digest[BH_SHA256_LEN], bh_buf *out)
{
	BH_TRY(make_key(scope, kind, out));
	return bh_buf_append(out, digest, BH_SHA256_LEN);
}

bh_erase_scope bh_erase_scope_of(const bh_merchant_info *merchant, const char *cls)
{
	bh_erase_scope scope = { 0 };

	memcpy(scope.merchant_id, merchant->id, BH_ID_LEN);
	memcpy(scope.scope.merchant, merchant->name, sizeof(scope.scope.merchant));
	memcpy(scope.scope.cls, cls, strlen(cls) + 1);
	return scope;
}

static bh_status put(const bh_db *db, const bh_buf *key, bh_view value)
{
	char *error = NULL;

	rocksdb_put_cf(db->rocks, db->write_sync, db->default_cf, (const char *)key->data, key->len, (const char *)value.data,
		       value.len, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status remove_key(const bh_db *db, const bh_buf *key)
{
	char *error = NULL;

	rocksdb_delete_cf(db->rocks, db->write_sync, db->default_cf, (const char *)key->data, key->len, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status get(const bh_db *db, const bh_buf *key, bh_buf *out)
{
	char *error = NULL, *value;
	bh_status status;
	size_t len = 0;

	value = rocksdb_get_cf(db->rocks, db->read, db->default_cf, (const char *)key->data, key->len, &len, &error);
	BH_TRY(bh_status_of_rocksdb(error));
	if (value == NULL)
		return bh_fail(BH_E_NOT_FOUND, "nothing was ever erased in this class");
	status = bh_buf_append(out, value, len);
	rocksdb_free(value);
	return status;
}

/* ---- the secret */

/* u8 version, 16 DEK id, 12 nonce, 32 ciphertext, 16 tag. */
enum { SECRET_VERSION = 1, SECRET_NONCE_AT = 1 + BH_ID_LEN, SECRET_BYTES_AT = SECRET_NONCE_AT + BH_NONCE_LEN };
enum { SECRET_TAG_AT = SECRET_BYTES_AT + BH_DEK_LEN, SECRET_LEN = SECRET_TAG_AT + BH_TAG_LEN };

static bh_status secret_aead(const bh_db *db, const bh_dek *dek, bh_aead **out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret key = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf info = { 0 };
	const bh_view context = bh_dek_context(dek);

	BH_TRY(bh_buf_append(&info, "bulkhead/1/erase-secret", sizeof("bulkhead/1/erase-secret")));
	BH_TRY(bh_buf_append(&info, context.data, context.len));
	BH_TRY(bh_hkdf_secret(bh_dek_key(dek), bh_view_of(bh_keyring_database_id(db->keyring), BH_ID_LEN), bh_buf_view(&info),
			      BH_DEK_LEN, &key));
	return bh_aead_new(NULL, bh_secret_view(&key), out);
}

static bh_status secret_store(const bh_db *db, const bh_erase_scope *scope, const bh_buf *key, const bh_secret *secret)
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;
	uint8_t value[SECRET_LEN] = { SECRET_VERSION };

	BH_TRY(bh_keyring_dek_current(db->keyring, &scope->scope, &dek));
	BH_TRY(secret_aead(db, dek, &aead));
	memcpy(value + 1, bh_dek_id(dek), BH_ID_LEN);
	BH_TRY(bh_random(value + SECRET_NONCE_AT, BH_NONCE_LEN));
	BH_TRY(bh_aead_seal(aead, value + SECRET_NONCE_AT, bh_buf_view(key), secret->data, secret->len, value + SECRET_BYTES_AT,
			    value + SECRET_TAG_AT));
	return put(db, key, bh_view_of(value, sizeof(value)));
}

/* *dek_id_out: what it is sealed under. */
static bh_status secret_load(const bh_db *db, const bh_buf *key, bh_secret *out, uint8_t dek_id_out[BH_ID_LEN])
{
	BH_CLEANUP(bh_dek_unrefp) bh_dek *dek = NULL;
	BH_CLEANUP(bh_aead_freep) bh_aead *aead = NULL;
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf value = { 0 };

	BH_TRY(get(db, key, &value));
	if (value.len != SECRET_LEN)
		return bh_fail(BH_E_FORMAT, "secret of a class's erasures: %zu bytes", value.len);
	if (value.data[0] != SECRET_VERSION)
		return bh_fail(BH_E_VERSION, "secret of a class's erasures: version %u", (unsigned)value.data[0]);
	BH_TRY(bh_keyring_dek_find(db->keyring, value.data + 1, &dek));
	BH_TRY(secret_aead(db, dek, &aead));
	BH_TRY(bh_secret_init(&secret, BH_DEK_LEN));
	BH_TRY(bh_aead_open(aead, value.data + SECRET_NONCE_AT, bh_buf_view(key), value.data + SECRET_BYTES_AT, BH_DEK_LEN,
			    value.data + SECRET_TAG_AT, secret.data));
	memcpy(dek_id_out, value.data + 1, BH_ID_LEN);
	*out = bh_secret_take(&secret);
	return BH_OK;
}

bh_status bh_erase_secret(const bh_db *db, const bh_erase_scope *scope, bool make, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	uint8_t dek_id[BH_ID_LEN];
	bh_status status;

	BH_TRY(make_key(scope, KIND_SECRET, &key));
	status = secret_load(db, &key, &secret, dek_id);
	if (status == BH_E_NOT_FOUND && make) {
		BH_TRY(bh_secret_random(&secret, BH_DEK_LEN));
		status = secret_store(db, scope, &key, &secret);
	}
	BH_TRY(status);
	*out = bh_secret_take(&secret);
	return BH_OK;
}

static bh_status rekey_class(const bh_db *db, const bh_erase_scope *scope)
{
	BH_CLEANUP(bh_secret_clear) bh_secret secret = { 0 };
	BH_CLEANUP(bh_dek_unrefp) bh_dek *newest = NULL;
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	uint8_t dek_id[BH_ID_LEN];
	bh_status status;

	BH_TRY(make_key(scope, KIND_SECRET, &key));
	status = secret_load(db, &key, &secret, dek_id);
	if (status == BH_E_NOT_FOUND)
		return BH_OK;
	BH_TRY(status);
	BH_TRY(bh_keyring_dek_current(db->keyring, &scope->scope, &newest));
	return memcmp(dek_id, bh_dek_id(newest), BH_ID_LEN) == 0 ? BH_OK : secret_store(db, scope, &key, &secret);
}

bh_status bh_erase_rekey(const bh_db *db, const bh_merchant_info *merchant)
{
	for (size_t i = 0; i < merchant->class_count; i++) {
		const bh_erase_scope scope = bh_erase_scope_of(merchant, merchant->classes[i]);

		BH_TRY(rekey_class(db, &scope));
	}
	return BH_OK;
}

/* ---- what there is several of */

/* What is called for each key that begins with `prefix`; `rest` is what follows it. */
typedef struct visitor {
	const bh_buf *prefix;
	bh_status (*entry)(const struct visitor *v, bh_view rest, bh_view value);
	bh_status (*note)(void *arg, const uint8_t digest[BH_SHA256_LEN], const bh_erase_note *note);
	bh_status (*marker)(void *arg, const bh_erase_marker *marker);
	void *arg;
} visitor;

static bh_status walk(rocksdb_iterator_t *iter, const visitor *v)
{
	const bh_buf *prefix = v->prefix;
	char *error = NULL;

	for (rocksdb_iter_seek(iter, (const char *)prefix->data, prefix->len); rocksdb_iter_valid(iter); rocksdb_iter_next(iter)) {
		size_t key_len, value_len;
		const char *key = rocksdb_iter_key(iter, &key_len);
		const char *value = rocksdb_iter_value(iter, &value_len);

		if (key_len < prefix->len || memcmp(key, prefix->data, prefix->len) != 0)
			return BH_OK;
		BH_TRY(v->entry(v, bh_view_of(key + prefix->len, key_len - prefix->len), bh_view_of(value, value_len)));
	}
	rocksdb_iter_get_error(iter, &error);
	return bh_status_of_rocksdb(error);
}

static bh_status visit(const bh_db *db, const visitor *v)
{
	rocksdb_iterator_t *iter = rocksdb_create_iterator_cf(db->rocks, db->read, db->default_cf);
	bh_status status = walk(iter, v);

	rocksdb_iter_destroy(iter);
	return status;
}

static bh_status check_digest(bh_view rest, const char *what)
{
	return rest.len == BH_SHA256_LEN
		       ? BH_OK
		       : bh_fail(BH_E_FORMAT, "%s: its key ends in %zu bytes, where a digest is due", what, rest.len);
}

/* ---- notes */

/* u8 version, u8 phase, u64 sequence, u64 logs, i64 at. */
enum { NOTE_VERSION = 1, NOTE_LEN = 26 };

bh_status bh_erase_note_put(const bh_db *db, const bh_erase_scope *scope, const uint8_t digest[BH_SHA256_LEN],
			    const bh_erase_note *note)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	uint8_t value[NOTE_LEN] = { NOTE_VERSION, (uint8_t)note->phase };

	BH_TRY(make_digest_key(scope, KIND_NOTE, digest, &key));
	bh_put_u64(value + 2, note->sequence);
	bh_put_u64(value + 10, note->logs);
	bh_put_u64(value + 18, (uint64_t)note->at_s);
	return put(db, &key, bh_view_of(value, sizeof(value)));
}

static bh_status note_decode(bh_view value, bh_erase_note *out)
{
	bh_reader r = bh_reader_of(value);
	uint8_t version = bh_read_u8(&r);
	bh_erase_note note = { .phase = (bh_erase_phase)bh_read_u8(&r) };

	note.sequence = bh_read_u64(&r);
	note.logs = bh_read_u64(&r);
	note.at_s = (int64_t)bh_read_u64(&r);
	if (bh_reader_ok(&r) && version != NOTE_VERSION)
		return bh_fail(BH_E_VERSION, "note of an erasure: version %u", (unsigned)version);
	if (!bh_reader_done(&r) || note.phase < BH_ERASE_BEGUN || note.phase > BH_ERASE_LOGGED)
		return bh_fail(BH_E_FORMAT, "note of an erasure is malformed");
	*out = note;
	return BH_OK;
}

bh_status bh_erase_note_remove(const bh_db *db, const bh_erase_scope *scope, const uint8_t digest[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };

	BH_TRY(make_digest_key(scope, KIND_NOTE, digest, &key));
	return remove_key(db, &key);
}

static bh_status note_entry(const visitor *v, bh_view rest, bh_view value)
{
	bh_erase_note note;

	BH_TRY(check_digest(rest, "note of an erasure"));
	BH_TRY(note_decode(value, &note));
	return v->note(v->arg, rest.data, &note);
}

bh_status bh_erase_notes(const bh_db *db, const bh_erase_scope *scope,
			 bh_status (*each)(void *arg, const uint8_t digest[BH_SHA256_LEN], const bh_erase_note *note), void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf prefix = { 0 };
	const visitor v = { .prefix = &prefix, .entry = note_entry, .note = each, .arg = arg };

	BH_TRY(make_key(scope, KIND_NOTE, &prefix));
	return visit(db, &v);
}

/* ---- markers */

/* u8 version, u32 length of the prefix, i64 at. */
enum { MARKER_VERSION = 1, MARKER_LEN = 13 };

bh_status bh_erase_marker_put(const bh_db *db, const bh_erase_scope *scope, const bh_erase_marker *marker)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	uint8_t value[MARKER_LEN] = { MARKER_VERSION };

	BH_TRY(make_digest_key(scope, KIND_MARKER, marker->prefix_digest, &key));
	bh_put_u32(value + 1, marker->prefix_len);
	bh_put_u64(value + 5, (uint64_t)marker->at_s);
	return put(db, &key, bh_view_of(value, sizeof(value)));
}

static bh_status marker_decode(bh_view value, bh_erase_marker *out)
{
	bh_reader r = bh_reader_of(value);
	uint8_t version = bh_read_u8(&r);

	out->prefix_len = bh_read_u32(&r);
	out->at_s = (int64_t)bh_read_u64(&r);
	if (bh_reader_ok(&r) && version != MARKER_VERSION)
		return bh_fail(BH_E_VERSION, "marker of an erased prefix: version %u", (unsigned)version);
	if (!bh_reader_done(&r) || out->prefix_len == 0)
		return bh_fail(BH_E_FORMAT, "marker of an erased prefix is malformed");
	return BH_OK;
}

bh_status bh_erase_marker_remove(const bh_db *db, const bh_erase_scope *scope, const uint8_t digest[BH_ERASE_DIGEST_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };

	BH_TRY(make_digest_key(scope, KIND_MARKER, digest, &key));
	return remove_key(db, &key);
}

static bh_status marker_entry(const visitor *v, bh_view rest, bh_view value)
{
	bh_erase_marker marker = { 0 };

	BH_TRY(check_digest(rest, "marker of an erased prefix"));
	BH_TRY(marker_decode(value, &marker));
	memcpy(marker.prefix_digest, rest.data, sizeof(marker.prefix_digest));
	return v->marker(v->arg, &marker);
}

bh_status bh_erase_marker_each(const bh_db *db, const bh_erase_scope *scope,
			       bh_status (*each)(void *arg, const bh_erase_marker *marker), void *arg)
{
	BH_CLEANUP(bh_buf_clear) bh_buf prefix = { 0 };
	const visitor v = { .prefix = &prefix, .entry = marker_entry, .marker = each, .arg = arg };

	BH_TRY(make_key(scope, KIND_MARKER, &prefix));
	return visit(db, &v);
}

/* ---- all of a merchant's */

static bh_status remove_entry(const visitor *v, bh_view rest, bh_view value)
{
	BH_CLEANUP(bh_buf_clear) bh_buf key = { 0 };
	rocksdb_writebatch_t *batch = v->arg;

	(void)value;
	BH_TRY(bh_buf_append(&key, v->prefix->data, v->prefix->len));
	BH_TRY(bh_buf_append(&key, rest.data, rest.len));
	rocksdb_writebatch_delete(batch, (const char *)key.data, key.len);
	return BH_OK;
}

static bh_status collect(const bh_db *db, const uint8_t merchant_id[BH_ID_LEN], char kind, rocksdb_writebatch_t *batch)
{
	BH_CLEANUP(bh_buf_clear) bh_buf prefix = { 0 };
	const visitor v = { .prefix = &prefix, .entry = remove_entry, .arg = batch };

	BH_TRY(make_merchant_key(merchant_id, kind, &prefix));
	return visit(db, &v);
}

bh_status bh_erase_records_remove(const bh_db *db, const uint8_t merchant_id[BH_ID_LEN])
{
	static const char kinds[] = { KIND_SECRET, KIND_NOTE, KIND_MARKER };
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	bh_status status = BH_OK;
	char *error = NULL;

	for (size_t i = 0; i < sizeof(kinds) && status == BH_OK; i++)
		status = collect(db, merchant_id, kinds[i], batch);
	if (status == BH_OK && rocksdb_writebatch_count(batch) > 0)
		rocksdb_write(db->rocks, db->write_sync, batch, &error);
	rocksdb_writebatch_destroy(batch);
	return status == BH_OK ? bh_status_of_rocksdb(error) : status;
}
