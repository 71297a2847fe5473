# SPDX-License-Identifier: Apache-2.0
# What lies in the prefix, our libraries or a RocksDB of one's own, is found from wherever the prefix is put: libraries look
# beside themselves, programs (tools/) in the prefix's library folder. Libraries that were linked from a folder of their own are
# found there.
include(GNUInstallDirs)
set(CMAKE_INSTALL_RPATH "$ORIGIN")
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
file(RELATIVE_PATH bh_lib_from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
