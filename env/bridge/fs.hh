// SPDX-License-Identifier: Apache-2.0
//
// fs.hh: the sealed file system, for the C++ that puts another in front of it (plugin.cc).
#ifndef BH_BRIDGE_FS_HH
#define BH_BRIDGE_FS_HH

#include <rocksdb/file_system.h>

#include <memory>

#include "env/fs/fs.h"

// A file system over RocksDB's default one whose files `fs` seals. Takes `fs` over.
std::shared_ptr<ROCKSDB_NAMESPACE::FileSystem> bh_bridge_file_system_new(bh_fs *fs);

#endif
