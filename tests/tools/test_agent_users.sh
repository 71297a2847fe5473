#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: test_agent_users.sh BHCTL BHKMS-AGENT: a KMS agent of one user that serves the database of another, as operations.md
# has it; who else is refused; what a policy allows; and a policy that is wrong. Needs root, to be two users: it fails without.
# shellcheck disable=SC2016
set -euo pipefail
export LC_ALL=C ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # which looks into processes that nobody may look into

readonly keeper=65501 shop=65502 stranger=65503
readonly as_keeper=(setpriv --reuid="$keeper" --regid="$keeper" --clear-groups --)
work=$(mktemp -d)
agent=
trap 'end_agent; rm -rf "$work"' EXIT

die() {
	echo "test_agent_users: $*" >&2
	exit 1
}

((EUID == 0)) || die "has to be run by root, since it takes three users"

as() {
	local user=$1
	shift
	setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"
}

end_agent() {
	[[ -z $agent ]] || kill -KILL "$agent" 2>/dev/null || :
	[[ -z $agent ]] || wait "$agent" 2>/dev/null || :
	agent=
}

# start_agent_at SOCKET ARG...: as the keeper; returns when it serves. What an earlier one said is gone before it is waited for.
start_agent_at() {
	local socket=$1
	shift
	end_agent
	: >said
	"${as_keeper[@]}" ./bhkms-agent --dir "$work/kms" --socket "$socket" "$@" >said 2>&1 &
	agent=$!
	for ((tries = 0; tries < 600; tries++)); do
		! grep -q serving said || return 0
		kill -0 "$agent" 2>/dev/null || die "the agent ended: $(<said)"
		sleep 0.1
	done
	die "the agent does not start"
}

start_agent() { start_agent_at "$work/run/socket" "$@"; }

# no_agent CODE TEXT ARG...: it refuses to start, and says why.
no_agent() {
	local code=0 want=$1 text=$2
	shift 2
	timeout 60 "${as_keeper[@]}" \
		./bhkms-agent --dir "$work/kms" --socket "$work/run/socket" "$@" >said 2>&1 || code=$?
	[[ $code == "$want" ]] || die "'$*' ended with $code, not $want: $(<said)"
	grep -qF -- "$text" said || die "'$*' did not say '$text': $(<said)"
}

# ctl CODE USER ARG...: bhctl as that user.
ctl() {
	local code=0 want=$1 user=$2
	shift 2
	as "$user" ./bhctl "$@" >out 2>err </dev/null || code=$?
	[[ $code == "$want" ]] || die "bhctl $* as $user ended with $code, not $want: $(<err)"
}

says() { grep -qF -- "$1" err || die "not said: '$1': $(<err)"; }

cp "$1" "$work/bhctl"
cp "$2" "$work/bhkms-agent"
cd "$work"
chmod 755 . bhctl bhkms-agent
install -d -m 700 -o "$keeper" -g "$keeper" kms
install -d -m 755 -o "$keeper" -g "$keeper" run policies
install -d -m 700 -o "$shop" -g "$shop" shop
for key in platform acme beta; do
	ctl 0 "$keeper" kms create "local:$work/kms#$key"
done
uri="agent:$work/run/socket"

# ---- two users
start_agent
ctl 7 "$shop" --db shop/none init --region eu --platform-cmk "$uri#platform" # the agent's own user alone
start_agent --allow-uid "$shop"
ctl 0 "$shop" --db shop/db init --region eu --platform-cmk "$uri#platform"
ctl 0 "$shop" --db shop/db merchant add acme --cmk "$uri#acme"
ctl 0 "$shop" --db shop/db merchant add beta --cmk "$uri#beta"
ctl 0 "$shop" --db shop/db put acme/data k value
ctl 0 "$shop" --db shop/db get acme/data k
grep -qx value out || die "the row is not back: $(<out)"
for file in kms kms/root.key kms/acme.key.json; do
	! as "$shop" test -r "$file" || die "$file can be read by the user that is served"
done
! as "$shop" cat "/proc/$agent/mem" "/proc/$agent/environ" >/dev/null 2>&1 || die "the agent can be looked into"
as "$stranger" ./bhctl kms list "local:$work/kms" >out 2>err && die "a stranger lists keys"
install -d -m 700 -o "$stranger" -g "$stranger" strange
ctl 7 "$stranger" --db strange/db init --region eu --platform-cmk "$uri#platform"
says "user $stranger may not use this agent"
ctl 7 "$keeper" --db run/db init --region eu --platform-cmk "$uri#platform" # who can read the keys anyway
says "user $keeper may not use this agent"
echo "ok: another user's database, and nobody else's"

# ---- who poses as the agent
mkdir -m 777 open
start_agent_at "$work/open/socket" --allow-uid "$shop"
ctl 7 "$shop" --db shop/two init --region eu --platform-cmk "agent:$work/open/socket#platform"
says "nor alone able to write in its folder"
echo "ok: a socket that anybody could have put there is not trusted"

# ---- keys that a user who is served could read
no_agent 7 "is the agent's own user" --allow-uid "$keeper"
chmod 755 kms
no_agent 7 "lets others in" --allow-uid "$shop"
chmod 700 kms
no_agent 2 "must be a user's number" --allow-uid shop
no_agent 2 "must be a user's number" --allow-uid -1
chown "$shop" kms/root.key
no_agent 7 "owns" --allow-uid "$shop"
chown "$keeper" kms/root.key
echo "ok: the root key is nobody's who is served"

# ---- a policy
start_agent --allow-uid "$shop"
database=$(as "$shop" ./bhctl --db shop/db --json status | jq -r .database.id)
policy() {
	printf '%b' "$1" >policies/now
	chown "$keeper" policies/now
	chmod 644 policies/now
}
start_with() {
	policy "$1"
	start_agent --allow-uid "$shop" --policy "$work/policies/now"
}
platform="allow wrap,unwrap key=platform merchant= database=$database region=eu uid=$shop\n"
start_with "# the shop\n\n${platform}allow wrap,unwrap key=acme merchant=acme database=$database region=eu
allow unwrap key=beta merchant=beta\n"
ctl 0 "$shop" --db shop/db get acme/data k
ctl 0 "$shop" --db shop/db put beta/data k value # unwrap is enough to be served
ctl 7 "$shop" --db shop/db rotate beta           # a new DEK has to be wrapped
says "policy does not allow user $shop to wrap with key 'beta'"
ctl 0 "$shop" --db shop/db rotate acme
ctl 7 "$shop" --db shop/three init --region eu --platform-cmk "$uri#platform" # another database
says "policy does not allow"

start_with "${platform}allow wrap,unwrap key=acme merchant=other\nallow wrap,unwrap key=beta merchant=beta\n"
ctl 0 "$shop" --db shop/db get beta/data k # served, complete
ctl 7 "$shop" --db shop/db get acme/data k
start_with "${platform}allow wrap,unwrap key=acme region=us\nallow wrap,unwrap key=beta region=eu\n"
ctl 0 "$shop" --db shop/db get beta/data k
ctl 7 "$shop" --db shop/db get acme/data k
start_with "${platform}allow wrap,unwrap key=acme uid=$stranger\nallow wrap,unwrap key=beta\n"
ctl 0 "$shop" --db shop/db get beta/data k
ctl 7 "$shop" --db shop/db get acme/data k
start_with "${platform}allow wrap,unwrap key=acme database=$(printf '0%.0s' {1..32})\nallow wrap,unwrap key=beta\n"
ctl 0 "$shop" --db shop/db get beta/data k
ctl 7 "$shop" --db shop/db get acme/data k
start_with "${platform}allow wrap,unwrap key=acme\nallow wrap,unwrap key=beta\nallow destroy key=beta\n"
ctl 0 "$shop" --db shop/db get acme/data k
ctl 7 "$shop" --db shop/db merchant shred acme --yes # its key is not destroyed by this agent
ctl 0 "$shop" --db shop/db merchant shred beta --yes
echo "ok: what a policy allows, and nothing else"

# ---- a policy that is wrong
wrong() { # LINE-NUMBER TEXT POLICY
	policy "$3"
	no_agent 2 "policies/now:$1: " --allow-uid "$shop" --policy "$work/policies/now"
	grep -qF -- "$2" said || die "not said: '$2': $(<said)"
}
good='allow wrap key=acme\n'
wrong 2 'a rule begins with allow' "${good}deny wrap key=acme\n"
wrong 2 'none of wrap, unwrap and destroy' "${good}allow wrap,open key=acme\n"
wrong 2 'none of wrap, unwrap and destroy' "${good}allow wrap, key=acme\n"
wrong 2 'is there twice' "${good}allow wrap,wrap key=acme\n"
wrong 3 'is there twice' "${good}#\nallow wrap key=acme key=beta\n"
wrong 2 'is there twice' "${good}allow wrap key=acme uid=1 uid=2\n"
wrong 2 'names no key' "${good}allow wrap merchant=acme\n"
wrong 2 'a field looks like' "${good}allow wrap key=acme acme\n"
wrong 2 'none of key, database' "${good}allow wrap key=acme class=data\n"
wrong 2 'must be an id' "${good}allow wrap key=acme database=12\n"
wrong 2 'must be an id' "${good}allow wrap key=acme database=$(printf 'A%.0s' {1..32})\n"
wrong 2 "must be a user's number" "${good}allow wrap key=acme uid=shop\n"
wrong 2 'a line of its own' "${good}allow destroy key=acme merchant=acme\n"
wrong 2 'a line of its own' "${good}allow wrap,destroy key=acme\n"
wrong 2 'which has no place here' "${good}allow wrap key=acme\r\n"
wrong 2 'which has no place here' "${good}allow wrap key=\xc3\xa4\n"
wrong 2 'key' "${good}allow wrap key=../acme\n"
wrong 2 'key' "${good}allow wrap key=$(printf 'k%.0s' {1..300})\n"
wrong 2 'a rule looks like' "${good}allow\n"
policy 'allow wrap key=acme\n\0allow unwrap key=acme\n'
no_agent 2 'has a NUL in it' --policy "$work/policies/now"
policy '# nothing\n'
no_agent 2 'allows nothing to anybody' --policy "$work/policies/now"
policy "$good"
chmod 666 policies/now
no_agent 7 'let others change it' --policy "$work/policies/now"
chmod 644 policies/now
chown "$shop" policies/now
no_agent 7 'let others change it' --policy "$work/policies/now"
rm policies/now
no_agent 3 'does not exist' --policy "$work/policies/now"
ln -s "$work/kms/root.key" policies/now
no_agent 6 'is a symbolic link' --policy "$work/policies/now"
rm policies/now
policy "$good"
no_agent 2 'give it alone' --policy "$work/policies/now" --allow-destroy
echo "ok: a policy that is wrong is refused, and the line named"
