/* SPDX-License-Identifier: Apache-2.0
 *
 * error.c: see error.h.
 */
#include "error.h"

static const struct {
	CK_RV rv;
	const char *name;
	bh_status status;
	const char *next; /* what is to be done; NULL: the name says it */
} rows[] = {
#define ROW(rv, status, next)                                                                                                      \
	{                                                                                                                          \
		rv, #rv, status, next                                                                                              \
	}
	ROW(CKR_PIN_INCORRECT, BH_E_KMS_REFUSED, "put the right PIN where pin-source points"),
	ROW(CKR_PIN_INVALID, BH_E_KMS_REFUSED, "put the right PIN where pin-source points"),
	ROW(CKR_PIN_LEN_RANGE, BH_E_KMS_REFUSED, "put the right PIN where pin-source points"),
	ROW(CKR_PIN_EXPIRED, BH_E_KMS_REFUSED, "set a new PIN with the token's own tools"),
	ROW(CKR_PIN_LOCKED, BH_E_KMS_REFUSED, "the token's security officer has to set a new PIN"),
	ROW(CKR_USER_PIN_NOT_INITIALIZED, BH_E_KMS_REFUSED, "the token's security officer has to set a PIN"),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, BH_E_KMS_REFUSED, "the key's owner has disabled it for this use"),
	ROW(CKR_ACTION_PROHIBITED, BH_E_KMS_REFUSED, NULL),
	ROW(CKR_FUNCTION_REJECTED, BH_E_KMS_REFUSED, NULL),
	ROW(CKR_ATTRIBUTE_READ_ONLY, BH_E_KMS_REFUSED, "do it with the token's own tools"),
	ROW(CKR_SESSION_READ_ONLY, BH_E_KMS_REFUSED, "do it with the token's own tools"),
	ROW(CKR_TOKEN_WRITE_PROTECTED, BH_E_KMS_REFUSED, "do it with the token's own tools"),
	/* Destroyed between the search and the call. */
	ROW(CKR_KEY_HANDLE_INVALID, BH_E_NOT_FOUND, NULL),
	ROW(CKR_OBJECT_HANDLE_INVALID, BH_E_NOT_FOUND, NULL),
	ROW(CKR_WRAPPING_KEY_HANDLE_INVALID, BH_E_NOT_FOUND, NULL),
	ROW(CKR_UNWRAPPING_KEY_HANDLE_INVALID, BH_E_NOT_FOUND, NULL),
	ROW(CKR_SESSION_COUNT, BH_E_KMS_THROTTLED, NULL),
	ROW(CKR_DEVICE_MEMORY, BH_E_KMS_THROTTLED, NULL),
	ROW(CKR_HOST_MEMORY, BH_E_NOMEM, NULL),
	ROW(CKR_MECHANISM_INVALID, BH_E_UNSUPPORTED, "the token has no AES for this key"),
	ROW(CKR_MECHANISM_PARAM_INVALID, BH_E_UNSUPPORTED, "the token has no AES-GCM with 12-byte nonces"),
	ROW(CKR_KEY_TYPE_INCONSISTENT, BH_E_UNSUPPORTED, "the key has to be AES of 256 bits"),
	ROW(CKR_KEY_SIZE_RANGE, BH_E_UNSUPPORTED, "the key has to be AES of 256 bits"),
	/* The login is made anew by the next call; that a token has lost it is no owner's word. */
	ROW(CKR_USER_NOT_LOGGED_IN, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, BH_E_KMS_UNREACHABLE, "the security officer is logged in; log him out"),
	ROW(CKR_SESSION_HANDLE_INVALID, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_SESSION_CLOSED, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_SLOT_ID_INVALID, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_TOKEN_NOT_PRESENT, BH_E_KMS_UNREACHABLE, "put the token in again"),
	ROW(CKR_TOKEN_NOT_RECOGNIZED, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_DEVICE_REMOVED, BH_E_KMS_UNREACHABLE, "put the token in again"),
	ROW(CKR_DEVICE_ERROR, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_GENERAL_ERROR, BH_E_KMS_UNREACHABLE, NULL),
	ROW(CKR_FUNCTION_FAILED, BH_E_KMS_UNREACHABLE, NULL),
};

bh_status bh_p11_error(CK_RV rv, const char *what)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].rv == rv)
			return bh_fail(rows[i].status, "%s: %s%s%s", what, rows[i].name, rows[i].next != NULL ? ": " : "",
				       rows[i].next != NULL ? rows[i].next : "");
	return bh_fail(BH_E_KMS_UNREACHABLE, "%s: return value 0x%lx", what, rv);
}
