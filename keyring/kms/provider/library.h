/* SPDX-License-Identifier: Apache-2.0
 *
 * library.h: shared libraries that a provider needs, loaded when a key of its scheme is first opened: a process without such keys
 * does not get them (libcurl alone brings thirty others).
 */
#ifndef BH_KMS_LIBRARY_H
#define BH_KMS_LIBRARY_H

#include "provider.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_library_symbol {
	const char *name;
	void *slot; /* of a pointer to that function */
} bh_library_symbol;

/* Loads `file`, which stays loaded, and fills every slot. `package` is where it comes from, for the message.
 * Errors: BH_E_UNSUPPORTED (it is not there, or lacks a function). */
BH_MUST_CHECK bh_status bh_library_load(const char *file, const char *package, const bh_library_symbol *symbols, size_t count);

#ifdef __cplusplus
}
#endif
#endif
