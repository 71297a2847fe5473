/* SPDX-License-Identifier: Apache-2.0
 *
 * image.h: whether this process goes on from an image of itself: of its machine, which was resumed from a snapshot, or of its
 * memory alone. Another one may then go on from the same image, with the same keys at the same positions: so who writes under a key
 * at growing positions begins with another key (env/bridge/streams.hh, engine/core/wal.h).
 *
 * How that shows: the wall clock and the monotonic clock have moved apart by half a second or more, as when a resumed machine's
 * clock is set, or the machine slept; or the hypervisor says so, by VMClock's disruption marker (/dev/vmclock0, Linux 6.13), where
 * this user may read that. Both can also mean less, a clock that was set or a machine that has moved: then new keys were not
 * needed, and did no harm. What shows by neither is not noticed.
 *
 * Thread-safety: all calls.
 */
#ifndef BH_IMAGE_H
#define BH_IMAGE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with each time that this is noticed, and stays what it is else. Reads two clocks; makes no system call. */
uint64_t bh_image_generation(void);
/* Has it look at this file in the place of /dev/vmclock0, for tests. False: it is no such file, and none is looked at. */
bool bh_image_watch(const char *path);

#ifdef __cplusplus
}
#endif
#endif
