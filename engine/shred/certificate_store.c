/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate_store.c: certificates on disk, DB/certificates/<merchant>-<merchant id>.json.
 */
#include "certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "keyring/base/crashpoint.h"
#include "keyring/base/io.h"

void bh_certificate_name(const bh_merchant_info *merchant, char out[BH_CERTIFICATE_NAME_SIZE])
{
	char id[BH_ID_HEX_SIZE];

	bh_hex(merchant->id, BH_ID_LEN, id);
	snprintf(out, BH_CERTIFICATE_NAME_SIZE, "%s-%s.json", merchant->name, id);
}

static bh_status dir_open(const char *dir, bh_io_dir *out)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };

	BH_TRY(bh_buf_printf(&path, "%s/" BH_CERTIFICATES_DIR, dir));
	return bh_io_dir_open((const char *)path.data, out);
}

/* Makes the directory, durably, where it is missing. */
static bh_status dir_make(const char *dir)
{
	BH_CLEANUP(bh_buf_clear) bh_buf path = { 0 };
	BH_CLEANUP(bh_io_dir_close) bh_io_dir parent = BH_IO_DIR_CLOSED;

	BH_TRY(bh_buf_printf(&path, "%s/" BH_CERTIFICATES_DIR, dir));
	if (mkdir((const char *)path.data, 0750) == 0) {
		BH_TRY(bh_io_dir_open(dir, &parent));
		return bh_io_dir_sync(&parent);
	}
	return errno == EEXIST ? BH_OK : bh_fail(BH_E_IO, "%s: cannot be made: %s", (const char *)path.data, strerror(errno));
}

bh_status bh_certificate_store(const char *dir, const bh_merchant_info *merchant, bh_view json)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir certificates = BH_IO_DIR_CLOSED;
	char name[BH_CERTIFICATE_NAME_SIZE], temp[BH_CERTIFICATE_NAME_SIZE + sizeof(BH_CERTIFICATE_TEMP)];

	bh_certificate_name(merchant, name);
	snprintf(temp, sizeof(temp), "%s" BH_CERTIFICATE_TEMP, name);
	BH_TRY(dir_make(dir));
	BH_TRY(dir_open(dir, &certificates));
	BH_TRY(bh_io_write_file(&certificates, temp, json));
	bh_crash_point("certificate.store.tmp-synced");
	BH_TRY(bh_io_rename(&certificates, temp, name));
	bh_crash_point("certificate.store.renamed");
	return bh_io_dir_sync(&certificates);
}

bh_status bh_certificate_load(const char *dir, const bh_keyring *keyring, const bh_merchant_info *merchant, bh_buf *out)
{
	BH_CLEANUP(bh_io_dir_close) bh_io_dir certificates = BH_IO_DIR_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf json = { 0 };
	char name[BH_CERTIFICATE_NAME_SIZE], id[BH_ID_HEX_SIZE];
	uint8_t public_key[BH_SIGN_PUBLIC_LEN];
	bh_certificate_info info;

	bh_certificate_name(merchant, name);
	bh_hex(merchant->id, BH_ID_LEN, id);
	bh_signer_public(bh_keyring_signer(keyring), public_key);
	BH_TRY(dir_open(dir, &certificates));
	BH_TRY(bh_io_read_file(&certificates, name, BH_CERTIFICATE_MAX, &json));
	BH_TRY(bh_fail_prefix(bh_certificate_verify(bh_buf_view(&json), public_key, &info), "%s", name));
	if (strcmp(info.merchant_id, id) != 0)
		return bh_fail(BH_E_TAG, "%s: is the certificate of another merchant, '%s' %s", name, info.merchant,
			       info.merchant_id);
	return bh_buf_append(out, json.data, json.len);
}

/* ---- whose */

/* The index of the one to take; `count` if there is none. */
static size_t choose(const bh_merchant_info *infos, size_t count, const char *name, bool pending_first)
{
	size_t newest = count;

	for (size_t i = count; i > 0; i--) {
		const bh_merchant_info *info = &infos[i - 1];

		if (info->state != BH_MERCHANT_SHREDDED || strcmp(info->name, name) != 0)
			continue;
		if (!pending_first || info->cmk_pending)
			return i - 1;
		if (newest == count)
			newest = i - 1;
	}
	return newest;
}

static bh_status nobody(bh_keyring *keyring, const char *name)
{
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info info = { 0 };

	BH_TRY(bh_keyring_merchant(keyring, name, &info));
	return bh_fail(BH_E_INVALID, "merchant '%s': is %s, not shredded", name, bh_merchant_state_name(info.state));
}

bh_status bh_certificate_subject(bh_keyring *keyring, const char *name, bool pending_first, bh_merchant_info *out)
{
	bh_merchant_info *infos = NULL;
	size_t count = 0, chosen;

	BH_TRY(bh_keyring_merchants(keyring, &infos, &count));
	chosen = choose(infos, count, name, pending_first);
	for (size_t i = 0; i < count; i++) {
		if (i == chosen)
			*out = infos[i];
		else
			bh_merchant_info_clear(&infos[i]);
	}
	free(infos);
	return chosen < count ? BH_OK : nobody(keyring, name);
}

bh_status bh_certificate_get(const char *dir, bh_keyring *keyring, const bh_merchant_info *merchant, bh_buf *out)
{
	bh_shred_record shred;
	const bh_certificate_facts facts = { .keyring = keyring, .merchant = merchant, .shred = &shred };

	BH_TRY(bh_keyring_shred(keyring, merchant->id, &shred));
	/* A stored one that is older than what is known would say less; it is due until it is stored. */
	if (shred.issued && bh_certificate_load(dir, keyring, merchant, out) == BH_OK)
		return BH_OK;
	return bh_certificate_make(&facts, out);
}
