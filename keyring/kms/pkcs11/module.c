/* SPDX-License-Identifier: Apache-2.0
 *
 * module.c: see module.h.
 */
#include "module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list, and is held while a module is loaded */
static bh_p11_module *modules;

/* ---- from where */

static bool is_listed(const char *list, const char *path)
{
	size_t len = strlen(path);

	while (*list != '\0') {
		size_t one = strcspn(list, ":");
		if (one == len && memcmp(list, path, len) == 0)
			return true;
		list += one + (list[one] == ':' ? 1 : 0);
	}
	return false;
}

static bool is_roots_alone(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* `path` without links. */
static bool is_systems(const char *path)
{
	static const char *const places[] = { "/usr/", "/opt/", "/lib/", "/lib64/" };
	char folder[PATH_MAX];
	bool below = false;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		below = below || strncmp(path, places[i], strlen(places[i])) == 0;
	if (!below || !is_roots_alone(path))
		return false;
	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strrchr(folder, '/'); slash != NULL && slash != folder; slash = strrchr(folder, '/')) {
		*slash = '\0';
		if (!is_roots_alone(folder))
			return false;
	}
	return true;
}

static bh_status place_check(const char *path)
{
	const char *list = getenv("BULKHEAD_PKCS11_MODULES");
	char whole[PATH_MAX];

	if (list != NULL && list[0] != '\0') {
		if (is_listed(list, path))
			return BH_OK;
		return bh_fail(BH_E_KMS_REFUSED,
			       "the PKCS#11 module %s is not in BULKHEAD_PKCS11_MODULES, and is not loaded: add it there", path);
	}
	if (realpath(path, whole) == NULL)
		return bh_fail(BH_E_KMS_UNREACHABLE, "there is no PKCS#11 module %s: %s", path, strerror(errno));
	if (is_systems(whole))
		return BH_OK;
	return bh_fail(
		BH_E_KMS_REFUSED,
		"the PKCS#11 module %s is not below /usr, /opt or /lib, or others than root can write it, and is not loaded: if "
		"it is the right one, name it in BULKHEAD_PKCS11_MODULES",
		path);
}

/* ---- loading */

static bh_status initialise(const bh_p11_module *m)
{
	/* NSS has a word more at the end of its own form of this, which has to be empty. */
	struct {
		CK_C_INITIALIZE_ARGS args;
		void *none;
	} room = { .args = { .flags = CKF_OS_LOCKING_OK } };

	room.args.pReserved = m->init[0] != '\0' ? (void *)(uintptr_t)m->init : NULL;
	CK_RV rv = m->functions->C_Initialize(&room.args);
	return rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED ? BH_OK : bh_p11_error(rv, "C_Initialize");
}

static bh_status load(bh_p11_module *m)
{
	CK_C_GetFunctionList get = NULL;

	BH_TRY(place_check(m->path));
	void *library = dlopen(m->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (library == NULL)
		return bh_fail(BH_E_KMS_UNREACHABLE, "the PKCS#11 module cannot be loaded: %s", dlerror());
	void *found = dlsym(library, "C_GetFunctionList");
	memcpy(&get, &found, sizeof(get));
	if (get == NULL || get(&m->functions) != CKR_OK || m->functions == NULL)
		return bh_fail(BH_E_KMS_UNREACHABLE, "%s: is no PKCS#11 module", m->path);
	m->pid = getpid();
	return bh_fail_prefix(initialise(m), "%s", m->path);
}

/* The caller holds the lock. */
static bh_status find_or_load(const char *path, const char *init, const bh_p11_module **out)
{
	bh_p11_module *m = modules;

	while (m != NULL && (m->pid != getpid() || strcmp(m->path, path) != 0 || strcmp(m->init, init) != 0))
		m = m->next;
	if (m != NULL) {
		*out = m;
		return BH_OK;
	}
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return bh_fail(BH_E_NOMEM, "no memory to load a PKCS#11 module");
	snprintf(m->path, sizeof(m->path), "%s", path);
	snprintf(m->init, sizeof(m->init), "%s", init);
	bh_status status = load(m);
	if (status != BH_OK) {
		free(m);
		return status;
	}
	m->next = modules;
	modules = m;
	*out = m;
	return BH_OK;
}

bh_status bh_p11_module_get(const char *path, const char *init, const bh_p11_module **out)
{
	pthread_mutex_lock(&lock);
	bh_status status = find_or_load(path, init, out);
	pthread_mutex_unlock(&lock);
	return status;
}

bh_status bh_p11_module_again(const bh_p11_module *m)
{
	return bh_fail_prefix(initialise(m), "%s", m->path);
}
