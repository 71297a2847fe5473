# SPDX-License-Identifier: Apache-2.0
# Everything comes from Debian; `tools/dev setup` installs it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
pkg_check_modules(ROCKSDB REQUIRED IMPORTED_TARGET rocksdb>=7.8)
include(cmake/rocksdb_version.cmake)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(CURL libcurl>=7.85) # for KMSs over HTTPS; without it those are said to be missing
pkg_check_modules(P11KIT p11-kit-1>=0.24) # for keys in HSMs; likewise
if(BULKHEAD_TESTS)
  pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
  if(NOT CMOCKA_FOUND)
    message(FATAL_ERROR "The tests need cmocka (Debian: libcmocka-dev). Without tests: -DBULKHEAD_TESTS=OFF")
  endif()
endif()

# ipsec-mb has no pkg-config file and exists on x86-64 alone; without it OpenSSL does the work.
find_path(IPSECMB_INCLUDE_DIR intel-ipsec-mb.h)
find_library(IPSECMB_LIBRARY IPSec_MB)
if(IPSECMB_INCLUDE_DIR AND IPSECMB_LIBRARY)
  add_library(bulkhead_ipsecmb INTERFACE)
  target_include_directories(bulkhead_ipsecmb SYSTEM INTERFACE ${IPSECMB_INCLUDE_DIR})
  target_link_libraries(bulkhead_ipsecmb INTERFACE ${IPSECMB_LIBRARY})
  target_compile_definitions(bulkhead_ipsecmb INTERFACE BH_HAVE_IPSECMB=1)
endif()
