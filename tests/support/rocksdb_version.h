/* SPDX-License-Identifier: Apache-2.0
 *
 * rocksdb_version.h: which RocksDB a test runs with.
 */
#ifndef BH_TESTS_ROCKSDB_VERSION_H
#define BH_TESTS_ROCKSDB_VERSION_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

bool test_rocksdb_since(int major, int minor);

#ifdef __cplusplus
}
#endif
#endif
