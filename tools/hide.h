/* SPDX-License-Identifier: Apache-2.0
 *
 * hide.h: a program that has keys in its memory keeps others out of it.
 */
#ifndef BH_TOOLS_HIDE_H
#define BH_TOOLS_HIDE_H

#include <stdbool.h>

/* No core file is written of this process, and no other process of its user may look into its memory (ptrace, /proc/PID/mem); root
 * may. Again after a change of user, which the kernel may take for a reason to allow it. False: errno says why not. */
bool tool_hide(void);

#endif
