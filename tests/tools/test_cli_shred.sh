#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_shred.sh BHCTL [CHECK...]: the end of a merchant on the command line: its certificate, put, printed, checked offline,
# forged; PENDING, then asked for again.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

the_certificate_is_put_printed_and_holds_offline() {
	fresh
	run 0 --db db merchant shred ann --yes --certificate ann.json --json
	json .state shredded
	json .certificate.status FINAL
	run 0 --db db merchant certificate ann
	cmp out ann.json || die "printed is another one than was put"
	run 0 --db db merchant certificate ann --json
	json .merchant.name ann
	run 0 --db db merchant certificate ann --out again.json
	cmp again.json ann.json || die "put is another one than was printed"
	local key
	key=$(public_key)
	[[ $key =~ ^[0-9a-f]{64}$ ]] || die "status shows no public key: $key"
	mv db gone
	rm -r kms db-kms
	run 0 certificate verify ann.json
	has out "FINAL: the signature holds"
	has out "$key"
	has out "compare"
	run 0 certificate verify ann.json --public-key "$key"
	has out "FINAL: the signature holds"
	echo "$key" >key.txt
	run 0 certificate verify ann.json --public-key key.txt --json
	json .status FINAL
	json .public_key_compared true
	json .certificate.merchant.name ann
	"$bhctl" certificate verify - <ann.json >out || die "not from standard input"
}

# A copy has the same CMKs as the database that lives on.
a_copy_leaves_the_cmk_alone() {
	fresh
	run 0 --db db get bob/data key1
	cp out first
	cp -a db copy
	run 0 --db copy status
	has out "bhctl adopt"
	run 7 --db copy merchant shred bob --yes
	has err "left alone"
	has err "bhctl adopt"
	run 5 --db copy get bob/data key1
	run 0 --db copy merchant certificate bob --json
	json .status PENDING
	run 0 kms list "local:kms" --json
	json '.keys[] | select(.name == "bob").state' enabled
	# Where it comes from nothing has changed.
	run 0 --db db get bob/data key1
	cmp out first || die "the copied one has lost a row: $(<out)"
	run 7 --db copy merchant shred bob --finalize
	# A kill before the new HOME is there is none of it; afterwards it is the one.
	{ BH_CRASH_AT=home.tmp-synced "$bhctl" --db copy adopt; } >/dev/null 2>&1
	run 7 --db copy merchant shred bob --finalize
	[[ ! -e copy/HOME.tmp ]] || die "an open leaves what a kill has left"
	run 0 --db copy adopt
	run 0 --db copy status
	! grep -q adopt out || die "status still asks for it: $(<out)"
	run 0 --db copy verify
	run 0 --db copy merchant shred bob --finalize
	run 0 kms list "local:kms" --json
	json '.keys[] | select(.name == "bob").state' destroyed
	# Renamed is not copied.
	mv db renamed
	run 0 --db renamed merchant shred ann --yes
	run 0 kms list "local:kms" --json
	json '.keys[] | select(.name == "ann").state' destroyed
	# Without HOME nobody knows.
	mv renamed db
	rm db/HOME
	run 0 --db db status --json
	json .database.home false
}

a_forged_certificate_ends_with_6() {
	fresh
	run 0 --db db merchant shred ann --yes --certificate ann.json
	local edit key
	key=$(public_key)
	for edit in '.status = "PENDING"' '.merchant.name = "bob"' '.scope.deks |= .[1:]' '.times.unreadable |= "1" + .[1:]' \
		'.cmk.version += 1' 'del(.not_covered)' \
		'.signature |= (if .[:1] == "0" then "1" else "0" end) + .[1:]' '. + {more: 1}'; do
		jq "$edit" ann.json >forged.json
		run 6 certificate verify forged.json --json
		error 6 tag-mismatch
		run 6 certificate verify forged.json --public-key "$key"
	done
	jq '.signature |= .[:126]' ann.json >forged.json
	run 6 certificate verify forged.json
	jq -c . ann.json >other.json
	run 0 certificate verify other.json --public-key "$key"
	run 6 certificate verify ann.json --public-key "${key//[0-7]/8}"
	has err "$key"
	run 2 certificate verify ann.json --public-key ann.json
	run 3 certificate verify ann.json --public-key 00
	run 3 certificate verify nothing.json
	run 6 certificate verify db/CURRENT
	run 2 certificate verify
}

a_database_with_certificates_verifies() {
	fresh
	run 0 --db db merchant shred ann --yes
	run 0 --db db verify --json
	json '.checks[] | select(.name == "certificates").files' 1
	local file
	file=$(echo db/certificates/ann-*.json)
	sed -i 's/FINAL/final/' "$file"
	unchanged db 6 --db db verify
	has out "FAIL certificates"
	has out "${file#db/}"
	rm "$file"
	run 0 --db db verify
	run 0 --db db merchant certificate ann --out anew.json
	run 0 certificate verify anew.json --public-key "$(public_key)"
}

certificates_of_nobody_are_not_found() {
	fresh
	run 3 --db db merchant certificate nobody
	run 2 --db db merchant certificate ann
	run 3 --db db merchant shred nobody --finalize
	run 2 --db db merchant shred ann --finalize
	run 0 --db db get ann/data key1
	# Where it cannot be put, nothing has happened yet.
	unchanged db 3 --db db merchant shred ann --yes --certificate nowhere/ann.json
	run 0 --db db get ann/data key1
}

a_deletion_window_leaves_it_pending() {
	fresh
	run 0 --db db kms create local:kms#cat --deletion-window-days 7
	run 0 --db db merchant add cat --cmk local:kms#cat
	run 0 --db db put cat/data key1 value
	run 0 --db db merchant shred cat --yes --certificate cat.json
	has out "PENDING"
	has out "--finalize"
	run 0 certificate verify cat.json --json
	json .status PENDING
	json .certificate.cmk.state pending-deletion
	json '.certificate.cmk.scheduled_for | length' 24
	json '.certificate.proof[0].result' kms-refused
	run 5 --db db get cat/data key1
	run 0 --db db status cat
	has out "--finalize"
	run 1 --db db merchant shred cat --finalize --certificate later.json --json
	error 1 busy
	run 0 certificate verify later.json --public-key "$(public_key)"
	has out "PENDING: the signature holds"
	# Nobody else gets a key that is going to be destroyed.
	run 0 --db db kms enable local:kms#cat
	run 2 --db db merchant add dan --cmk local:kms#cat
	run 1 --db db merchant shred cat --finalize
	run 0 kms list local:kms --json
	json '.keys[] | select(.name == "cat").state' pending-deletion
	run 0 --db db verify
}

run_checks "$@"
