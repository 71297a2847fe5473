/* SPDX-License-Identifier: Apache-2.0
 *
 * kms.c: finds the provider of a URI and calls its table: the one place that checks arguments and what a provider hands back.
 *
 * Thread-safety: a bh_kms is immutable after open, but for atomics and the meter, which has a lock of its own; providers answer for
 * their own `self`.
 */
#include "kms.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "keyring/base/crashpoint.h"
#include "keyring/kms/agent/agent.h"
#include "keyring/kms/aws/aws.h"
#include "keyring/kms/local/local.h"
#include "keyring/kms/pkcs11/pkcs11.h"
#include "keyring/kms/provider/registry.h"
#include "keyring/kms/vault/vault.h"
#include "meter.h"

struct bh_kms {
	const bh_kms_provider *ops;
	void *self;
	char *uri;
	atomic_uint refs;
	atomic_bool failed; /* the last call did */
	bh_kms_meter *meter;
	bh_kms_meter own; /* where no other is given */
};

static const bh_kms_known known[] = {
	{ "local", &bh_kms_provider_local, NULL },           { "agent", &bh_kms_provider_agent, NULL },
#ifdef BH_HAVE_P11KIT
	{ "pkcs11", &bh_kms_provider_pkcs11, NULL },
#else
	{ "pkcs11", NULL, "p11-kit 0.24 or later" },
#endif
#ifdef BH_HAVE_CURL
	{ "aws-kms", &bh_kms_provider_aws, NULL },           { "vault", &bh_kms_provider_vault, NULL },
	{ "vault+http", &bh_kms_provider_vault_http, NULL },
#else
	{ "aws-kms", NULL, "libcurl 7.85 or later" },    { "vault", NULL, "libcurl 7.85 or later" },
	{ "vault+http", NULL, "libcurl 7.85 or later" },
#endif
};
#define KNOWN_COUNT (sizeof(known) / sizeof(known[0]))

static const bh_kms_options default_options;

static bh_status provider_find(const char *uri, const bh_kms_provider **out)
{
	return bh_kms_provider_find(known, KNOWN_COUNT, uri, out);
}

bh_status bh_kms_provider_register(const bh_kms_provider *provider)
{
	return bh_done(bh_kms_provider_add(known, KNOWN_COUNT, provider));
}

/* What a provider leaves to the key's owner. */
static bh_status console_only(const bh_kms_provider *ops, const char *what)
{
	return bh_fail(BH_E_UNSUPPORTED, "a KMS of scheme '%s' does not %s from here; the key's owner does: %s", ops->scheme, what,
		       ops->console != NULL ? ops->console : "in the KMS's own console");
}

bh_status bh_kms_open(const char *uri, const bh_kms_options *options, bh_kms **out)
{
	return bh_done(bh_kms_open_in(NULL, NULL, uri, options, out));
}

/* Around each call to a provider. */

static int64_t call_begin(void)
{
	bh_kms_request_id_set("");
	bh_kms_principal_set("");
	return bh_kms_meter_now_ns();
}

static bh_status call_end(bh_kms *kms, int64_t began_ns, bh_status status)
{
	bh_kms_meter_count(kms->meter, began_ns, status);
	atomic_store(&kms->failed, status != BH_OK);
	return status;
}

/* ... of a call that used the key. */
static bh_status use_end(bh_kms *kms, int64_t began_ns, bh_status status)
{
	status = call_end(kms, began_ns, status);
	bh_crash_point("kms.answered");
	return status;
}

static void kms_free(bh_kms *kms)
{
	bh_kms_meter_clear(&kms->own);
	free(kms->uri);
	free(kms);
}

bh_status bh_kms_open_in(bh_kms_session *session, bh_kms_meter *meter, const char *uri, const bh_kms_options *options, bh_kms **out)
{
	const bh_kms_provider *ops = NULL;
	BH_TRY(provider_find(uri, &ops));

	bh_kms *kms = calloc(1, sizeof(*kms));
	if (kms == NULL)
		return bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	kms->ops = ops;
	atomic_init(&kms->refs, 1);
	bh_kms_meter_init(&kms->own);
	kms->meter = meter != NULL ? meter : &kms->own;
	kms->uri = strdup(uri);
	int64_t began_ns = call_begin();
	bh_status status = kms->uri != NULL ? ops->open(uri, options != NULL ? options : &default_options, session, &kms->self)
					    : bh_fail(BH_E_NOMEM, "CMK '%s': no memory to open it", uri);
	if (call_end(kms, began_ns, status) != BH_OK) {
		kms_free(kms);
		return status;
	}
	*out = kms;
	return BH_OK;
}

bh_kms *bh_kms_ref(bh_kms *kms)
{
	atomic_fetch_add(&kms->refs, 1);
	return kms;
}

bool bh_kms_has_failed(const bh_kms *kms)
{
	return atomic_load(&kms->failed);
}

void bh_kms_stats(bh_kms *kms, bh_kms_statistics *out)
{
	bh_kms_meter_read(kms->meter, out);
}

void bh_kms_close(bh_kms *kms)
{
	if (kms == NULL || atomic_fetch_sub(&kms->refs, 1) != 1)
		return;
	kms->ops->close(kms->self);
	kms_free(kms);
}

void bh_kms_closep(bh_kms **kms)
{
	bh_kms_close(*kms);
	*kms = NULL;
}

bh_status bh_kms_create(const char *uri, const char *region, const bh_kms_options *options)
{
	const bh_kms_provider *ops = NULL;

	BH_TRY(provider_find(uri, &ops));
	if (region == NULL)
		region = "";
	if (region[0] != '\0')
		BH_TRY(bh_name_check("region", region));
	if (ops->create == NULL)
		return console_only(ops, "make keys");
	return bh_done(ops->create(uri, region, options != NULL ? options : &default_options));
}

bh_status bh_kms_describe(bh_kms *kms, bh_kms_key_info *out)
{
	bh_kms_key_info info = { 0 };
	int64_t began_ns = call_begin();

	BH_TRY(call_end(kms, began_ns, kms->ops->describe(kms->self, &info)));
	*out = info;
	return bh_done(BH_OK);
}

static bh_status wrap_checked(bh_kms *kms, bh_view plaintext, bh_view context, bh_kms_wrapped *wrapped)
{
	BH_TRY(kms->ops->wrap(kms->self, plaintext.data, context, wrapped));
	if (wrapped->len == 0 || wrapped->len > BH_KMS_WRAPPED_MAX || wrapped->version == 0)
		return bh_fail(BH_E_FORMAT, "CMK '%s': its KMS answered with a wrap of %zu bytes, version %u", kms->uri,
			       wrapped->len, wrapped->version);
	return BH_OK;
}

bh_status bh_kms_wrap(bh_kms *kms, bh_view plaintext, bh_view context, bh_buf *wrapped_out, uint32_t *version_out)
{
	bh_kms_wrapped wrapped = { 0 };

	if (plaintext.len != BH_DEK_LEN)
		return bh_fail(BH_E_INVALID, "CMK '%s': only keys of %d bytes are wrapped, not %zu", kms->uri, BH_DEK_LEN,
			       plaintext.len);
	int64_t began_ns = call_begin();
	BH_TRY(use_end(kms, began_ns, wrap_checked(kms, plaintext, context, &wrapped)));
	BH_TRY(bh_buf_append(wrapped_out, wrapped.bytes, wrapped.len));
	*version_out = wrapped.version;
	return BH_OK;
}

/* A KMS that answers with a key of zeros gives none: no DEK is ever one, and it is what a provider that writes nothing leaves. */
static bh_status unwrap_checked(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *plaintext)
{
	BH_TRY(bh_secret_init(plaintext, BH_DEK_LEN));
	BH_TRY(kms->ops->unwrap(kms->self, wrapped, context, plaintext->data));
	if (bh_secret_is_wiped(plaintext))
		return bh_fail(BH_E_FORMAT, "CMK '%s': its KMS answered with a key of zeros", kms->uri);
	return BH_OK;
}

bh_status bh_kms_unwrap(bh_kms *kms, bh_view wrapped, bh_view context, bh_secret *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret plaintext = { 0 };
	int64_t began_ns = call_begin();

	BH_TRY(use_end(kms, began_ns, unwrap_checked(kms, wrapped, context, &plaintext)));
	*out = bh_secret_take(&plaintext);
	return BH_OK;
}

bh_status bh_kms_rotate(bh_kms *kms, uint32_t *version_out)
{
	uint32_t version = 0;

	if (kms->ops->rotate == NULL)
		return console_only(kms->ops, "rotate keys");
	BH_TRY(kms->ops->rotate(kms->self, &version));
	*version_out = version;
	return bh_done(BH_OK);
}

static bh_status set_state(bh_kms *kms, bh_kms_key_state state)
{
	if (kms->ops->set_state == NULL)
		return console_only(kms->ops, "enable or disable keys");
	return bh_done(kms->ops->set_state(kms->self, state));
}

bh_status bh_kms_enable(bh_kms *kms)
{
	return set_state(kms, BH_KMS_ENABLED);
}

bh_status bh_kms_disable(bh_kms *kms)
{
	return set_state(kms, BH_KMS_DISABLED);
}

static bh_status destroy_checked(bh_kms *kms, bh_kms_evidence *evidence)
{
	BH_TRY(kms->ops->destroy(kms->self, evidence));
	if (evidence->state != BH_KMS_DESTROYED && (evidence->state != BH_KMS_PENDING_DELETION || evidence->scheduled_s <= 0))
		return bh_fail(BH_E_FORMAT, "CMK '%s': was to be destroyed, and its KMS answers that it is %s", kms->uri,
			       bh_kms_key_state_name(evidence->state));
	return BH_OK;
}

bh_status bh_kms_destroy(bh_kms *kms, bh_kms_evidence *out)
{
	bh_kms_evidence evidence = { 0 };
	int64_t began_ns = call_begin();

	BH_TRY(use_end(kms, began_ns, destroy_checked(kms, &evidence)));
	if (out != NULL)
		*out = evidence;
	return bh_done(BH_OK);
}

bool bh_kms_gave_no_answer(bh_status status)
{
	return status == BH_E_KMS_UNREACHABLE || status == BH_E_KMS_THROTTLED || status == BH_E_KMS_SEALED;
}

const char *bh_kms_key_state_name(bh_kms_key_state state)
{
	switch (state) {
	case BH_KMS_ENABLED: return "enabled";
	case BH_KMS_DISABLED: return "disabled";
	case BH_KMS_DESTROYED: return "destroyed";
	case BH_KMS_PENDING_DELETION: return "pending-deletion";
	}
	return "unknown";
}

bh_status bh_kms_list(const char *uri, const bh_kms_options *options, bh_status (*each)(void *arg, const bh_kms_key_info *info),
		      void *arg)
{
	const bh_kms_provider *ops = NULL;

	BH_TRY(provider_find(uri, &ops));
	if (ops->list == NULL)
		return console_only(ops, "list keys");
	return bh_done(ops->list(uri, options != NULL ? options : &default_options, each, arg));
}

bh_status bh_kms_resolve(const char *uri, const bh_kms_options *options, char *out)
{
	const bh_kms_provider *ops = NULL;

	out[0] = '\0';
	if (provider_find(uri, &ops) != BH_OK || ops->resolve == NULL)
		return BH_OK;
	return ops->resolve(uri, options != NULL ? options : &default_options, out);
}

bool bh_kms_same_key(const char *uri, const char *other)
{
	const bh_kms_provider *ops = NULL, *other_ops = NULL;

	if (provider_find(uri, &ops) != BH_OK || provider_find(other, &other_ops) != BH_OK || ops != other_ops)
		return false;
	return strcmp(uri, other) == 0 || (ops->same_key != NULL && ops->same_key(uri, other));
}
