#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_audit.sh BHCTL [CHECK...]: the audit log on the command line: shown, proved with the public key alone, who held keys
# when.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

show_filters_and_prints_the_floor() {
	fresh
	run 0 --db db audit show --json
	json '.entries[0].action, ([.entries[].seq] == [range(1; (.entries | length) + 1)])' $'database.created\ntrue'
	run 0 --db db audit show --merchant ann --json
	json '[.entries[].merchant] | unique | join(" ")' ann
	json '[.entries[].action] | index("keys.granted") != null' true
	! grep -q 'value of' db/AUDIT || die "a row is in the log"
	run 0 --db db audit show --merchant ann
	has out "keys.granted ann"
	has out "floor "
	run 0 --db db audit show --since -1h
	has out database.created
	run 0 --db db audit show --since 2999-01-01T00:00:00Z --json
	json '.entries | length' 0
	run 0 audit show db/AUDIT
	run 2 audit show
	run 3 audit show nowhere/AUDIT
	run 2 --db db audit show --since yesterday
}

verify_needs_the_public_key_alone() {
	fresh
	local key floor
	key=$(public_key)
	mv kms kms-away
	mv db-kms db-kms-away
	cp db/AUDIT log
	run 0 audit verify log --public-key "$key" --json
	json '.ok, (.entries > 10)' $'true\ntrue'
	floor=$(jq -r .floor out)
	run 0 audit verify log --public-key "$key" --floor "$floor"
	has out "floor $floor"
	echo "$key" >key
	run 0 audit verify log --public-key key
	run 6 audit verify log --public-key "${key//[0-9]/1}"
	run 2 audit verify log
	run 3 audit verify log --public-key 12
	run 2 audit verify log --public-key "$key" --floor 12
	run 8 --db db audit verify # opens the database, whose KMS is away
}

# A pin has key and floor, and is what init, status and --show-pin print.
a_pin_is_printed_and_compared() {
	run 0 --db db init --region eu --json
	local first last
	first=$(jq -r .pin out)
	run 0 --db db kms create local:kms#ann
	run 0 --db db --show-pin merchant add ann --cmk local:kms#ann
	last=$(sed -n 's/^bhctl: pin: //p' err)
	[[ $last == bhpin1:* && $last != "$first" ]] || die "no new pin: $(<err)"
	run 0 --db db --pin "$first" status --json
	json '.database.pin | startswith("bhpin1:")' true
	run 0 --db db --pin "$last" status
	has out 'pin bhpin1:'
	BULKHEAD_PIN=$last run 0 --db db put ann/data key1 value
	cp db/AUDIT log
	run 0 --pin "$last" audit verify log
	run 0 audit verify log --public-key "$last"
	head -n 3 log >short
	run 6 --pin "$last" audit verify short
	run 0 --db other init --region eu
	unchanged other 6 --db other --pin "$last" status
	has err 'does not fit the pin'
	BULKHEAD_PIN=$last run 6 --db other status
	BULKHEAD_PIN='' run 2 --db db status
	run 2 --db db --pin bhpin1:12 status
	has err 'seven fields'
	run 0 --db db --pin "$last" --show-pin merchant shred ann --yes --certificate cert
	run 0 --pin "$last" certificate verify cert
	run 6 --pin "$(sed -n 's/^pin: //p' <("$bhctl" --db third init --region eu))" certificate verify cert
	# Another CMK of the platform's: the newest pin knows, the older ones refuse.
	run 0 --db db kms create local:kms#platform2
	run 0 --db db --pin "$last" --show-pin rewrap --platform --cmk local:kms#platform2
	run 0 --db db --pin "$(sed -n 's/^bhctl: pin: //p' err)" status
	run 6 --db db --pin "$last" status
}

verify_finds_changes() {
	fresh
	local key floor lines
	key=$(public_key)
	cp db/AUDIT good
	floor=$("$bhctl" audit verify good --public-key "$key" --json | jq -r .floor)
	sed '2s/"outcome":"ok"/"outcome":"io"/' good >log
	run 6 audit verify log --public-key "$key"
	has err "line 3"
	sed '9d' good >log
	run 6 audit verify log --public-key "$key"
	lines=$(wc -l <good)
	# Back to an earlier checkpoint is a log in itself: the floor tells, and the keyring.
	head -n "$(grep -n '^{"checkpoint"' good | head -n 3 | tail -n 1 | cut -d: -f1)" good >log
	((lines > $(wc -l <log))) || die "nothing was cut"
	run 0 audit verify log --public-key "$key"
	run 6 audit verify log --public-key "$key" --floor "$floor"
	has err "cut"
	cp log db/AUDIT
	unchanged db 6 --db db get ann/data key1
	has err AUDIT
	run 6 --db db audit verify
	cp good db/AUDIT
	run 0 --db db get ann/data key1
	run 0 --db db audit verify
}

# An open reads the end of a long log; all of it is verify's to prove.
a_long_log_is_proved_by_verify() {
	fresh
	local key size
	key=$(public_key)
	while ! grep -q '^{"anchor"' db/AUDIT; do
		run 0 --db db get ann/data key1
	done
	size=$(stat -c %s db/AUDIT)
	((size > 262144)) || die "an anchor after $size bytes"
	run 0 --db db put ann/data key1 again # its commit mark passes the anchor
	run 0 --db db verify
	cp db/AUDIT good
	sed -i '2s/"outcome":"ok"/"outcome":"io"/' db/AUDIT
	cmp -s db/AUDIT good && die "nothing was changed"
	run 0 --db db get ann/data key1
	run 6 audit verify db/AUDIT --public-key "$key"
	has err "line 3"
	run 6 --db db audit verify
	run 6 --db db verify --json
	json '.checks[] | select(.name == "audit log").failures | length' 1
	sed -i '2s/"outcome":"io"/"outcome":"ok"/' db/AUDIT
	run 0 --db db put ann/data key1 again # its commit mark passes what was logged meanwhile
	cp db/AUDIT good
	sed '2d' good >db/AUDIT
	unchanged db 6 --db db get ann/data key1
	has err "line 2"
	cp good db/AUDIT
	sed -i '$d' db/AUDIT
	sed -i '$s/"outcome":"ok"/"outcome":"io"/' db/AUDIT
	unchanged db 6 --db db get ann/data key1
	cp good db/AUDIT
	run 0 --db db audit verify
}

a_lost_log_is_not_made_anew_by_itself() {
	fresh
	rm db/AUDIT
	unchanged db 6 --db db get ann/data key1
	has err "is missing"
	[[ ! -e db/AUDIT ]] || die "a log was made"
	run 6 --db db verify
	run 2 --db db audit restart
	run 0 --db db audit restart --yes
	run 0 --db db audit show
	has out log.restarted
	run 0 --db db get ann/data key1
	# A damaged one is kept.
	flip db/AUDIT 30
	run 6 --db db get ann/data key1
	run 0 --db db audit restart --yes
	[[ -n $(echo db/AUDIT.[0-9]*) ]] || die "the damaged log is gone"
	run 0 --db db audit verify
	run 0 --db db verify --json
	json '[.checks[] | select(.name == "strays").notes[] | select(test("AUDIT"))] | length' 0
}

# Its beginning is moved away: the log goes on, and both prove each other.
archive() {
	fresh
	local floor first count
	mkdir archive
	run 0 --db db audit archive archive
	has out "nothing to be archived"
	run 2 --db db audit archive db/tenants
	run 3 --db db audit archive nowhere
	has err "nowhere"
	run 0 --db db audit verify --json
	floor=$(jq -r .floor out)
	while (($(stat -c %s db/AUDIT) < 600 << 10)); do run 0 --db db status; done
	run 0 --db db audit archive archive --json
	json '.first, .last > 100' $'1\ntrue'
	first=$(jq -r .name out)
	[[ -s archive/$first ]] || die "no file in the archive"
	(($(stat -c %s db/AUDIT) < 600 << 10)) || die "the log is as long as it was"
	run 0 --db db audit verify
	has out "are archived"
	run 0 --db db audit verify archive/AUDIT-* db/AUDIT
	! grep -q "are archived" out || die "something is still said to be archived: $(<out)"
	run 0 --db db audit verify archive/AUDIT-* db/AUDIT --floor "$floor"
	run 3 --db db audit verify --floor "$floor"
	has err "archive"
	run 0 --db db audit show archive/AUDIT-* db/AUDIT --json
	count=$(jq '.entries | length' out)
	json '[.entries[].seq] | . == [range(1; length + 1)]' true
	run 0 --db db audit show --json
	json ".entries | length < $count" true
	run 0 --db db put ann/data later v
	run 0 --db db verify
	run 6 --db db audit verify db/AUDIT archive/AUDIT-*
	flip "archive/$first" 5000
	run 6 --db db audit verify archive/AUDIT-* db/AUDIT
	has err "$first"
	# Beside a service, too; the directory is taken from here.
	flip "archive/$first" 5000
	run 0 --db db audit archive archive
	run 0 --db db audit verify archive/AUDIT-* db/AUDIT
}

who_could_decrypt() {
	fresh
	local granted closed
	# Processes of one command each: nobody holds keys in between.
	run 0 --db db audit who-could-decrypt --merchant ann --at -0s
	has out "no process"
	run 0 --db db get ann/data key1
	run 0 --db db audit show --json
	granted=$(jq -r '[.entries[] | select(.action == "keys.granted" and .merchant == "ann")] | last | .time' out)
	closed=$(jq -r '[.entries[] | select(.action == "keyring.closed")] | last | .time' out)
	run 0 --db db audit who-could-decrypt --merchant ann --at "$granted" --json
	json '.holders | length' 1
	json '.holders[0].certain, .holders[0].end, .holders[0].until' "true"$'\nclosed\n'"$closed"
	run 0 --db db audit who-could-decrypt --merchant ann --at "$closed" --json
	json '.holders | length' 0
	run 2 --db db audit who-could-decrypt --merchant ann
	run 2 --db db audit who-could-decrypt --at -1h
}

# entry ACTION MERCHANT MEMBER: of the last such entry.
entry() {
	"$bhctl" --db db audit show --json | jq -r --arg action "$1" --arg merchant "$2" --arg member "$3" \
		'[.entries[] | select(.action == $action and (.merchant // "") == $merchant)] | last | .[$member]'
}

helpers+=(entry as_nobody)

# Two instances that had the same keys, the first of which was killed: nobody knows until when, but not beyond the next open.
who_could_decrypt_is_told_of_one_that_was_killed() {
	fresh
	local first first_granted first_last second second_opened second_granted second_closed
	{ BH_CRASH_AT=shred.recorded "$bhctl" --db db merchant shred bob --yes; } >/dev/null 2>&1
	first=$(entry keys.granted ann process)
	first_granted=$(entry keys.granted ann time)
	first_last=$(entry state.changed bob time)
	run 0 --db db audit who-could-decrypt --merchant ann --at 2999-01-01T00:00:00Z
	has out "unknown"
	has out "lease"
	run 0 --db db audit who-could-decrypt --merchant ann --at 2999-01-01T00:00:00Z --json
	json '.holders | length' 1
	json '.holders[0].certain, .holders[0].end, .holders[0].process' $'false\nunknown\n'"$first"
	sleep 0.1
	run 0 --db db get ann/data key1
	second=$(entry keys.granted ann process)
	second_opened=$(entry keyring.opened "" time)
	second_granted=$(entry keys.granted ann time)
	second_closed=$(entry keyring.closed "" time)
	[[ $first != "$second" ]] || die "two processes are one: $first"

	run 0 --db db audit who-could-decrypt --merchant ann --at "$first_granted" --json
	json '.holders | map(.process) | join(" ")' "$first"
	json '.holders[0].certain, .holders[0].end, .holders[0].until' $'true\nthe next process opened\n'"$second_opened"
	json '.holders[0].last_heard_of' "$first_last"
	run 0 --db db audit who-could-decrypt --merchant ann --at "$first_granted" --lease-limit 10 --json
	json '.holders[0] | (.lease_until | sub("[.].*"; "Z") | fromdate) - (.from | sub("[.].*"; "Z") | fromdate)' 10
	run 0 --db db audit who-could-decrypt --merchant ann --at "$second_granted" --json
	json '.holders | map(.process) | join(" ")' "$second"
	json '.holders[0].certain, .holders[0].end, .holders[0].until' $'true\nclosed\n'"$second_closed"
	run 0 --db db audit who-could-decrypt --merchant ann --at 2999-01-01T00:00:00Z
	has out "no process"
	# Bob was being shredded: the second had his keys at no time.
	run 0 --db db audit who-could-decrypt --merchant bob --at "$second_granted"
	has out "no process"

	# What the second did, of ann alone.
	run 0 --db db audit show --merchant ann --since "$second_opened" --json
	json '[.entries[].process] | unique | join(" ")' "$second"
	json '[.entries[].merchant] | unique | join(" ")' ann
	json '[.entries[].action] | index("keys.granted") != null' true
	run 0 --db db audit show --merchant ann --since "$first_granted" --json
	json '[.entries[] | select(.action == "keys.granted").process] | join(" ")' "$first $second"
	run 0 --db db audit verify
}

# as_nobody CODE ARG...: as run, by a user who may read all of ./db and write all of it but AUDIT.
as_nobody() {
	local want=$1 code=0
	shift
	setpriv --reuid 65534 --regid 65534 --clear-groups "$bhctl" "$@" >out 2>err </dev/null || code=$?
	[[ $code == "$want" ]] || die "bhctl $* ended with $code, not $want: $(head -c 600 err)"
}

a_log_that_may_not_be_written_is_optional_for_who_looks() {
	fresh
	[[ $EUID == 0 ]] || return 0 # who is not root cannot be somebody else
	cp "$bhctl" "$work/bhctl"
	local bhctl=$work/bhctl before
	chmod 711 "$work"
	chown -R 65534:65534 db kms db-kms .
	chown root db/AUDIT
	chmod 644 db/AUDIT
	before=$(sha256sum <db/AUDIT)
	as_nobody 10 --db db verify
	has err AUDIT
	as_nobody 10 --db db status
	as_nobody 0 --db db --audit-optional verify
	as_nobody 0 --db db --audit-optional status
	as_nobody 0 --audit-optional dump "$(find db/tenants/ann -name '*.sst' | head -n 1)"
	as_nobody 10 --db db --audit-optional put ann/data key1 other
	as_nobody 10 --db db --audit-optional merchant suspend ann
	[[ $(sha256sum <db/AUDIT) == "$before" ]] || die "the log has changed"
	rm -f db/AUDIT
	as_nobody 6 --db db --audit-optional status
	[[ ! -e db/AUDIT ]] || die "a log was made"
}

shred_and_denial_are_told() {
	fresh
	run 0 --db db kms disable local:kms#ann
	"$bhctl" --db db get bob/data key1 >/dev/null 2>&1
	run 0 --db db audit show --merchant ann --json
	json '[.entries[] | select(.action == "keys.denied").outcome] | index("kms-refused") != null' true
	run 0 --db db merchant shred bob --yes
	run 0 --db db audit show --merchant bob --json
	json '[.entries[].action] | contains(["dek.destroyed", "cmk.destroy-answered", "certificate.issued"])' true
	run 0 --db db audit verify
}

run_checks "$@"
