/* SPDX-License-Identifier: Apache-2.0
 *
 * mechanism.c: see mechanism.h.
 */
#include "mechanism.h"

#include "keyring/base/random.h"
#include "keyring/crypto/kdf.h"

#define NONCE_LEN 12
#define GCM_LEN (BH_DEK_LEN + 16)
#define SALT_LEN 16
#define KWP_PLAIN_LEN (SALT_LEN + BH_DEK_LEN + BH_SHA256_LEN)
#define KWP_LEN (KWP_PLAIN_LEN + 8)

#ifndef CKR_AEAD_DECRYPT_FAILED
#define CKR_AEAD_DECRYPT_FAILED 0x35UL
#endif
#ifndef CKM_AES_KEY_WRAP_PAD
#define CKM_AES_KEY_WRAP_PAD 0x210aUL
#endif

/* Some modules OR into what they are given. */
static bool mechanism_is_there(const bh_p11_session *s, CK_MECHANISM_TYPE type, CK_FLAGS both)
{
	CK_MECHANISM_INFO info = { 0 };

	return s->module->C_GetMechanismInfo(s->slot, type, &info) == CKR_OK && (info.flags & both) == both;
}

/* BH_P11_GCM where the token has it, else BH_P11_KWP; 0: neither. */
uint8_t bh_p11_mechanism(const bh_p11_session *s)
{
	if (mechanism_is_there(s, CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT))
		return BH_P11_GCM;
	return mechanism_is_there(s, CKM_AES_KEY_WRAP_PAD, CKF_WRAP | CKF_UNWRAP) ? BH_P11_KWP : 0;
}

CK_ATTRIBUTE_TYPE bh_p11_use_to_wrap(const bh_p11_session *s)
{
	return bh_p11_mechanism(s) == BH_P11_KWP ? CKA_WRAP : CKA_ENCRYPT;
}

CK_ATTRIBUTE_TYPE bh_p11_use_to_unwrap(const bh_p11_session *s)
{
	return bh_p11_mechanism(s) == BH_P11_KWP ? CKA_UNWRAP : CKA_DECRYPT;
}

bh_status bh_p11_may_work(const bh_p11_session *s, CK_OBJECT_HANDLE handle, bool *out)
{
	CK_BBOOL wraps = CK_FALSE, unwraps = CK_FALSE;
	CK_ATTRIBUTE attributes[] = { { bh_p11_use_to_wrap(s), &wraps, sizeof(wraps) },
				      { bh_p11_use_to_unwrap(s), &unwraps, sizeof(unwraps) } };
	CK_RV rv = s->module->C_GetAttributeValue(s->handle, handle, attributes, 2);

	if (rv != CKR_OK)
		return bh_p11_error(rv, "C_GetAttributeValue");
	*out = wraps && unwraps;
	return BH_OK;
}

/* One call of C_Encrypt or C_Decrypt; exactly `out_len` bytes have to come of it. Some modules want room for a tag that does not
 * come out of a decryption, so it goes through memory of the size of the larger side. */
static CK_RV cipher(const bh_p11_session *s, bool encrypt, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE handle, const uint8_t *in,
		    size_t in_len, uint8_t *out, size_t out_len)
{
	BH_CLEANUP(bh_secret_clear) bh_secret room = { 0 };
	CK_ULONG got = BH_MAX(in_len, out_len);
	CK_BYTE_PTR input = (CK_BYTE_PTR)(uintptr_t)in; /* which is only read */

	if (bh_secret_init(&room, got) != BH_OK)
		return CKR_HOST_MEMORY;
	CK_RV rv = encrypt ? s->module->C_EncryptInit(s->handle, mechanism, handle)
			   : s->module->C_DecryptInit(s->handle, mechanism, handle);
	if (rv != CKR_OK)
		return rv;
	rv = encrypt ? s->module->C_Encrypt(s->handle, input, in_len, room.data, &got)
		     : s->module->C_Decrypt(s->handle, input, in_len, room.data, &got);
	if (rv == CKR_OK && got != out_len)
		return CKR_ENCRYPTED_DATA_LEN_RANGE;
	if (rv == CKR_OK)
		memcpy(out, room.data, out_len);
	return rv;
}

static CK_RV gcm(const bh_p11_session *s, bool encrypt, CK_OBJECT_HANDLE handle, const uint8_t *nonce, bh_view context,
		 const uint8_t *in, uint8_t *out)
{
	/* By place: p11-kit 0.24 and 0.25 name the members differently. Nonce, its bytes and bits, the context, the tag's bits. */
	CK_GCM_PARAMS params = {
		(unsigned char *)(uintptr_t)nonce,        NONCE_LEN,   NONCE_LEN * 8,
		(unsigned char *)(uintptr_t)context.data, context.len, 128,
	};
	CK_MECHANISM mechanism = { CKM_AES_GCM, &params, sizeof(params) };

	return cipher(s, encrypt, &mechanism, handle, in, encrypt ? BH_DEK_LEN : GCM_LEN, out, encrypt ? GCM_LEN : BH_DEK_LEN);
}

/* RFC 5649 wraps keys, not bytes: `plain` (KWP_PLAIN_LEN) becomes one for this session, which is wrapped and destroyed. */
static CK_RV kwp_wrap(const bh_p11_session *s, CK_OBJECT_HANDLE handle, const uint8_t *plain, uint8_t *out)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },       { CKA_EXTRACTABLE, &yes, sizeof(yes) },
		{ CKA_SENSITIVE, &no, sizeof(no) },   { CKA_VALUE, (void *)(uintptr_t)plain, KWP_PLAIN_LEN },
	};
	CK_OBJECT_HANDLE object;
	CK_ULONG got = KWP_LEN;
	CK_RV rv = s->module->C_CreateObject(s->handle, template, sizeof(template) / sizeof(template[0]), &object);

	if (rv != CKR_OK)
		return rv;
	rv = s->module->C_WrapKey(s->handle, &mechanism, handle, object, out, &got);
	s->module->C_DestroyObject(s->handle, object);
	return rv == CKR_OK && got != KWP_LEN ? CKR_ENCRYPTED_DATA_LEN_RANGE : rv;
}

static CK_RV kwp_unwrap(const bh_p11_session *s, CK_OBJECT_HANDLE handle, const uint8_t *sealed, uint8_t *plain_out)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_WRAP_PAD, NULL, 0 };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },   { CKA_KEY_TYPE, &type, sizeof(type) }, { CKA_TOKEN, &no, sizeof(no) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) }, { CKA_SENSITIVE, &no, sizeof(no) },
	};
	CK_ATTRIBUTE value = { CKA_VALUE, plain_out, KWP_PLAIN_LEN };
	CK_OBJECT_HANDLE object;
	CK_RV rv = s->module->C_UnwrapKey(s->handle, &mechanism, handle, (CK_BYTE_PTR)(uintptr_t)sealed, KWP_LEN, template,
					  sizeof(template) / sizeof(template[0]), &object);

	if (rv != CKR_OK)
		return rv;
	rv = s->module->C_GetAttributeValue(s->handle, object, &value, 1);
	s->module->C_DestroyObject(s->handle, object);
	return rv == CKR_OK && value.ulValueLen != KWP_PLAIN_LEN ? CKR_ENCRYPTED_DATA_LEN_RANGE : rv;
}

/* Some modules call a key that may not be used so one of the wrong type. */
static bh_status use_failed(const bh_p11_session *s, CK_OBJECT_HANDLE handle, CK_RV rv, const char *what)
{
	bool may = false;

	if (rv == CKR_KEY_TYPE_INCONSISTENT && bh_p11_may_work(s, handle, &may) == BH_OK && !may)
		rv = CKR_KEY_FUNCTION_NOT_PERMITTED;
	return bh_p11_error(rv, what);
}

static bh_status seal_gcm(const bh_p11_session *s, CK_OBJECT_HANDLE handle, const uint8_t *dek, bh_view context, uint8_t *out)
{
	uint8_t *nonce = out;

	BH_TRY(bh_random(nonce, NONCE_LEN));
	CK_RV rv = gcm(s, true, handle, nonce, context, dek, nonce + NONCE_LEN);
	return rv == CKR_OK ? BH_OK : use_failed(s, handle, rv, "C_Encrypt");
}

static bh_status seal_kwp(const bh_p11_session *s, CK_OBJECT_HANDLE handle, const uint8_t *dek, bh_view context, uint8_t *out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret plain = { 0 };

	BH_TRY(bh_secret_init(&plain, KWP_PLAIN_LEN));
	BH_TRY(bh_random(plain.data, SALT_LEN));
	memcpy(plain.data + SALT_LEN, dek, BH_DEK_LEN);
	BH_TRY(bh_sha256(context, plain.data + SALT_LEN + BH_DEK_LEN));
	CK_RV rv = kwp_wrap(s, handle, plain.data, out);
	return rv == CKR_OK ? BH_OK : use_failed(s, handle, rv, "C_WrapKey");
}

/* Whether the key works at all: a wrap of a moment ago opens. */
static bool key_works(const bh_p11_session *s, CK_OBJECT_HANDLE handle, uint8_t mechanism)
{
	static const uint8_t nothing[KWP_PLAIN_LEN];
	uint8_t nonce[NONCE_LEN], sealed[KWP_LEN], opened[KWP_PLAIN_LEN];

	if (mechanism == BH_P11_KWP)
		return kwp_wrap(s, handle, nothing, sealed) == CKR_OK && kwp_unwrap(s, handle, sealed, opened) == CKR_OK;
	return bh_random(nonce, sizeof(nonce)) == BH_OK &&
	       gcm(s, true, handle, nonce, bh_view_of(NULL, 0), nothing, sealed) == CKR_OK &&
	       gcm(s, false, handle, nonce, bh_view_of(NULL, 0), sealed, opened) == CKR_OK;
}

/* Modules have many names for a tag that does not match, and some have none: SoftHSM says CKR_GENERAL_ERROR. What the token says of
 * this wrap alone is about the wrap; what it says of every one is trouble of its own. */
static bh_status decrypt_failed(const bh_p11_session *s, CK_OBJECT_HANDLE handle, uint8_t mechanism, CK_RV rv)
{
	switch (rv) {
	case CKR_ENCRYPTED_DATA_INVALID:
	case CKR_ENCRYPTED_DATA_LEN_RANGE:
	case CKR_AEAD_DECRYPT_FAILED:
	case CKR_SIGNATURE_INVALID:
	case CKR_DATA_INVALID:
	case CKR_DATA_LEN_RANGE:
	case CKR_WRAPPED_KEY_INVALID:
	case CKR_GENERAL_ERROR:
	case CKR_FUNCTION_FAILED:
	case CKR_DEVICE_ERROR:
		if (key_works(s, handle, mechanism))
			return bh_fail(BH_E_TAG, "wrap does not open: damaged, another key's, or of another context");
		break;
	default: break;
	}
	return use_failed(s, handle, rv, mechanism == BH_P11_GCM ? "C_Decrypt" : "C_UnwrapKey");
}

static bh_status open_kwp(const bh_p11_session *s, CK_OBJECT_HANDLE handle, const uint8_t *sealed, bh_view context,
			  uint8_t *dek_out)
{
	BH_CLEANUP(bh_secret_clear) bh_secret plain = { 0 };
	uint8_t digest[BH_SHA256_LEN];

	BH_TRY(bh_secret_init(&plain, KWP_PLAIN_LEN));
	BH_TRY(bh_sha256(context, digest));
	CK_RV rv = kwp_unwrap(s, handle, sealed, plain.data);
	if (rv != CKR_OK)
		return decrypt_failed(s, handle, BH_P11_KWP, rv);
	if (!bh_equal_ct(plain.data + SALT_LEN + BH_DEK_LEN, digest, sizeof(digest)))
		return bh_fail(BH_E_TAG, "wrap is of another context");
	memcpy(dek_out, plain.data + SALT_LEN, BH_DEK_LEN);
	return BH_OK;
}

static bh_status open_gcm(const bh_p11_session *s, CK_OBJECT_HANDLE handle, const uint8_t *sealed, bh_view context,
			  uint8_t *dek_out)
{
	CK_RV rv = gcm(s, false, handle, sealed, context, sealed + NONCE_LEN, dek_out);

	return rv == CKR_OK ? BH_OK : decrypt_failed(s, handle, BH_P11_GCM, rv);
}

size_t bh_p11_sealed_len(uint8_t mechanism)
{
	switch (mechanism) {
	case BH_P11_GCM: return NONCE_LEN + GCM_LEN;
	case BH_P11_KWP: return KWP_LEN;
	default: return 0;
	}
}

bh_status bh_p11_seal(const bh_p11_session *s, uint8_t mechanism, CK_OBJECT_HANDLE handle, const uint8_t *dek, bh_view context,
		      uint8_t *out)
{
	return mechanism == BH_P11_GCM ? seal_gcm(s, handle, dek, context, out) : seal_kwp(s, handle, dek, context, out);
}

bh_status bh_p11_unseal(const bh_p11_session *s, uint8_t mechanism, CK_OBJECT_HANDLE handle, const uint8_t *sealed, bh_view context,
			uint8_t *dek_out)
{
	return mechanism == BH_P11_GCM ? open_gcm(s, handle, sealed, context, dek_out)
				       : open_kwp(s, handle, sealed, context, dek_out);
}
