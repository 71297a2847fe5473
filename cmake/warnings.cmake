# SPDX-License-Identifier: Apache-2.0
# Warnings are errors with gcc and clang alike.
function(bh_target_defaults target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
endfunction()
