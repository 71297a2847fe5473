/* SPDX-License-Identifier: Apache-2.0
 *
 * slow_build.h: BH_SLOW_BUILD is defined under a sanitizer, where the same takes ten times as long.
 */
#ifndef BH_TESTS_SLOW_BUILD_H
#define BH_TESTS_SLOW_BUILD_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BH_SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BH_SLOW_BUILD 1
#endif
#endif

#endif
