# SPDX-License-Identifier: Apache-2.0
# BH_LTO: what is installed, and the benchmarks, are optimised as a whole when they are linked (gcc); the preset release sets it.
# The objects hold ordinary code as well, for the tests: those replace functions at link time, and there are many of them.
option(BH_LTO "Link-time optimisation" OFF)
if(BH_LTO)
  add_compile_options(-flto=auto -ffat-lto-objects)
endif()
# Tests are many, and each is linked with whole layers: lld, where it is, takes a third of the time.
include(CheckLinkerFlag)
check_linker_flag(C -fuse-ld=lld BH_HAVE_LLD)
# bh_link_as_whole(<target>), bh_link_as_parts(<target>)
function(bh_link_as_whole target)
  target_link_options(${target} PRIVATE $<$<BOOL:${BH_LTO}>:-flto=auto>)
endfunction()
function(bh_link_as_parts target)
  target_compile_options(${target} PRIVATE $<$<BOOL:${BH_LTO}>:-fno-lto>)
  target_link_options(${target} PRIVATE $<$<BOOL:${BH_LTO}>:-fno-lto> $<$<BOOL:${BH_HAVE_LLD}>:-fuse-ld=lld>)
endfunction()
