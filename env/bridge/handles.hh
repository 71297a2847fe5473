// SPDX-License-Identifier: Apache-2.0
//
// handles.hh: the C API's own definitions (db/c.cc); bh_bridge_check_layout() and _handles() check them at run time.
// Part of the bridge, and of nothing else.
#ifndef BH_BRIDGE_HANDLES_HH
#define BH_BRIDGE_HANDLES_HH

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include "version.hh"

struct rocksdb_env_t {
	ROCKSDB_NAMESPACE::Env *rep;
	bool is_default;
};
struct rocksdb_options_t {
	ROCKSDB_NAMESPACE::Options rep;
};
struct rocksdb_t {
	ROCKSDB_NAMESPACE::DB *rep;
};

#endif
