/* SPDX-License-Identifier: Apache-2.0
 *
 * inventory.c: see inventory.h.
 */
#include "inventory.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "env/fs/copy.h"
#include "env/fs/small_file.h"
#include "env/files/raw_file.h"

#define MAGIC "BHPARKED"
#define MAGIC_LEN 8u
#define VERSION 1u
#define SIZE_MAX_BYTES (256u << 20) /* of INVENTORY: some millions of files */
#define CHUNK (64u * 1024)          /* of what is digested at once; part of the format */

void bh_inventory_clear(bh_inventory *inventory)
{
	for (size_t i = 0; i < inventory->count; i++)
		free(inventory->files[i].path);
	free(inventory->files);
	*inventory = (bh_inventory){ 0 };
}

bool bh_inventory_is_due(const bh_merchant_info *merchant)
{
	static const uint8_t none[BH_ID_LEN];

	return memcmp(merchant->parking, none, BH_ID_LEN) != 0;
}

/* Takes `path` over on success. */
static bh_status push(bh_inventory *inventory, char *path, uint64_t size, const uint8_t digest[BH_SHA256_LEN])
{
	size_t cap = inventory->cap > 0 ? inventory->cap * 2 : 16;
	bh_parked_file *grown = inventory->files;

	if (inventory->count == inventory->cap) {
		grown = realloc(inventory->files, cap * sizeof(*grown));
		if (grown == NULL)
			return bh_fail(BH_E_NOMEM, "no memory for an inventory of %zu files", cap);
		inventory->files = grown;
		inventory->cap = cap;
	}
	grown[inventory->count] = (bh_parked_file){ .path = path, .size = size };
	memcpy(grown[inventory->count++].digest, digest, BH_SHA256_LEN);
	return BH_OK;
}

/* ---- digests */

/* Where the bytes begin that neither pages nor a sync mark vouch for. */
static uint64_t vouched_to(bh_view page, uint64_t size)
{
	uint64_t mark;
	bh_header header;

	if (bh_header_parse(page, &header) != BH_OK)
		return page.len;
	if (bh_file_kind_is_paged(header.kind))
		return size;
	mark = bh_get_u64(page.data + BH_SYNC_MARK_OFFSET + 16);
	return mark < BH_HEADER_LEN ? BH_HEADER_LEN : BH_MIN(mark, size);
}

/* d = SHA-256(header page), then for each chunk d = SHA-256(d || chunk). */
static bh_status digest_rest(int fd, const char *path, uint64_t off, uint64_t size, uint8_t digest[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf chunk = { 0 };

	for (; off < size; off += chunk.len) {
		BH_TRY(bh_buf_reserve(&chunk, CHUNK));
		BH_TRY(bh_raw_read(fd, path, off, chunk.data, BH_MIN((uint64_t)CHUNK, size - off), &chunk.len));
		if (chunk.len == 0)
			return bh_fail(BH_E_TRUNCATED, "%s: ends at byte %llu", path, (unsigned long long)off);
		const bh_view parts[] = { bh_view_of(digest, BH_SHA256_LEN), bh_buf_view(&chunk) };
		uint8_t next[BH_SHA256_LEN];

		BH_TRY(bh_sha256_parts(parts, 2, next));
		memcpy(digest, next, BH_SHA256_LEN);
	}
	return BH_OK;
}

static bh_status describe(const char *path, uint64_t *size_out, uint8_t digest[BH_SHA256_LEN])
{
	BH_CLEANUP(bh_raw_close) int fd = -1;
	uint8_t page[BH_HEADER_LEN];
	struct stat st;
	size_t got;

	BH_TRY(bh_raw_open(path, &fd));
	if (fstat(fd, &st) != 0)
		return bh_raw_fail(path, "looked at");
	*size_out = (uint64_t)st.st_size;
	BH_TRY(bh_raw_read(fd, path, 0, page, sizeof(page), &got));
	BH_TRY(bh_sha256(bh_view_of(page, got), digest));
	return digest_rest(fd, path, vouched_to(bh_view_of(page, got), *size_out), *size_out, digest);
}

bh_status bh_inventory_add(bh_inventory *inventory, const char *dir, const char *path)
{
	BH_CLEANUP(bh_buf_clear) bh_buf full = { 0 };
	uint8_t digest[BH_SHA256_LEN] = { 0 };
	bh_status status;
	uint64_t size = 0;
	char *copy;

	BH_TRY(bh_buf_printf(&full, "%s/%s", dir, path));
	BH_TRY(describe((const char *)full.data, &size, digest));
	copy = strdup(path);
	if (copy == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", path);
	status = push(inventory, copy, size, digest);
	if (status != BH_OK)
		free(copy);
	return status;
}

bh_status bh_inventory_check(const bh_parked_file *file, const char *dir)
{
	BH_CLEANUP(bh_buf_clear) bh_buf full = { 0 };
	uint8_t digest[BH_SHA256_LEN] = { 0 };
	const char *path;
	bh_status status;
	uint64_t size = 0;

	BH_TRY(bh_buf_printf(&full, "%s/%s", dir, file->path));
	path = (const char *)full.data;
	status = describe(path, &size, digest);
	if (status == BH_E_NOT_FOUND)
		return bh_fail(BH_E_FORMAT, "%s: was parked and is missing; restore it from a backup", path);
	BH_TRY(status);
	if (size != file->size)
		return bh_fail(size < file->size ? BH_E_TRUNCATED : BH_E_FORMAT,
			       "%s: holds %llu bytes, %llu were parked; restore it from a backup", path, (unsigned long long)size,
			       (unsigned long long)file->size);
	if (!bh_equal_ct(digest, file->digest, sizeof(digest)))
		return bh_fail(BH_E_TAG, "%s: is not the file that was parked, or was changed; restore it from a backup", path);
	return BH_OK;
}

/* ---- DB/parked/<merchant>/INVENTORY: 8 magic, u16 version, 16 merchant id, 16 parking, u32 count, then for each file blob16 path,
 * u64 size, 32 digest */

static bh_status encode(const bh_inventory *inventory, const bh_merchant_info *merchant, bh_buf *out)
{
	BH_TRY(bh_buf_append(out, MAGIC, MAGIC_LEN));
	BH_TRY(bh_buf_append_u16(out, VERSION));
	BH_TRY(bh_buf_append(out, merchant->id, BH_ID_LEN));
	BH_TRY(bh_buf_append(out, merchant->parking, BH_ID_LEN));
	BH_TRY(bh_buf_append_u32(out, (uint32_t)inventory->count));
	for (size_t i = 0; i < inventory->count; i++) {
		BH_TRY(bh_buf_append_blob16(out, bh_view_str(inventory->files[i].path)));
		BH_TRY(bh_buf_append_u64(out, inventory->files[i].size));
		BH_TRY(bh_buf_append(out, inventory->files[i].digest, BH_SHA256_LEN));
	}
	return BH_OK;
}

static bool is_plain_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

/* NAME, or tenants/<merchant>/<class>/NAME: nothing that leads elsewhere. */
static bool is_own_path(const char *path, const char *merchant)
{
	char name[BH_CF_NAME_SIZE] = { 0 };
	const char *slash = strrchr(path, '/');
	size_t skip = strlen(BH_TENANTS_DIR "/");
	bh_scope scope;

	if (slash == NULL)
		return is_plain_name(path);
	if (strncmp(path, BH_TENANTS_DIR "/", skip) != 0 || slash < path + skip || (size_t)(slash - path) - skip >= sizeof(name))
		return false;
	memcpy(name, path + skip, (size_t)(slash - path) - skip);
	return is_plain_name(slash + 1) && bh_cf_name_parse(bh_view_str(name), &scope) == BH_OK &&
	       strcmp(scope.merchant, merchant) == 0;
}

static bh_status decode_file(bh_reader *r, const bh_merchant_info *merchant, bh_inventory *out)
{
	bh_view name = bh_read_blob16(r);
	uint64_t size = bh_read_u64(r);
	bh_view digest = bh_read_bytes(r, BH_SHA256_LEN);
	bh_status status;
	char *path;

	if (!bh_reader_ok(r) || name.len == 0 || memchr(name.data, 0, name.len) != NULL)
		return bh_fail(BH_E_FORMAT, "is malformed");
	path = strndup((const char *)name.data, name.len);
	if (path == NULL)
		return bh_fail(BH_E_NOMEM, "no memory for a path");
	status = is_own_path(path, merchant->name)
			 ? push(out, path, size, digest.data)
			 : bh_fail(BH_E_FORMAT, "has '%s', which is no file of merchant '%s'", path, merchant->name);
	if (status != BH_OK)
		free(path);
	return status;
}

static bh_status decode(bh_view bytes, const bh_merchant_info *merchant, bh_inventory *out)
{
	bh_reader r = bh_reader_of(bytes);
	bh_view magic = bh_read_bytes(&r, MAGIC_LEN);
	unsigned version = bh_read_u16(&r);
	bh_view id, parking;
	uint32_t count;

	if (!bh_reader_ok(&r) || memcmp(magic.data, MAGIC, MAGIC_LEN) != 0)
		return bh_fail(BH_E_FORMAT, "is no inventory");
	if (version != VERSION)
		return bh_fail(BH_E_VERSION, "has version %u; this build knows %u", version, VERSION);
	id = bh_read_bytes(&r, BH_ID_LEN);
	parking = bh_read_bytes(&r, BH_ID_LEN);
	count = bh_read_u32(&r);
	if (!bh_reader_ok(&r))
		return bh_fail(BH_E_FORMAT, "is malformed");
	if (memcmp(id.data, merchant->id, BH_ID_LEN) != 0)
		return bh_fail(BH_E_TAG, "is of another merchant: the directory was put here from elsewhere");
	if (memcmp(parking.data, merchant->parking, BH_ID_LEN) != 0)
		return bh_fail(BH_E_TAG, "is of another suspension of merchant '%s': an older state was put here", merchant->name);
	for (uint32_t i = 0; i < count; i++)
		BH_TRY(decode_file(&r, merchant, out));
	return bh_reader_done(&r) ? BH_OK : bh_fail(BH_E_FORMAT, "is malformed");
}

bh_status bh_inventory_store(const bh_inventory *inventory, bh_fs *fs, const char *dir, const bh_merchant_info *merchant)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_INVENTORY_FILE, dir));
	BH_TRY(encode(inventory, merchant, &bytes));
	return bh_stream_write_small(fs, (const char *)path.data, bh_buf_view(&bytes));
}

bh_status bh_inventory_load(const char *dir, const bh_fs *fs, const bh_merchant_info *merchant, bh_inventory *out)
{
	BH_CLEANUP(bh_inventory_clear) bh_inventory read = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_buf_clear) bh_buf bytes = { 0 };
	bh_status status;

	BH_TRY(bh_buf_printf(&path, "%s/" BH_INVENTORY_FILE, dir));
	status = bh_stream_read_small((const char *)path.data, bh_fs_scopes(fs), SIZE_MAX_BYTES, &bytes);
	if (status == BH_E_NOT_FOUND)
		return bh_fail(BH_E_FORMAT, "%s: is missing; restore it from a backup", (const char *)path.data);
	BH_TRY(status);
	BH_TRY(bh_fail_prefix(decode(bh_buf_view(&bytes), merchant, &read), "%s", (const char *)path.data));
	*out = read;
	read = (bh_inventory){ 0 };
	return BH_OK;
}
