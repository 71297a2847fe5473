#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_report.sh BHCTL DOOR_SERVICE [CHECK...]: the page for an auditor, and the one for a customer: what is on them and what is
# not, whatever names, reasons and URIs hold; of a closed database and of one that a service has open.
# shellcheck disable=SC2317 # checks are called by name
service=$(readlink -f "$2")
set -- "$1" "${@:3}"
. "$(dirname "$(readlink -f "$0")")/cli.bash"

# page FILE: it is well-formed, has no script, and asks for nothing; its text, a line a cell, is in ./text.
page() {
	python3 - "$1" >text <<-'END' || die "$1 is no page"
	import sys, xml.etree.ElementTree as tree
	known = set('html head meta title style body h1 h2 h3 p dl dt dd table thead tbody tr th td code b br span section'.split())
	for element in tree.parse(sys.argv[1]).iter():
	    assert element.tag in known, element.tag
	    assert set(element.attrib) <= {'lang', 'charset', 'http-equiv', 'content', 'name', 'class', 'scope'}, element.attrib
	    if element.tag in ('h1', 'h2', 'td', 'dd', 'p'):
	        print(''.join(element.itertext()))
	END
	! grep -qiE 'https?:|url\(|@import' "$1" || die "$1 asks for something from elsewhere"
}
helpers+=(page)

an_auditor_sees_all() {
	local old
	fresh
	run 0 --db db merchant suspend ann --reason unpaid --operator eve
	run 0 --db db merchant resume ann
	old=$("$bhctl" --db db merchant show ann --json | jq -r '.merchants[0].classes[0].deks[0].id')
	run 0 --db db rotate ann --now
	run 0 --db db kms rotate local:kms#ann
	run 0 --db db rewrap ann
	run 0 --db db erase ann/data --prefix key1
	run 0 --db db merchant shred bob --yes
	run 0 --db db report --html page.html
	has out "page.html: 2 merchants, the audit log up to "
	page page.html
	has text "cause operator: unpaid (by eve)"
	has text "resuming to active"
	has text "merchant.rotated: generation 2"
	has text "$old"
	has text "destroyed 20"
	has text "enabled, version 2, in eu"
	has text "erase.ended"
	has text "$(public_key)"
	has text "FINAL"
	has text "unwrap: kms-refused"
	has text "bhctl --db DB audit who-could-decrypt --merchant ann"
	# As the command says it that is named there.
	run 0 --db db merchant certificate bob
	run 0 --db db audit who-could-decrypt --merchant bob --at "$(jq -r .times.asked out)" --json
	has text "$(jq -r '.holders[-1].process' out)"
	[[ $(stat -c %a page.html) == 6?? ]] || die "page.html cannot be read"
}

what_is_said_is_escaped() {
	fresh
	run 0 --db db merchant suspend ann --reason $'<script>alert("1")</script>&\x01\xff\xe2\x80\xaeback' \
		--operator '</td><b onclick=x>'
	run 0 --db db kms create "local:k<i>'&\"#cy"
	run 0 --db db merchant add cy --cmk "local:k<i>'&\"#cy"
	run 0 --db db merchant suspend cy --reason $'<img src=x> \xe2\x80\xaeback'
	run 0 --db db report --html page.html
	page page.html
	! grep -qE '<(script|img|i>|b )' page.html || die "markup came through: $(grep -oE '<(script|img|i>|b ).*' page.html)"
	has text '<script>alert("1")</script>&\x01'
	has text "k<i>'&\"#cy"
	has text '<img src=x> \u202eback'
	! LC_ALL=C grep -q $'\xe2\x80\xae' page.html || die "the page turns text around"
	! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]' page.html || die "control characters came through"
}

# The same of bob's page, who stands beside.
a_customer_sees_nothing_of_others() {
	local who other word words
	fresh
	run 0 --db db rotate bob --now
	run 0 --db db report --json
	mv out all
	for who in ann bob; do
		other=bob && [[ $who == ann ]] || other=ann
		run 0 --db db report --merchant "$who" --html page.html --json
		page page.html
		mapfile -t words < <(jq -r --arg of "$other" '.database.platform_cmk.uri, .database.platform_deks[].id,
			(.merchants[] | select(.name == $of) | .name, .id, .cmk.uri, .classes[].deks[].id)' all)
		((${#words[@]} >= 7)) || die "nothing to look for: ${words[*]}"
		for word in "${words[@]}"; do
			! grep -qwF -- "$word" page.html out || die "$who sees $word: $(grep -owF -- "$word" page.html out)"
		done
		has text "local:$PWD/kms#$who"
		has page.html "merchant.added"
		json '.merchants | length' 1
	done
}

a_name_used_again_is_another_merchant() {
	fresh
	run 0 --db db merchant shred ann --yes
	run 0 --db db kms create local:kms#ann2
	run 0 --db db merchant add ann --cmk local:kms#ann2 --class data
	run 0 --db db merchant suspend ann --reason second
	run 0 --db db report --merchant ann --json
	json '[.merchants[] | select(.state == "shredded")][0] | [.states[].what] | join(" ") | contains("second")' false
	json '[.merchants[] | select(.state == "shredded")][0] | (.shred.status, (.holders | length > 0))' $'FINAL\ntrue'
	json '[.merchants[] | select(.state == "suspended")][0] | [.states[].what] | join(" ") | contains("second")' true
	json '[.merchants[] | select(.state == "suspended")][0] | (.shred, (.holders | length))' $'null\n2' # added, suspended
}

a_service_is_reported_on_while_it_runs() {
	fresh
	run 0 --db db report --json
	jq -c '[.database.id, (.merchants[] | .name, .id, .state, .cmk.uri, .states)]' out >closed
	: >served.out
	"$service" db bob >served.out 2>served.err &
	served=$!
	trap 'kill -KILL "$served" 2>/dev/null' EXIT
	for ((tries = 0; tries < 600; tries++)); do
		! grep -q serving served.out || break
		sleep 0.1
	done
	run 0 --db db report --html page.html --json
	page page.html
	jq -c '[.database.id, (.merchants[] | .name, .id, .state, .cmk.uri, .states)]' out | diff closed - || die "another report"
	json '.merchants[1].holders[-1] | .pid, .end' "$served"$'\nunknown'
	kill -TERM "$served"
	wait "$served" || die "the service failed: $(head -c 600 served.err)"
	grep -Eq '^rows [1-9][0-9]* errors 0$' served.out || die "the service wrote nothing: $(<served.out)"
}

it_is_refused_where_it_proves_nothing() {
	fresh
	run 2 --db db report
	has err "--html FILE"
	run 3 --db db report --html page.html --merchant cy
	run 3 --db db report --html page.html nowhere/AUDIT
	cp db/AUDIT log
	flip log 400
	run 6 --db db report --html page.html log
	[[ ! -e page.html ]] || die "a page of a log that does not hold"
	run 3 --db db report --html nowhere/page.html
}

run_checks "$@"
