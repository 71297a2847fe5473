/* SPDX-License-Identifier: Apache-2.0
 *
 * library.c: see library.h.
 */
#include "library.h"

#include <dlfcn.h>

bh_status bh_library_load(const char *file, const char *package, const bh_library_symbol *symbols, size_t count)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (library == NULL)
		return bh_fail(BH_E_UNSUPPORTED, "%s cannot be loaded (Debian: %s): %s", file, package, dlerror());
	for (size_t i = 0; i < count; i++) {
		void *found = dlsym(library, symbols[i].name);
		if (found == NULL) {
			dlclose(library);
			return bh_fail(BH_E_UNSUPPORTED, "%s has no %s: another version of it is needed", file, symbols[i].name);
		}
		memcpy(symbols[i].slot, &found, sizeof(found));
	}
	return BH_OK;
}
