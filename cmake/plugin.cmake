# SPDX-License-Identifier: Apache-2.0
# libbulkhead_plugin.so, which RocksDB's stock tools preload (env/plugin/plugin.h). A module: nothing links with it, and it exports
# nothing; it makes itself known to RocksDB when it is loaded.
set(bh_plugin_map ${PROJECT_SOURCE_DIR}/cmake/plugin.map)

add_library(bulkhead_plugin MODULE ${PROJECT_SOURCE_DIR}/env/plugin/plugin.c ${PROJECT_SOURCE_DIR}/env/bridge/plugin.cc)
bh_target_defaults(bulkhead_plugin)
set_target_properties(bulkhead_plugin PROPERTIES LINK_DEPENDS ${bh_plugin_map})
bh_link_as_whole(bulkhead_plugin)
target_link_options(bulkhead_plugin PRIVATE -Wl,--version-script=${bh_plugin_map})
if(NOT BH_SANITIZE)
  target_link_options(bulkhead_plugin PRIVATE -Wl,-z,defs)
endif()
target_link_libraries(bulkhead_plugin PRIVATE bh_env bh_keyring)

install(TARGETS bulkhead_plugin LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
