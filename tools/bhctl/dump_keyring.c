/* SPDX-License-Identifier: Apache-2.0
 *
 * dump_keyring.c: DB/KEYRING: its head, which needs no key, then what its records add up to. Never a wrap, let alone a key.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "keyring/manifest/format.h"
#include "dump.h"

static void show_head(dump *d, const bh_keyring_head *head)
{
	char database[BH_ID_HEX_SIZE], root[BH_ID_HEX_SIZE], created[BH_TIME_TEXT_SIZE], key[2 * BH_SIGN_PUBLIC_LEN + 1];

	bh_hex(head->database_id, BH_ID_LEN, database);
	bh_hex(head->root_id, BH_ID_LEN, root);
	bh_hex(head->public_key, BH_SIGN_PUBLIC_LEN, key);
	bh_time_text(head->created_at_s, created);
	if (d->ctl->json) {
		json_object_set_new(d->head, "header",
				    json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "kind", "keyring", "version",
					      BH_KEYRING_VERSION, "database", database, "region", head->region, "platform_cmk",
					      head->cmk_uri, "root", root, "cmk_version", (int)head->cmk_version, "created_at",
					      created, "public_key", key));
		return;
	}
	printf("kind      keyring, format version %d\ndatabase  %s, in region %s, made %s\n", BH_KEYRING_VERSION, database,
	       head->region, created);
	printf("platform  CMK %s version %u, root %s\n", head->cmk_uri, (unsigned)head->cmk_version, root);
	printf("signs     with key %s\n", key);
}

static void show_merchant(const dump *d, const bh_merchant_info *merchant, json_t *merchants)
{
	char id[BH_ID_HEX_SIZE];

	bh_hex(merchant->id, BH_ID_LEN, id);
	if (d->ctl->json)
		json_array_append_new(merchants, json_pack("{s:s, s:s, s:s, s:s}", "name", merchant->name, "id", id, "state",
							   bh_merchant_state_name(merchant->state), "cmk", merchant->cmk_uri));
	else
		printf("merchant  %s (%s), %s, CMK %s\n", merchant->name, id, bh_merchant_state_name(merchant->state),
		       merchant->cmk_uri);
}

static bh_status show_dek(dump *d, const bh_dek_info *dek)
{
	char id[BH_ID_HEX_SIZE], owner[BH_CF_NAME_SIZE], created[BH_TIME_TEXT_SIZE];

	bh_hex(dek->id, BH_ID_LEN, id);
	inspect_owner(&d->in, dek->id, owner);
	bh_time_text(dek->created_at_s, created);
	if (d->ctl->json)
		return out_array_item(&d->array, json_pack("{s:s, s:s, s:i, s:i, s:s, s:b}", "id", id, "owner", owner, "generation",
							   (int)dek->generation, "cmk_version", (int)dek->cmk_version, "created_at",
							   created, "destroyed", dek->tombstone));
	d->array.count++;
	printf("DEK       %s %s generation %u, %s, made %s\n", id, owner, (unsigned)dek->generation,
	       dek->tombstone ? "destroyed" : "wrapped", created);
	return BH_OK;
}

static bh_status show_records(dump *d, const char *dir)
{
	json_t *merchants = d->ctl->json ? json_array() : NULL;
	bh_status status = inspect_open(d->ctl, dir, &d->in);

	for (size_t i = 0; status == BH_OK && i < d->in.merchant_count; i++)
		show_merchant(d, &d->in.merchants[i], merchants);
	if (merchants != NULL)
		json_object_set_new(d->head, "merchants", merchants);
	BH_TRY(status);
	BH_TRY(dump_begin(d, "deks"));
	for (size_t i = 0; i < d->in.dek_count && !dump_enough(d); i++)
		BH_TRY(show_dek(d, &d->in.deks[i]));
	return BH_OK;
}

/* Whether the file is the one that the keyring of `dir` would be read from. */
static bool is_own(const dump *d, const char *dir)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	struct stat own, shown;

	return bh_buf_printf(&path, "%s/" BH_KEYRING_FILE, dir) == BH_OK && stat((const char *)path.data, &own) == 0 &&
	       fstat(d->file.fd, &shown) == 0 && own.st_dev == shown.st_dev && own.st_ino == shown.st_ino;
}

bh_status dump_keyring(dump *d, const char *dir)
{
	bh_keyring_head head;
	bh_view bytes;

	BH_TRY(sealed_view(&d->file, 0, BH_KEYRING_HEAD_LEN, &bytes));
	if (bytes.len < BH_KEYRING_HEAD_LEN)
		return bh_fail(BH_E_TRUNCATED, "%s: of %llu bytes is no keyring", d->path, (unsigned long long)d->file.size);
	BH_TRY(bh_fail_prefix(bh_keyring_head_decode(bytes.data, &head), "%s", d->path));
	show_head(d, &head);
	if (d->raw)
		return BH_OK;
	if (dir == NULL || !is_own(d, dir))
		return bh_fail(BH_E_UNSUPPORTED,
			       "%s: a copy; the records of a keyring are shown in its own place alone (--raw: the head)", d->path);
	return show_records(d, dir);
}
