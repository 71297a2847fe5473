#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh DEB...: installs Bulkhead's packages where nothing else of it is, and uses them: the library from C and C++, bhctl, the
# agent as its unit starts it, manuals, completions, the AppArmor profile. It changes the system it runs on: `tools/dev package`
# runs it in a chroot that is thrown away.
set -euo pipefail

[[ -e /ccache && $EUID == 0 && $# -gt 0 ]] || {
	echo "test_package: this installs packages, and is for the chroot of 'tools/suite NAME fresh'" >&2
	exit 2
}
work=$(mktemp -d)
source=$(dirname "$(readlink -f "$0")")
export DEBIAN_FRONTEND=noninteractive
unset CMAKE_C_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER
unit=/lib/systemd/system/bhkms-agent.service

fail() {
	printf 'test_package: %s\n' "$*" >&2
	exit 1
}
ok() { echo "ok: $*"; }
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" && fail "failed: $*"; }; }
# in_unit NAME: what the unit says of it.
in_unit() { sed -n "s/^$1=//p" "$unit"; }
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }

packages_install() {
	quietly apt-get -q -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 update
	quietly apt-get -q install -y --no-install-recommends "$@"
	ok "they install, with what they depend on"
}

files_are_in_order() {
	local file
	for file in /usr/bin/bhctl /usr/bin/bhkms-agent /usr/lib/*/libbulkhead*.so; do
		! ldd "$file" | grep 'not found' || fail "$file misses libraries"
		! readelf -d "$file" | grep -E 'RPATH|RUNPATH' || fail "$file looks for libraries at places of its own"
		readelf -d "$file" | grep BIND_NOW >/dev/null || fail "$file: calls are not bound at the start"
	done
	LD_PRELOAD=libbulkhead_plugin.so /bin/true 2>"$work/log"
	[[ ! -s $work/log ]] || fail "the plugin: $(<"$work/log")"
	ok "programs and libraries"
}

examples_build() {
	local name flags examples=/usr/share/doc/libbulkhead-dev/examples
	read -ra flags < <(pkg-config --cflags --libs bulkhead)
	mkdir "$work/examples" && cd "$work/examples"
	gcc -Wall -Wextra -Werror -o evening-c "$examples/evening.c" "${flags[@]}"
	g++ -std=c++17 -Wall -Wextra -Werror -o evening-cc "$examples/evening.cc" "${flags[@]}"
	gcc -Wall -Wextra -Werror -O2 -o adopt "$examples/adopt.c" "${flags[@]}" -lrocksdb
	for name in evening-c evening-cc; do
		rm -rf evening-db evening-kms
		"./$name" >said 2>&1 || fail "$name: $(<said)"
		diff said "$examples/evening.expected" || fail "$name says something else"
	done
	quietly cmake -S "$source/../install" -B "$work/consumer" -DCONSUMER_LANGUAGE=C
	quietly cmake --build "$work/consumer"
	ok "examples, by pkg-config; a project, by find_package"
}

bhctl_works() {
	cd "$work"
	bhctl --db db init --region eu >/dev/null
	for m in ann bob; do
		bhctl --db db kms create "local:keys#$m" >/dev/null
		bhctl --db db merchant add $m --cmk "local:keys#$m" --class data >/dev/null
		bhctl --db db put $m/data key "$m's" >/dev/null
	done
	[[ $(bhctl --db db get ann/data key) == "ann's" ]] || fail "bhctl does not give back what it stored"
	bhctl --db db merchant suspend ann >/dev/null
	! bhctl --db db get ann/data key >/dev/null 2>&1 || fail "a suspended merchant is read"
	[[ $(bhctl --db db get bob/data key) == "bob's" ]] || fail "bob is not served beside ann, who is suspended"
	ok "bhctl"
}

# As systemd would: user, folders and command line are the unit's.
agent_starts() {
	local user command options
	user=$(in_unit User)
	getent passwd "$user" >/dev/null || fail "no user $user"
	useradd shop && useradd other
	install -d -m "$(in_unit StateDirectoryMode)" -o "$user" -g "$user" "/var/lib/$(in_unit StateDirectory)"
	install -d -m "$(in_unit RuntimeDirectoryMode)" -o "$user" -g "$user" "/run/$(in_unit RuntimeDirectory)"
	as "$user" bhctl kms create local:/var/lib/bhkms#ann --region eu >/dev/null
	as "$user" bhctl kms create local:/var/lib/bhkms#bob --region eu >/dev/null
	printf 'allow wrap,unwrap key=ann merchant=ann region=eu\n' >/etc/bhkms.policy
	options=(--allow-uid "$(id -u shop)" --policy /etc/bhkms.policy)
	sed -i "s|^BHKMS_OPTIONS=.*|BHKMS_OPTIONS=\"${options[*]}\"|" /etc/default/bhkms-agent
	eval "$(grep -v '^#' /etc/default/bhkms-agent)"
	read -ra options <<<"$BHKMS_OPTIONS"
	command=$(in_unit ExecStart)
	# shellcheck disable=SC2016 # systemd's
	[[ $command == *' $BHKMS_OPTIONS' ]] || fail "the unit's command takes no options: $command"
	read -ra command <<<"${command% *}"
	(umask "$(in_unit UMask)" && exec strace -f -qq -o "$work/calls" setpriv --reuid "$user" --regid "$user" --clear-groups \
		--no-new-privs --inh-caps=-all --bounding-set=-all "${command[@]}" "${options[@]}") >"$work/agent" 2>&1 &
	agent=$!
	touch "$work/agent"
	for _ in {1..100}; do
		! grep -q serving "$work/agent" || return 0
		sleep 0.1
	done
	fail "the agent does not start: $(<"$work/agent")"
}

agent_serves() {
	local status=0
	install -d -o shop -m 700 "$work/shop"
	chmod 711 "$work"
	cd "$work/shop"
	as shop bhctl --db db init --region eu >/dev/null
	as shop bhctl --db db merchant add ann --cmk agent:/run/bhkms/socket#ann --class data >/dev/null
	as shop bhctl --db db put ann/data key value >/dev/null
	[[ $(as shop bhctl --db db get ann/data key) == value ]] || fail "no row under the agent's key"
	as shop bhctl --db db merchant add bob --cmk agent:/run/bhkms/socket#bob --class data >/dev/null 2>&1 || status=$?
	((status == 7)) || fail "bob has a key that the policy does not speak of ($status)"
	status=0
	cd "$work" && as other bhctl kms list agent:/run/bhkms/socket#ann >/dev/null 2>&1 || status=$?
	((status != 0)) || fail "a user who is not named is served"
	ok "the agent, as its unit starts it"
}

# Whatever it did, the unit's filter lets it do.
agent_keeps_to_its_filter() {
	local line name
	declare -A may=()
	kill "$(cat "/proc/$agent/task/$agent/children")" # strace has one child
	wait "$agent" || fail "the agent ended with $?: $(<"$work/agent")"
	while read -r line; do
		for name in ${line#\~}; do
			while read -r name; do
				[[ $line == ~* ]] && unset "may[$name]" || may[$name]=1
			done < <(calls_of "$name")
		done
	done < <(in_unit SystemCallFilter)
	((${#may[@]} > 100)) || fail "the unit's filter is not understood"
	# What comes before the program's own start is setpriv's.
	sed -n '/execve("\/usr\/bin\/bhkms-agent"/,$p' "$work/calls" |
		sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' | sort -u >"$work/used"
	(($(wc -l <"$work/used") > 20)) || fail "the agent's calls were not seen"
	while read -r name; do
		[[ ${may[$name]-} ]] || fail "the agent calls $name, which its unit forbids"
	done <"$work/used"
	ok "the unit's filter of system calls"
}

# calls_of NAME: itself, or what a group has.
calls_of() {
	local name
	[[ $1 == @* ]] || { echo "$1" && return; }
	systemd-analyze syscall-filter "$1" | sed -nE 's/^    ([a-z0-9_@-]+)$/\1/p' |
		while read -r name; do calls_of "$name"; done
}

the_rest_is_in_order() {
	local page
	quietly systemd-analyze verify --man=no "$unit"
	[[ ! -s $work/log ]] || fail "the unit: $(<"$work/log")"
	! systemctl is-enabled bhkms-agent.service >/dev/null 2>&1 || fail "the unit is enabled before there is a key"
	quietly apparmor_parser -Q -K /etc/apparmor.d/bhkms-agent
	for page in bhctl bhkms-agent; do
		zcat "/usr/share/man/man1/$page.1.gz" | mandoc -T markdown -W warning >"$work/page" ||
			fail "$page(1) does not render"
		grep '^# EXIT STATUS' "$work/page" >/dev/null || fail "$page(1) shows no exit status"
		bash -c ". /usr/share/bash-completion/completions/$page && complete -p $page" >/dev/null ||
			fail "$page: no completion"
	done
	ok "unit, AppArmor profile, manuals, completions"
}

# Keys are not an installation's to remove.
packages_go() {
	local left
	quietly apt-get -q purge -y libbulkhead0 libbulkhead-dev bulkhead-tools
	rm /etc/bhkms.policy
	left=$(find /usr /etc /lib -xdev \( -name '*bulkhead*' -o -name 'bhctl*' -o -name 'bhkms*' \) || true)
	[[ -z $left ]] || fail "what a purge leaves: $left"
	ls /var/lib/bhkms/root.* >/dev/null || fail "a purge took the keys away"
	ok "they go, and leave the keys"
}

packages_install "$@"
files_are_in_order
examples_build
bhctl_works
agent_starts
agent_serves
agent_keeps_to_its_filter
the_rest_is_in_order
packages_go
