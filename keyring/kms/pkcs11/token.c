/* SPDX-License-Identifier: Apache-2.0
 *
 * token.c: see token.h.
 */
#include "token.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pin.h"

#define SLOTS_MAX 256

struct bh_p11_token {
	bh_p11_token *next; /* guarded by `all_lock`, as is `refs` */
	size_t refs;        /* keys that are open */
	bh_p11_place place; /* its key is that of whoever came first, and means nothing */
	const bh_p11_module *module;
	pthread_mutex_t lock; /* guards the rest, and is held while somebody logs in */
	bh_secret pin;        /* of a descriptor, which gives it once; else empty between logins */
	bh_secret refused;    /* the PIN that the token said is wrong; empty: none */
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE anchor; /* CK_INVALID_HANDLE: not logged in */
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static bh_p11_token *tokens;

/* ---- tokens */

static bool same_token(const bh_p11_place *a, const bh_p11_place *b)
{
	return strcmp(a->module, b->module) == 0 && strcmp(a->init, b->init) == 0 && strcmp(a->pin_source, b->pin_source) == 0 &&
	       strcmp(a->label, b->label) == 0 && strcmp(a->serial, b->serial) == 0 &&
	       strcmp(a->manufacturer, b->manufacturer) == 0 && strcmp(a->model, b->model) == 0;
}

/* The caller holds `all_lock`. */
static bh_status token_find_or_new(const bh_p11_place *place, bh_p11_token **out)
{
	bh_p11_token *t = tokens;
	const bh_p11_module *m = NULL;

	BH_TRY(bh_p11_module_get(place->module, place->init, &m));
	while (t != NULL && (t->module != m || !same_token(&t->place, place)))
		t = t->next;
	if (t == NULL) {
		t = calloc(1, sizeof(*t));
		if (t == NULL)
			return bh_fail(BH_E_NOMEM, "no memory for a PKCS#11 token");
		t->place = *place;
		t->module = m;
		pthread_mutex_init(&t->lock, NULL);
		t->next = tokens;
		tokens = t;
	}
	t->refs++;
	*out = t;
	return BH_OK;
}

bh_status bh_p11_token_get(const bh_p11_place *place, bh_p11_token **out)
{
	pthread_mutex_lock(&all_lock);
	bh_status status = token_find_or_new(place, out);
	pthread_mutex_unlock(&all_lock);
	return status;
}

static void log_out(bh_p11_token *t)
{
	if (t->anchor != CK_INVALID_HANDLE && t->module->pid == getpid())
		t->module->functions->C_CloseSession(t->anchor);
	t->anchor = CK_INVALID_HANDLE;
}

/* What a token knows that cannot be found out again stays: the PIN of a descriptor, and the one that is not to be tried again. */
static bool stays(const bh_p11_token *t)
{
	return t->pin.len != 0 || t->refused.len != 0;
}

void bh_p11_token_unref(bh_p11_token *token)
{
	if (token == NULL)
		return;
	pthread_mutex_lock(&all_lock);
	bool last = --token->refs == 0;
	bool gone = last && !stays(token);
	bh_p11_token **at = &tokens;
	while (gone && *at != token)
		at = &(*at)->next;
	if (gone)
		*at = token->next;
	if (last)
		log_out(token);
	pthread_mutex_unlock(&all_lock);
	if (!gone)
		return;
	pthread_mutex_destroy(&token->lock);
	free(token);
}

/* ---- logging in. The caller holds the token's lock */

/* A text that PKCS#11 pads with blanks; some modules pad with zeros. "" is any. */
static bool padded_is(const unsigned char *padded, size_t size, const char *want)
{
	size_t len = strlen(want);

	return len == 0 ||
	       (len <= size && memcmp(padded, want, len) == 0 && (len == size || padded[len] == ' ' || padded[len] == '\0'));
}

static bool is_it(const bh_p11_token *t, CK_SLOT_ID slot)
{
	const bh_p11_place *want = &t->place;
	CK_TOKEN_INFO info = { 0 };

	return t->module->functions->C_GetTokenInfo(slot, &info) == CKR_OK &&
	       padded_is(info.label, sizeof(info.label), want->label) &&
	       padded_is(info.serialNumber, sizeof(info.serialNumber), want->serial) &&
	       padded_is(info.manufacturerID, sizeof(info.manufacturerID), want->manufacturer) &&
	       padded_is(info.model, sizeof(info.model), want->model);
}

/* Modules look for new tokens when they are asked how many there are. */
static CK_RV slots_read(const bh_p11_token *t, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_FUNCTION_LIST_PTR f = t->module->functions;
	CK_RV rv = f->C_GetSlotList(CK_TRUE, NULL, count);

	*count = SLOTS_MAX;
	return rv == CKR_OK ? f->C_GetSlotList(CK_TRUE, slots, count) : rv;
}

static const char *token_name(const bh_p11_token *t)
{
	return t->place.label[0] != '\0' ? t->place.label : t->place.serial;
}

static bh_status slot_find(bh_p11_token *t)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = 0;
	size_t found = 0;

	CK_RV rv = slots_read(t, slots, &count);
	if (rv == CKR_CRYPTOKI_NOT_INITIALIZED) {
		BH_TRY(bh_p11_module_again(t->module));
		rv = slots_read(t, slots, &count);
	}
	if (rv != CKR_OK)
		return bh_p11_error(rv, "C_GetSlotList");
	for (CK_ULONG i = 0; i < count; i++) {
		if (!is_it(t, slots[i]))
			continue;
		t->slot = slots[i];
		found++;
	}
	if (found > 1)
		return bh_fail(BH_E_UNSUPPORTED, "%zu tokens are called '%s': name the right one's serial=NUMBER as well", found,
			       token_name(t));
	return found == 1 ? BH_OK
			  : bh_fail(BH_E_KMS_UNREACHABLE,
				    "the token '%s' is not there: put it in, or look at the module's configuration", token_name(t));
}

static bool is_users(CK_STATE state)
{
	return state == CKS_RO_USER_FUNCTIONS || state == CKS_RW_USER_FUNCTIONS;
}

static bool session_is_users(const bh_p11_token *t, CK_SESSION_HANDLE handle, bool wanted)
{
	CK_SESSION_INFO info = { 0 };

	return t->module->functions->C_GetSessionInfo(handle, &info) == CKR_OK && (!wanted || is_users(info.state));
}

/* Whether the token may be asked for a login with this PIN. */
static bh_status pin_may_be_tried(const bh_p11_token *t, const bh_secret *pin, CK_FLAGS flags)
{
	if (t->refused.len == pin->len && bh_equal_ct(t->refused.data, pin->data, pin->len))
		return bh_fail(
			BH_E_KMS_REFUSED,
			"the token has refused the PIN of %s, which is not tried again, since tokens lock themselves: put the "
			"right one there",
			t->place.pin_source);
	if ((flags & CKF_USER_PIN_LOCKED) != 0)
		return bh_p11_error(CKR_PIN_LOCKED, "C_GetTokenInfo");
	if ((flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return bh_fail(BH_E_KMS_REFUSED,
			       "one more wrong PIN locks the token, and it is not tried: log in once with the token's own tools");
	return BH_OK;
}

/* CKR_USER_ALREADY_LOGGED_IN: by the host program itself, or since its other sessions are ours too. */
static bh_status pin_try(bh_p11_token *t, const bh_secret *pin, CK_FLAGS flags)
{
	BH_TRY(pin_may_be_tried(t, pin, flags));
	CK_RV rv = t->module->functions->C_Login(t->anchor, CKU_USER, pin->data, pin->len);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		bh_secret_clear(&t->refused);
		return BH_OK;
	}
	if (rv == CKR_PIN_INCORRECT) {
		bh_secret_clear(&t->refused);
		BH_TRY(bh_secret_copy(&t->refused, bh_secret_view(pin)));
	}
	return bh_p11_error(rv, "C_Login");
}

/* A file is read at each login, so that a new PIN in it is seen; a descriptor once. */
static bh_status user_log_in(bh_p11_token *t, CK_FLAGS flags)
{
	BH_CLEANUP(bh_secret_clear) bh_secret pin = { 0 };
	bool once = bh_p11_pin_source_is_fd(t->place.pin_source);

	if (once && t->pin.len == 0)
		BH_TRY(bh_p11_pin_read(t->place.pin_source, &t->pin));
	if (once)
		return pin_try(t, &t->pin, flags);
	BH_TRY(bh_p11_pin_read(t->place.pin_source, &pin));
	return pin_try(t, &pin, flags);
}

static bh_status log_in_session(bh_p11_token *t)
{
	CK_TOKEN_INFO info = { 0 };
	CK_RV rv = t->module->functions->C_GetTokenInfo(t->slot, &info);

	if (rv != CKR_OK)
		return bh_p11_error(rv, "C_GetTokenInfo");
	if (session_is_users(t, t->anchor, true))
		return BH_OK; /* the host program is logged in */
	if (t->place.pin_source[0] != '\0')
		return user_log_in(t, info.flags);
	if ((info.flags & CKF_LOGIN_REQUIRED) != 0)
		return bh_fail(BH_E_KMS_REFUSED, "the token '%s' wants a PIN: add pin-source=file:/PATH to the URI's query",
			       token_name(t));
	return BH_OK;
}

static bh_status log_in(bh_p11_token *t)
{
	BH_TRY(slot_find(t));
	CK_RV rv = t->module->functions->C_OpenSession(t->slot, CKF_SERIAL_SESSION, NULL, NULL, &t->anchor);
	if (rv != CKR_OK) {
		t->anchor = CK_INVALID_HANDLE;
		return bh_p11_error(rv, "C_OpenSession");
	}
	bh_status status = log_in_session(t);
	if (status != BH_OK)
		log_out(t);
	return status;
}

/* A token that was taken out and put in again has lost its sessions, and so its login. */
static bh_status ready(bh_p11_token *t, CK_SLOT_ID *slot_out)
{
	bh_status status = BH_OK;

	if (t->module->pid != getpid())
		return bh_fail(BH_E_KMS_UNREACHABLE, "a key in a token is not used after a fork: open it again in the child");
	pthread_mutex_lock(&t->lock);
	if (t->anchor == CK_INVALID_HANDLE || !session_is_users(t, t->anchor, t->place.pin_source[0] != '\0')) {
		log_out(t);
		status = log_in(t);
	}
	*slot_out = t->slot;
	pthread_mutex_unlock(&t->lock);
	return status;
}

bh_status bh_p11_session_open(bh_p11_token *token, bool for_writing, bh_p11_session *out)
{
	bh_p11_session session = { .module = token->module->functions };

	BH_TRY(ready(token, &session.slot));
	CK_FLAGS flags = CKF_SERIAL_SESSION | (for_writing ? CKF_RW_SESSION : 0);
	CK_RV rv = session.module->C_OpenSession(session.slot, flags, NULL, NULL, &session.handle);
	if (rv != CKR_OK)
		return bh_p11_error(rv, "C_OpenSession");
	*out = session;
	return BH_OK;
}

bool bh_p11_session_is_whole(const bh_p11_token *token, const bh_p11_session *session)
{
	return session_is_users(token, session->handle, token->place.pin_source[0] != '\0');
}

void bh_p11_session_close(bh_p11_session *session)
{
	if (session->module != NULL)
		session->module->C_CloseSession(session->handle);
	*session = (bh_p11_session){ 0 };
}
