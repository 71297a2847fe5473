# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# cli.bash: what the tests of bhctl are made of: `. cli.bash`, functions that are checks, then run_checks "$@". The arguments are
# the program and, if not all checks are meant, the names of those that are. A check prints "ok - name", or what went wrong.
# shellcheck disable=SC2317 # checks are called by name
set -uo pipefail
export LC_ALL=C

bhctl=$(readlink -f "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/bhctl-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

# ---- what checks are made of

# run CODE ARG...: bhctl with these arguments has to end with that code. Output in ./out, messages in ./err.
run() {
	local want=$1 code=0
	shift
	"$bhctl" "$@" >out 2>err </dev/null || code=$?
	[[ $code == "$want" ]] || die "bhctl $* ended with $code, not $want: $(head -c 600 err)"
}

die() {
	printf '    %s\n' "$*"
	exit 1
}

# has FILE TEXT: the text is in the file.
has() { grep -qF -- "$2" "$1" || die "'$2' is not in $1: $(head -c 600 "$1")"; }
# json FILTER WANTED: what the filter makes of ./out.
json() {
	local got
	got=$(jq -rc "$1" out 2>&1) || die "jq '$1': $got: $(head -c 600 out)"
	[[ $got == "$2" ]] || die "jq '$1' is '$got', not '$2'"
}
# error CODE NAME: the JSON error in ./out; its message is the one on stderr.
error() {
	json '.error.code' "$1"
	json '.error.name' "$2"
	[[ "bhctl: $(jq -r .error.message out)" == "$(tail -n 1 err)" ]] || die "the message on stderr is another one: $(<err)"
}

# Without what every use of a key changes: AUDIT, and of KEYRING's commit mark how far AUDIT has come, its sequence and its MAC.
tree_hash() {
	(
		cd "$1" || exit 1
		find . -printf '%p %y %l\n' | sort
		find . -type f ! -name AUDIT ! -name KEYRING -exec sha256sum {} + | sort
		find . -type f -name KEYRING | sort | while read -r keyring; do
			{ head -c 3632 "$keyring"; tail -c +3673 "$keyring" | head -c 368; tail -c +4081 "$keyring"; } | sha256sum
		done
	) | sha256sum
}

# unchanged DIR CODE ARG...: ends with this code, and nothing in the directory has changed, see tree_hash.
unchanged() {
	local dir=$1 before
	shift
	before=$(tree_hash "$dir")
	run "$@"
	[[ $(tree_hash "$dir") == "$before" ]] || die "bhctl ${*:2}: changed $dir"
}

# flip FILE OFFSET: one bit of that byte.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# A database of two merchants, in ./db, with a row each; their keys are in ./kms, the platform's in ./db-kms.
fresh() {
	run 0 --db db init --region eu
	local name
	for name in ann bob; do
		run 0 --db db kms create "local:kms#$name"
		run 0 --db db merchant add "$name" --cmk "local:kms#$name" --class data --class events
		run 0 --db db put "$name/data" key1 "value of $name"
	done
}

# The key that checks what ./db has signed.
public_key() { "$bhctl" --db db status --json | jq -r .database.public_key; }

# check NAME: runs the function of that name in a directory of its own.
check() {
	mkdir "$work/$1" && cd "$work/$1" || exit 1
	if ("$1"); then
		echo "ok - ${1//_/ }"
	else
		echo "not ok - ${1//_/ }"
		failed=$((failed + 1))
	fi
	cd "$work" || exit 1
	rm -rf "${work:?}/$1"
}

# What is defined after this line is a check.
mapfile -t helpers < <(declare -F | cut -d' ' -f3)
helpers+=(run_checks)

run_checks() {
	local name
	while read -r name; do
		if [[ " ${helpers[*]} " != *" $name "* ]] && [[ $# -lt 2 || " ${*:2} " == *" $name "* ]]; then
			check "$name"
		fi
	done < <(declare -F | cut -d' ' -f3)
	((failed == 0)) || echo "$failed checks failed"
	exit $((failed > 0))
}
