#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# limits.sh BUILD-DIR: docs/operations.md, Sizing: a user without any capability, with the limits that containers have, makes and
# runs a database; how many descriptors it takes; what happens where there is no room for keys, or for files.
. "$(dirname "$(readlink -f "$0")")/docs.bash" "$1"

read -ra flags < <(pkg-config --cflags --libs bulkhead)
gcc -std=c11 -D_DEFAULT_SOURCE -Wall -Wextra -Werror -o limits "$root/tests/docs/limits.c" "${flags[@]}"
cp -L "$build/libbulkhead.so.0" .
chmod 755 . limits libbulkhead.so.0

plain_user=()
if ((EUID == 0)); then
	plain_user=(setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all)
fi

# within LOCKED-KIB DESCRIPTORS MERCHANTS: with these limits; output and messages in ./out, the exit code in `code`.
within() {
	code=0
	rm -rf place
	mkdir -m 777 place
	(
		ulimit -l "$1"
		ulimit -n "$2"
		cd place
		LD_LIBRARY_PATH=$work "${plain_user[@]}" "$work/limits" "$3"
	) >out 2>&1 || code=$?
}

# refused_with TEXT...: one of them.
refused_with() {
	if ((code == 0)) || ! grep -qF -f <(printf '%s\n' "$@") out; then
		die "ended with $code, not with '$*': $(<out)"
	fi
}

within 64 1024 50
((code == 0)) || die "64 KiB of locked memory and 1024 descriptors: $(<out)"
read -r open locked <out
# Without the three that every process has.
((open <= 30 + 100)) || die "$open descriptors with 100 classes and as many files"
((open > 100)) || die "only $open descriptors: the page's formula is too large"
((locked >= 32 && locked <= 64)) || die "$locked KiB locked"
say "ok: 50 merchants of two classes: $open descriptors, $locked KiB locked"

within 0 1024 0
refused_with 'memory for keys cannot be locked: raise RLIMIT_MEMLOCK'
say "ok: no locked memory, no database"

within 64 60 50
refused_with 'descriptors are used up' 'Too many open files' # by the first that needs one more
say "ok: too few descriptors are an error that says so"
