/* SPDX-License-Identifier: Apache-2.0
 *
 * tidy.h: what clang-tidy is told before each C file: bh_fail() returns the code it was given, so never BH_OK. The analyser sees
 * one file at a time and would follow paths on which a failure is a success.
 */
#include <bulkhead/status.h>

#define bh_fail(status, ...) ((void)bh_fail(status, __VA_ARGS__), (status))
#define bh_fail_prefix(status, ...) ((void)bh_fail_prefix(status, __VA_ARGS__), (status))
