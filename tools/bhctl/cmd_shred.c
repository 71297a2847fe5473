/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_shred.c: the end of a merchant, and the certificate that says so: shred, finalize, print, verify.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/shred/certificate.h"
#include "keyring/base/io.h"
#include "keyring/manifest/pin.h"
#include "bhctl.h"
#include "door.h"
#include "inspect.h"
#include "live.h"
#include "recorded.h"

#define PIN_BEGIN "bhpin1:"
#define HEX_FILE_MAX 256 /* bytes of a file that holds a public key */

static void json_release(json_t **json)
{
	json_decref(*json);
}

static bh_status parse(const bh_buf *text, json_t **out)
{
	*out = json_loadb((const char *)text->data, text->len, 0, NULL);
	return *out != NULL ? BH_OK : bh_fail(BH_E_NOMEM, "no memory for a certificate");
}

static const char *text_at(const json_t *certificate, const char *part, const char *name)
{
	const json_t *object = part != NULL ? json_object_get(certificate, part) : certificate;
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

static bool is_final(const json_t *certificate)
{
	return strcmp(text_at(certificate, NULL, "status"), "FINAL") == 0;
}

/* ---- files */

typedef struct place {
	char *path; /* owned: of the directory */
	const char *name;
	bh_io_dir dir;
} place;

static void place_close(place *p)
{
	bh_io_dir_close(&p->dir);
	free(p->path);
}

/* Where `path` is to be written. Errors: BH_E_INVALID (names no file), those of bh_io_dir_open(). */
static bh_status place_open(const char *path, place *out)
{
	const char *slash = strrchr(path, '/');
	bh_status status;

	out->name = slash != NULL ? slash + 1 : path;
	if (out->name[0] == '\0' || strcmp(out->name, ".") == 0 || strcmp(out->name, "..") == 0)
		return bh_fail(BH_E_INVALID, "'%s': names no file to write", path);
	out->path = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	if (out->path == NULL)
		return bh_fail(BH_E_NOMEM, "%s: no memory", path);
	bhctl_callers_files(true);
	status = bh_io_dir_open(out->path, &out->dir);
	bhctl_callers_files(false);
	return status;
}

/* Replaces the file, or makes it, whole. */
static bh_status write_whole(const place *p, bh_view bytes)
{
	BH_CLEANUP(bh_buf_clear) bh_buf temp = { 0 };

	BH_TRY(bh_buf_printf(&temp, "%s.tmp", p->name));
	BH_TRY(bh_io_write_file(&p->dir, (const char *)temp.data, bytes));
	BH_TRY(bh_io_rename(&p->dir, (const char *)temp.data, p->name));
	return bh_io_dir_sync(&p->dir);
}

static bh_status place_write(const place *p, bh_view bytes)
{
	bh_status status;

	bhctl_callers_files(true);
	status = write_whole(p, bytes);
	bhctl_callers_files(false);
	return status;
}

bh_status bhctl_write_file(const char *path, bh_view bytes)
{
	BH_CLEANUP(place_close) place p = { .dir = BH_IO_DIR_CLOSED };

	BH_TRY(place_open(path, &p));
	return place_write(&p, bytes);
}

/* ---- shred */

/* Without --yes: whoever sits at a terminal types the name. */
static bh_status confirm(const char *name)
{
	char line[BH_NAME_MAX + 2];

	if (!isatty(STDIN_FILENO))
		return bh_fail(BH_E_INVALID, "shredding '%s' cannot be undone; add --yes to do it", name);
	fprintf(stderr, "This destroys the keys and the data of '%s' for good. Type its name to go on: ", name);
	if (fgets(line, sizeof(line), stdin) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, name) != 0)
		return bh_fail(BH_E_INVALID, "not confirmed: '%s' was not shredded", name);
	return BH_OK;
}

static bh_status print_shredded(const bhctl *ctl, const char *name, const bh_buf *text)
{
	BH_CLEANUP(json_release) json_t *certificate = NULL;
	const char *date;

	BH_TRY(parse(text, &certificate));
	if (ctl->json)
		return out_json(json_pack("{s:s, s:s, s:O}", "merchant", name, "state", "shredded", "certificate", certificate));
	date = text_at(certificate, "cmk", "scheduled_for");
	if (is_final(certificate))
		printf("merchant '%s' is shredded: its data, its DEKs and its CMK are gone\n", name);
	else
		printf("merchant '%s' is shredded: its data and its DEKs are gone; its KMS destroys the CMK%s%s\n"
		       "The certificate is PENDING until then: afterwards run 'bhctl merchant shred %s --finalize'\n",
		       name, date[0] != '\0' ? " at " : " later", date, name);
	return BH_OK;
}

/* The merchant is shredded, but not its CMK: that, too, is certified. Returns `status`, with its message. */
static bh_status keep_pending(live *db, const char *name, const place *to, bh_status status)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	char message[512];

	snprintf(message, sizeof(message), "%s", bh_status_message());
	if (live_certificate(db, name, &text) == BH_OK && place_write(to, bh_buf_view(&text)) != BH_OK)
		fprintf(stderr, "bhctl: %s\n", bh_status_message());
	return bh_fail(status, "%s", message);
}

static bool is_certified(bh_status status)
{
	return status == BH_E_KMS_REFUSED || bh_kms_gave_no_answer(status) || status == BH_E_BUSY;
}

/* The certificate comes with the end, which is the service's. */
static bh_status record(bhctl *ctl, const char *name, const char *file)
{
	BH_TRY(recorded_shred(ctl, name));
	if (file != NULL)
		fprintf(stderr, "bhctl: note: %s: is not written; run 'bhctl merchant certificate %s' after that\n", file, name);
	if (ctl->json)
		return out_json(json_pack("{s:s, s:s}", "merchant", name, "state", bh_merchant_state_name(BH_MERCHANT_SHREDDING)));
	printf("merchant '%s' is being shredded\n", name);
	return BH_OK;
}

static bh_status shred(bhctl *ctl, const char *name, bool finalize, const char *file)
{
	BH_CLEANUP(live_close) live db = LIVE_CLOSED;
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	BH_CLEANUP(place_close) place to = { .dir = BH_IO_DIR_CLOSED };
	bh_status status;

	/* Before there is no way back. */
	if (file != NULL)
		BH_TRY(place_open(file, &to));
	status = live_open(ctl, &db);
	if (!finalize && recorded_is_way(status))
		return record(ctl, name, file);
	BH_TRY(status);
	status = finalize ? live_shred_finalize(&db, name, &text) : live_shred(&db, name, &text);
	if (file != NULL && is_certified(status))
		return keep_pending(&db, name, &to, status);
	BH_TRY(status);
	if (file != NULL)
		BH_TRY(bh_fail_prefix(place_write(&to, bh_buf_view(&text)),
				      "merchant '%s' is shredded, and 'merchant certificate' prints its certificate", name));
	return print_shredded(ctl, name, &text);
}

bh_status cmd_merchant_shred(bhctl *ctl, int argc, char **argv)
{
	bool yes = false, finalize = false;
	const char *file = NULL;
	const bhctl_option options[] = {
		{ .name = "yes", .flag = &yes },
		{ .name = "finalize", .flag = &finalize },
		{ .name = "certificate", .value = &file },
		{ 0 },
	};
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bh_name_check("merchant", args[0]));
	if (!yes && !finalize)
		BH_TRY(confirm(args[0]));
	return shred(ctl, args[0], finalize, file);
}

/* ---- print */

static bh_status print_certificate(const bhctl *ctl, const bh_buf *text)
{
	BH_CLEANUP(json_release) json_t *certificate = NULL;

	if (!ctl->json) {
		fwrite(text->data, 1, text->len, stdout);
		return BH_OK;
	}
	BH_TRY(parse(text, &certificate));
	return out_json(json_incref(certificate));
}

/* Of a closed database: out of its keyring and its directory, without RocksDB. */
static bh_status read_certificate(bhctl *ctl, const char *name, bh_buf *out)
{
	BH_CLEANUP(inspect_clear) inspect in = { 0 };
	BH_CLEANUP(bh_merchant_info_clear) bh_merchant_info merchant = { 0 };

	BH_TRY(inspect_open(ctl, ctl->db, &in));
	BH_TRY(bh_certificate_subject(in.keyring, name, false, &merchant));
	return bh_certificate_get(ctl->db, in.keyring, &merchant, out);
}

bh_status bhctl_certificate(bhctl *ctl, const char *name, bh_buf *out)
{
	BH_CLEANUP(live_close) live db = { .ctl = ctl, .door = -1 };

	BH_TRY(door_find(ctl, &db.door));
	return db.door >= 0 ? live_certificate(&db, name, out) : read_certificate(ctl, name, out);
}

bh_status cmd_merchant_certificate(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	const char *file = NULL;
	const bhctl_option options[] = { { .name = "out", .value = &file }, { 0 } };
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	BH_TRY(bhctl_need_db(ctl));
	BH_TRY(bh_name_check("merchant", args[0]));
	BH_TRY(bhctl_certificate(ctl, args[0], &text));
	return file != NULL ? bhctl_write_file(file, bh_buf_view(&text)) : print_certificate(ctl, &text);
}

/* ---- verify */

static bh_status read_file(const char *path, size_t max_len, bh_buf *out)
{
	BH_CLEANUP(place_close) place from = { .dir = BH_IO_DIR_CLOSED };

	if (strcmp(path, "-") == 0)
		return bhctl_stdin(out);
	BH_TRY(place_open(path, &from));
	return bh_io_read_file(&from.dir, from.name, max_len, out);
}

static bool is_key(const char *text)
{
	return strlen(text) == (size_t)2 * BH_PUBLIC_KEY_LEN && strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

static bh_status pinned_key(const char *text, uint8_t out[BH_PUBLIC_KEY_LEN])
{
	bh_pin pin;

	BH_TRY(bh_fail_prefix(bh_pin_parse(text, &pin), "--public-key"));
	memcpy(out, pin.public_key, BH_PUBLIC_KEY_LEN);
	return BH_OK;
}

bh_status bhctl_public_key(const char *given, uint8_t out[BH_PUBLIC_KEY_LEN])
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	bh_status status;

	if (is_key(given))
		return bh_unhex(given, out, BH_PUBLIC_KEY_LEN);
	if (strncmp(given, PIN_BEGIN, strlen(PIN_BEGIN)) == 0)
		return pinned_key(given, out);
	status = read_file(given, HEX_FILE_MAX, &text);
	if (status != BH_E_FORMAT) /* too large: said below */
		BH_TRY(bh_fail_prefix(status, "--public-key"));
	while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
		text.len--;
	BH_TRY(bh_buf_append_u8(&text, 0));
	if (!is_key((const char *)text.data))
		return bh_fail(BH_E_INVALID, "--public-key %s: does not hold a key, which is 64 hex digits", given);
	return bh_unhex((const char *)text.data, out, BH_PUBLIC_KEY_LEN);
}

static void print_line(const char *label, const char *text)
{
	printf("  %-11s ", label);
	out_bytes(bh_view_str(text), false, 0);
	putchar('\n');
}

static void print_cmk(const json_t *certificate)
{
	const json_t *version = json_object_get(json_object_get(certificate, "cmk"), "version");
	char number[48];

	print_line("CMK", text_at(certificate, "cmk", "uri"));
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(version));
	print_line("  version", number);
	if (text_at(certificate, "cmk", "state")[0] != '\0')
		print_line("  state", text_at(certificate, "cmk", "state"));
	if (text_at(certificate, "cmk", "error")[0] != '\0')
		print_line("  error", text_at(certificate, "cmk", "message"));
	if (text_at(certificate, "cmk", "request_id")[0] != '\0')
		print_line("  request", text_at(certificate, "cmk", "request_id"));
}

static void print_former(const json_t *certificate)
{
	const json_t *cmk;
	size_t i;

	json_array_foreach(json_object_get(certificate, "former_cmks"), i, cmk)
	{
		print_line("former CMK", text_at(cmk, NULL, "uri"));
		if (text_at(cmk, NULL, "state")[0] != '\0')
			print_line("  state", text_at(cmk, NULL, "state"));
		if (text_at(cmk, NULL, "error")[0] != '\0')
			print_line("  error", text_at(cmk, NULL, "message"));
	}
}

static void print_scope(const json_t *certificate)
{
	const json_t *scope = json_object_get(certificate, "scope");

	printf("  %-11s %zu column families, %zu DEKs, %lld files\n", "scope",
	       json_array_size(json_object_get(scope, "column_families")), json_array_size(json_object_get(scope, "deks")),
	       (long long)json_integer_value(json_object_get(json_object_get(scope, "files"), "count")));
}

static void print_audit(const json_t *certificate)
{
	const json_t *audit = json_object_get(certificate, "audit");

	printf("  %-11s %lld entries, root %s\n", "audit log", (long long)json_integer_value(json_object_get(audit, "size")),
	       text_at(certificate, "audit", "root"));
}

static void print_pending(const json_t *certificate)
{
	const json_t *key;
	size_t i;

	print_line("pending", text_at(certificate, NULL, "pending"));
	json_array_foreach(json_object_get(certificate, "pending_cmks"), i, key) print_line("  by", text_at(key, NULL, "uri"));
}

static void print_verified(const json_t *certificate, const bh_certificate_info *info, bool key_given)
{
	char key[2 * BH_PUBLIC_KEY_LEN + 1];

	printf("%s: the signature holds\n", info->is_final ? "FINAL" : "PENDING");
	if (!info->is_final)
		print_pending(certificate);
	print_line("merchant", info->merchant);
	print_line("  id", info->merchant_id);
	print_line("database", info->database_id);
	print_line("  region", text_at(certificate, "database", "region"));
	print_scope(certificate);
	print_line("asked", text_at(certificate, "times", "asked"));
	print_line("unreadable", text_at(certificate, "times", "unreadable"));
	print_line("finished", text_at(certificate, "times", "finished"));
	print_cmk(certificate);
	print_former(certificate);
	print_audit(certificate);
	bh_hex(info->public_key, BH_PUBLIC_KEY_LEN, key);
	print_line("signed by", key);
	if (!key_given)
		printf("Anybody can make a key: compare this one with that of the database, as 'bhctl --db DIR status' shows it,\n"
		       "or give that with --public-key.\n");
}

static bh_status report(const bhctl *ctl, const bh_buf *text, const bh_certificate_info *info, bool key_given)
{
	BH_CLEANUP(json_release) json_t *certificate = NULL;
	char key[2 * BH_PUBLIC_KEY_LEN + 1];

	BH_TRY(parse(text, &certificate));
	if (!ctl->json) {
		print_verified(certificate, info, key_given);
		return BH_OK;
	}
	bh_hex(info->public_key, BH_PUBLIC_KEY_LEN, key);
	return out_json(json_pack("{s:s, s:s, s:b, s:O}", "status", info->is_final ? "FINAL" : "PENDING", "public_key", key,
				  "public_key_compared", key_given, "certificate", certificate));
}

bh_status cmd_certificate_verify(bhctl *ctl, int argc, char **argv)
{
	BH_CLEANUP(bh_buf_clear) bh_buf text = { 0 };
	uint8_t public_key[BH_PUBLIC_KEY_LEN];
	const char *key = NULL;
	const bhctl_option options[] = { { .name = "public-key", .value = &key }, { 0 } };
	bh_certificate_info info;
	char **args;
	int count;

	BH_TRY(bhctl_parse(ctl, argc, argv, options, 1, 1, &args, &count));
	if (key == NULL)
		key = ctl->pin;
	if (key != NULL)
		BH_TRY(bhctl_public_key(key, public_key));
	BH_TRY(read_file(args[0], BH_CERTIFICATE_MAX, &text));
	BH_TRY(bh_fail_prefix(bh_certificate_verify(bh_buf_view(&text), key != NULL ? public_key : NULL, &info), "%s", args[0]));
	return report(ctl, &text, &info, key != NULL);
}
