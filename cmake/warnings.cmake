# SPDX-License-Identifier: Apache-2.0
# What every target of ours is compiled with. Warnings are errors in the presets alone (CMAKE_COMPILE_WARNING_AS_ERROR): other
# compilers and other options warn of other things.
function(bh_target_defaults target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition>)
  target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  # Where there is optimisation, unless the builder's own flags speak of it; some compilers come with another level. Not under a
  # sanitizer, which would not see the calls.
  if(NOT BH_SANITIZE AND NOT CMAKE_C_FLAGS MATCHES "_FORTIFY_SOURCE")
    target_compile_options(${target} PRIVATE
      "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  endif()
endfunction()
