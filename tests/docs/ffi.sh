#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# ffi.sh BUILD-DIR CHECK: the headers for other languages' tools. `bare`: as -DBH_FFI_BARE leaves them they hold declarations of
# every function of the library and nothing else: no body, no attribute, nothing of a system's header. `cffi`: it takes them.
. "$(dirname "$(readlink -f "$0")")/docs.bash" "$1"

read -ra flags < <(pkg-config --cflags-only-I bulkhead)
gcc -E -P -DBH_FFI_BARE "${flags[@]}" -x c - <<<'#include <bulkhead/bulkhead.h>' >bulkhead.i

bare() {
	grep -nE '__attribute__|__extension__|inline|\) *\{|__' bulkhead.i && die "more than declarations"
	grep -oE '\bbh_[a-z0-9_]+\(' bulkhead.i | tr -d '(' | sort -u >declared
	nm -D --defined-only "$build/libbulkhead.so" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u >exported
	same declared exported "what the headers declare"
	# As C they need the few types that every tool knows, and no more.
	gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -include stdbool.h -include stddef.h -include stdint.h -x c bulkhead.i
}

cffi() {
	local python
	for python in python3 /usr/bin/python3; do
		if "$python" -c 'import cffi' 2>/dev/null; then
			"$python" "$root/tests/docs/ffi_cffi.py" bulkhead.i "$build/libbulkhead.so" >out
			same out <(echo Ada) "what cffi's program printed"
			return
		fi
	done
	skip "cffi is not installed (python3-cffi)"
}

case $2 in
bare | cffi) "$2" ;;
*) die "no check $2" ;;
esac
say "ok: $2"
