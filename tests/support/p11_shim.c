/* SPDX-License-Identifier: Apache-2.0
 *
 * p11_shim.c: see p11_shim.h.
 */
#include "p11_shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define SHOWN __attribute__((visibility("default")))

extern SHOWN p11_shim_state p11_shim;
p11_shim_state p11_shim;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST ours;

static void lose_sessions(void)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;

	if (real->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
		return;
	for (CK_ULONG i = 0; i < count; i++)
		real->C_CloseAllSessions(slots[i]);
}

static CK_RV slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	CK_RV rv = real->C_GetSlotList(present, slots, count);

	if (p11_shim.removed) {
		lose_sessions();
		*count = 0;
	}
	return rv;
}

static CK_RV session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
	return p11_shim.removed ? CKR_DEVICE_REMOVED : real->C_GetSessionInfo(session, info);
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR arg, CK_NOTIFY notify, CK_SESSION_HANDLE_PTR out)
{
	return p11_shim.removed ? CKR_TOKEN_NOT_PRESENT : real->C_OpenSession(slot, flags, arg, notify, out);
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV rv = real->C_GetTokenInfo(slot, info);

	info->flags |= p11_shim.add_flags;
	return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG len)
{
	p11_shim.logins++;
	return real->C_Login(session, user, pin, len);
}

static CK_RV find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR template, CK_ULONG count)
{
	if (p11_shim.lose_login > 0) {
		p11_shim.lose_login--;
		real->C_Logout(session);
	}
	return real->C_FindObjectsInit(session, template, count);
}

static CK_RV mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
	return p11_shim.hide_gcm && type == CKM_AES_GCM ? CKR_MECHANISM_INVALID : real->C_GetMechanismInfo(slot, type, info);
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	return p11_shim.decrypt_says != CKR_OK ? p11_shim.decrypt_says : real->C_DecryptInit(session, mechanism, key);
}

static void load(void)
{
	CK_C_GetFunctionList get = NULL;
	void *library = dlopen(BH_TEST_SOFTHSM, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	void *found = library != NULL ? dlsym(library, "C_GetFunctionList") : NULL;

	memcpy(&get, &found, sizeof(get));
	if (get == NULL || get(&real) != CKR_OK)
		return;
	ours = *real;
	ours.C_GetSlotList = slot_list;
	ours.C_GetSessionInfo = session_info;
	ours.C_OpenSession = open_session;
	ours.C_GetTokenInfo = token_info;
	ours.C_Login = login;
	ours.C_FindObjectsInit = find_init;
	ours.C_GetMechanismInfo = mechanism_info;
	ours.C_DecryptInit = decrypt_init;
}

SHOWN CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	pthread_once(&once, load);
	*list = &ours;
	return real != NULL ? CKR_OK : CKR_GENERAL_ERROR;
}
