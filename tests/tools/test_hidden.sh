#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: test_hidden.sh PROGRAM...: while a program that gets secrets runs, nobody else of its user may look into its memory, and it
# leaves no core file. Each is stopped at the reading of its passphrase. What /proc/PID has of a process that may not be looked into
# belongs to root; run by root, the programs run as nobody.
set -euo pipefail

work=$(mktemp -d)
pid=
trap '[[ -z $pid ]] || kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
chmod 755 "$work"
as=()
((EUID != 0)) || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)

die() {
	echo "test_hidden: $*" >&2
	exit 1
}

# arguments_of PROGRAM: sets `arguments` to what has it read a passphrase.
arguments_of() {
	case ${1##*/} in
	bhctl) arguments=(--passphrase-fd 5 kms list "local:$work/kms") ;;
	bhkms-agent) arguments=(--passphrase-fd 5 --dir "$work/kms" --socket "$work/socket") ;;
	*) die "$1: how is it run?" ;;
	esac
}

for program in "$@"; do
	name=${program##*/}
	cp "$program" "$work/$name" # where nobody finds it
	chmod 755 "$work/$name"
	mkfifo "$work/$name.phrase"
	arguments_of "$program"
	exec 6<>"$work/$name.phrase"
	"${as[@]}" "$work/$name" "${arguments[@]}" 5<&6 6>&- >"$work/out" 2>&1 &
	pid=$!
	for ((tries = 0; tries < 600; tries++)); do
		# In this order: before, it is root's process for another reason.
		[[ $(readlink "/proc/$pid/exe") != *"/$name" || $(stat -c %u "/proc/$pid/mem") != 0 ]] || break
		sleep 0.1
	done
	[[ $(stat -c %u "/proc/$pid/mem") == 0 ]] || die "$name can be looked into by others of its user"
	[[ $(awk '/^Uid:/ { print $3 }' "/proc/$pid/status") != 0 ]] || die "$name runs as root, so this shows nothing"
	[[ $(awk '/^Max core file size/ { print $5, $6 }' "/proc/$pid/limits") == '0 0' ]] || die "$name may leave a core file"
	kill "$pid"
	wait "$pid" 2>/dev/null || :
	pid=
	exec 6>&-
	echo "ok: $name"
done
