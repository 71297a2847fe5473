# SPDX-License-Identifier: Apache-2.0
# BH_SANITIZE: what -fsanitize gets for everything that is built; the presets asan, tsan and fuzz set it.
# A finding ends the program.
set(BH_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them; empty: none")
if(BH_SANITIZE)
  add_compile_options(-fsanitize=${BH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BH_SANITIZE} -fno-sanitize-recover=all)
endif()
