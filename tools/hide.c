/* SPDX-License-Identifier: Apache-2.0
 *
 * hide.c: see hide.h.
 */
#include "hide.h"

#include <sys/prctl.h>
#include <sys/resource.h>

bool tool_hide(void)
{
	const struct rlimit none = { 0 };

	return prctl(PR_SET_DUMPABLE, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0;
}
