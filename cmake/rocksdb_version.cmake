# SPDX-License-Identifier: Apache-2.0
# Which RocksDB this is, and whether Bulkhead is made for it. RocksDB's ways to break a plugin mostly compile in silence, and what a
# new one writes to disk is refused only when it is written; so a version that nobody has tested is not built with by accident.
set(bh_rocksdb_tested 7.8 9.10 9.11) # by tools/dev test [--on SUITE]; the newest last
option(BULKHEAD_ROCKSDB_UNTESTED "Build with a RocksDB that Bulkhead was not tested with" OFF)

find_file(bh_rocksdb_version_file rocksdb/version.h HINTS ${ROCKSDB_INCLUDE_DIRS} NO_CACHE REQUIRED)
set(bh_rocksdb_version "")
foreach(part IN ITEMS MAJOR MINOR)
  file(STRINGS ${bh_rocksdb_version_file} line REGEX "^#define ROCKSDB_${part} +[0-9]+")
  string(REGEX REPLACE "^#define ROCKSDB_${part} +([0-9]+).*" "\\1" number "${line}")
  list(APPEND bh_rocksdb_version ${number})
endforeach()
list(JOIN bh_rocksdb_version "." bh_rocksdb_version)
string(REGEX MATCH "^[0-9]+\\.[0-9]+" bh_rocksdb_library "${ROCKSDB_VERSION}")
if(NOT bh_rocksdb_library VERSION_EQUAL bh_rocksdb_version)
  message(FATAL_ERROR "RocksDB's pkg-config file is of ${ROCKSDB_VERSION}, but "
    "${bh_rocksdb_version_file} of ${bh_rocksdb_version}: headers and library have to be of one version")
endif()

list(JOIN bh_rocksdb_tested ", " bh_tested_text)
list(GET bh_rocksdb_tested -1 bh_rocksdb_newest)
if(bh_rocksdb_version VERSION_GREATER 7.8 AND bh_rocksdb_version VERSION_LESS 8.9)
  message(FATAL_ERROR "RocksDB ${bh_rocksdb_version}: its caches and files are neither those of 7.8 nor those of 8.9 and later. "
    "Tested: ${bh_tested_text}")
elseif(bh_rocksdb_version VERSION_GREATER bh_rocksdb_newest AND NOT BULKHEAD_ROCKSDB_UNTESTED)
  message(FATAL_ERROR "RocksDB ${bh_rocksdb_version} is newer than any that Bulkhead was tested with (${bh_tested_text}). "
    "To try it all the same, on data that can be lost: -DBULKHEAD_ROCKSDB_UNTESTED=ON")
elseif(NOT bh_rocksdb_version IN_LIST bh_rocksdb_tested)
  message(WARNING "Bulkhead was not tested with RocksDB ${bh_rocksdb_version}, but with ${bh_tested_text}")
endif()

# What its headers are written in.
if(bh_rocksdb_version VERSION_GREATER_EQUAL 10.7)
  set(CMAKE_CXX_STANDARD 20)
endif()
