// SPDX-License-Identifier: Apache-2.0
//
// async_io.cc: the read option that RocksDB 7.8's C API lacks.
#include <rocksdb/c.h>
#include <rocksdb/options.h>

extern "C" void test_readoptions_set_async_io(rocksdb_readoptions_t *options);

// The C API's handle begins with the object, see rocksdb/db/c.cc.
extern "C" void test_readoptions_set_async_io(rocksdb_readoptions_t *options)
{
	reinterpret_cast<ROCKSDB_NAMESPACE::ReadOptions *>(options)->async_io = true;
}
