// SPDX-License-Identifier: Apache-2.0
//
// rocksdb_version.cc: see rocksdb_version.h.
#include "rocksdb_version.h"

#include <rocksdb/version.h>

bool test_rocksdb_since(int major, int minor)
{
	return ROCKSDB_MAJOR > major || (ROCKSDB_MAJOR == major && ROCKSDB_MINOR >= minor);
}
