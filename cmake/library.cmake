# SPDX-License-Identifier: Apache-2.0
# libbulkhead.so out of the layers' objects, and what `cmake --install` puts beside it: headers, CMake package, pkg-config file.
include(CMakePackageConfigHelpers)

set(bh_export_map ${PROJECT_SOURCE_DIR}/cmake/bulkhead.map)
set(bh_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/bulkhead)

add_library(bulkhead SHARED)
add_library(bulkhead::bulkhead ALIAS bulkhead)
set_target_properties(bulkhead PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 LINK_DEPENDS ${bh_export_map} LINKER_LANGUAGE CXX)
bh_link_as_whole(bulkhead)
target_link_options(bulkhead PRIVATE -Wl,--version-script=${bh_export_map})
# A sanitizer's runtime comes with the program, so only a plain build can insist that every symbol is found now.
if(NOT BH_SANITIZE)
  target_link_options(bulkhead PRIVATE -Wl,-z,defs)
endif()
# Public headers name RocksDB's C types.
target_link_libraries(bulkhead PUBLIC PkgConfig::ROCKSDB)
target_include_directories(bulkhead INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
foreach(layer IN ITEMS keyring env engine)
  target_link_libraries(bulkhead PRIVATE bh_${layer})
  target_include_directories(bulkhead INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${layer}/include>)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${layer}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()

install(TARGETS bulkhead EXPORT bulkhead-targets)
install(EXPORT bulkhead-targets NAMESPACE bulkhead:: DESTINATION ${bh_cmake_dir})
configure_package_config_file(cmake/bulkhead-config.cmake.in bulkhead-config.cmake INSTALL_DESTINATION ${bh_cmake_dir})
write_basic_package_version_file(bulkhead-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/bulkhead-config.cmake ${PROJECT_BINARY_DIR}/bulkhead-config-version.cmake
  DESTINATION ${bh_cmake_dir})
# The prefix as seen from the file, so that it may be chosen when installing, and moved. A folder that was given with its whole
# path stays.
file(RELATIVE_PATH bh_prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
cmake_path(APPEND bh_pc_libdir "\${prefix}" ${CMAKE_INSTALL_LIBDIR})
cmake_path(APPEND bh_pc_includedir "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
configure_file(cmake/bulkhead.pc.in bulkhead.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/bulkhead.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
