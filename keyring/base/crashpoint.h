/* SPDX-License-Identifier: Apache-2.0
 *
 * crashpoint.h: named places where a test may kill the process, so that every step of every durable change can be tried.
 *
 * BH_CRASH_AT=NAME in the environment (or NAME:N for its N-th passing, or *:N for the N-th passing of any point) makes
 * bh_crash_point("NAME") end the process with SIGKILL: nothing is flushed, no handler runs, just as with a kill from outside.
 * Without it a crash point costs one load. Names are
 * "<module>.<operation>.<step just done>"; the README of the folder says what a kill there leaves behind.
 *
 * Thread-safety: bh_crash_point() may be called from any thread; arm before threads start.
 */
#ifndef BH_CRASHPOINT_H
#define BH_CRASHPOINT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Kills the process if `name` is the armed point and its turn has come. */
void bh_crash_point(const char *name);

/* Arms "NAME", "NAME:N" or "*:N" in place of what the environment said; NULL disarms. For test children, whose parent has read its
 * environment. */
void bh_crash_arm(const char *spec);

#ifdef __cplusplus
}
#endif
#endif
