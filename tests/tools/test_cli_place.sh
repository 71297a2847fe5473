#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_place.sh BHCTL [CHECK...]: a database, or its KMS, where it was not before: moved, copied, not writable, somebody else's,
# under names that are no text.
# shellcheck disable=SC2317 # checks are called by name
. "$(dirname "$(readlink -f "$0")")/cli.bash"

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

helpers+=(as_nobody)

# ---- a KMS that moved

a_kms_that_moved_is_found_again() {
	mkdir old && cd old || exit 1
	fresh
	cd .. && mv old new
	unchanged new/db 8 --db new/db get ann/data key1
	has err "kms relocate"
	run 8 --db new/db kms relocate "local:$PWD/nowhere" "local:$PWD/new/db-kms" # no CMK of this database is there
	run 0 --db new/db kms relocate "local:$PWD/old/db-kms" "local:$PWD/new/db-kms"
	has out platform
	run 3 --db new/db kms relocate "local:$PWD/nowhere" "local:$PWD/new/kms"
	run 8 --db new/db get ann/data key1
	run 0 --db new/db kms relocate "local:$PWD/old/kms" "local:$PWD/new/kms" --json
	json '[.cmks[].merchant]|sort|join(" ")' "ann bob"
	run 0 --db new/db get ann/data key1
	run 0 --db new/db get bob/data key1
	run 0 --db new/db verify
	run 0 --db new/db audit verify
	run 0 --db new/db audit show --merchant ann --json
	json '[.entries[] | select(.action == "merchant.moved").cmk] | index("local:'"$PWD"'/new/kms#ann") != null' true
	run 0 --db new/db rotate ann --now
}

other_keys_of_the_same_name_are_refused() {
	mkdir old && cd old || exit 1
	fresh
	cd .. && mv old new
	run 0 kms create local:other#platform --region eu
	run 0 kms create local:strangers#ann --region eu
	cp new/kms/bob.key.json new/kms/root.key strangers 2>/dev/null
	unchanged new/db 6 --db new/db kms relocate "local:$PWD/old/db-kms" "local:$PWD/other"
	run 0 --db new/db kms relocate "local:$PWD/old/db-kms" "local:$PWD/new/db-kms"
	run 0 kms create local:mixed#ann --region eu
	run 0 kms create local:mixed#bob --region eu
	unchanged new/db 6 --db new/db kms relocate "local:$PWD/old/kms" "local:$PWD/mixed" --json
	run 0 --db new/db kms relocate "local:$PWD/old/kms" "local:$PWD/new/kms"
	run 0 --db new/db get ann/data key1
}

# One key is there, one is disabled: the one is moved, the other can be later.
who_cannot_be_proved_stays() {
	mkdir old && cd old || exit 1
	fresh
	run 0 kms disable local:kms#bob
	cd .. && mv old new
	run 0 --db new/db kms relocate "local:$PWD/old/db-kms" "local:$PWD/new/db-kms"
	run 7 --db new/db kms relocate "local:$PWD/old/kms" "local:$PWD/new/kms"
	has out "merchant ann: moved"
	has out "merchant bob: stays"
	run 0 --db new/db get ann/data key1
	run 0 kms enable local:new/kms#bob
	run 0 --db new/db kms relocate "local:$PWD/old/kms" "local:$PWD/new/kms"
	run 0 --db new/db get bob/data key1
}

# ---- where nothing can be written

what_cannot_be_written_can_be_looked_at() {
	fresh
	if [[ $(id -u) == 0 ]]; then
		chmod 711 "$work" . && chmod -R a+rX db && chown -R 1:1 db && run_as=(as_nobody)
		chown -R 65534:65534 db-kms kms
	else
		chmod -R a-w db && run_as=()
	fi
	local before command
	before=$(tree_hash db)
	for command in status verify "audit verify" "get ann/data key1" "scan ann/data" "status --live"; do
		# shellcheck disable=SC2086 # words
		"${run_as[@]}" "$bhctl" --db db --audit-optional $command >out 2>err || die "$command: $(<err)"
	done
	"${run_as[@]}" "$bhctl" --db db --audit-optional get ann/data key1 >out 2>err
	has out "value of ann"
	"${run_as[@]}" "$bhctl" --db db get ann/data key1 >out 2>err && die "it left no line in the log"
	has err AUDIT
	"${run_as[@]}" "$bhctl" --db db --audit-optional put ann/data k v >out 2>err && die "it was written"
	[[ $(tree_hash db) == "$before" ]] || die "db was changed"
	chmod -R u+w db
}

# ---- root on somebody else's database

roots_commands_leave_the_owners_files() {
	if [[ $(id -u) != 0 ]]; then
		echo "    (wants root)"
		return
	fi
	# A process that has acted as somebody else cannot be looked through for leaks.
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
	chmod 755 "$work" .
	mkdir home && chown 65534:65534 home && cd home || exit 1
	as_nobody "$bhctl" --db db init --region eu >/dev/null || die "init"
	local name
	for name in ann bob cat; do
		as_nobody "$bhctl" kms create "local:kms#$name" --region eu >/dev/null || die "create"
		as_nobody "$bhctl" --db db merchant add "$name" --cmk "local:kms#$name" --class data >/dev/null || die "add"
		as_nobody "$bhctl" --db db put "$name/data" key1 "value of $name" || die "put"
	done
	install -m 600 /dev/null ../mine.tsv
	chmod 700 ..
	printf 'key2\tmore\n' >../mine.tsv
	chmod 711 ..
	run 0 --db db load bob/data ../mine.tsv
	run 0 --db db put ann/data key2 more
	run 0 --db db rotate ann --now
	run 0 --db db merchant suspend ann
	run 0 --db db merchant resume ann
	run 0 --db db merchant suspend ann
	run 0 --db db rewrap --platform
	"$bhctl" --db db erase bob/data --prefix key2 >out 2>err # ann's parked logs may hold them
	run 0 --db db compact bob/data
	run 0 --db db status --live --prometheus ../metrics.prom
	run 0 kms rotate local:kms#bob
	run 0 --db db kms create local:kms#dora
	run 0 --db db merchant add dora --cmk local:kms#dora --class data
	run 0 --db db merchant shred cat --yes --certificate ../cat.json
	[[ -z $(find . -uid 0 ! -name out ! -name err) ]] || die "root's: $(find . -uid 0 ! -name out ! -name err | head -5)"
	[[ -O ../cat.json && -O ../metrics.prom ]] || die "what root asked for is not root's"
	run 0 --db db audit show
	has out uid:root
	as_nobody "$bhctl" --db db merchant resume ann >/dev/null 2>err || die "$(<err)"
	for name in ann bob; do
		as_nobody "$bhctl" --db db get "$name/data" key1 >out 2>err || die "$(<err)"
		has out "value of $name"
	done
	as_nobody "$bhctl" --db db put dora/data key1 value || die "dora"
	as_nobody "$bhctl" --db db verify >out 2>err || die "$(<err)"
}

# ---- names that are no text

paths_that_are_no_text_are_told() {
	local odd=$'d\xe9j\xe0 vu'
	mkdir "$odd" && cd "$odd" || exit 1
	run 0 --db db init --region eu --json
	json '.database' db
	json '.platform_cmk_hex|length > 0' true
	run 0 --db "../$odd/db" kms create "local:../$odd/kms#ann" --json
	json '.uri_hex|length > 0' true
	run 0 --db "../$odd/db" merchant add ann --cmk "local:../$odd/kms#ann" --class data --json
	json '.cmk_hex|length > 0' true
	run 0 --db "../$odd/db" put ann/data k v --json
	run 0 --db "../$odd/db" status --json
	json '.database.path_hex' "$(printf '../%s/db' "$odd" | od -An -tx1 -v | tr -d ' \n')"
	json '.merchants[0].cmk.uri_hex|length > 0' true
	run 0 --db "../$odd/db" status
	run 0 --db "../$odd/db" verify --json
	json '.database_hex|length > 0' true
	run 0 --db "../$odd/db" audit verify --json
	json '.file_hex|length > 0' true
	run 0 --db "../$odd/db" audit show --json
	json '.file_hex|length > 0' true
	run 0 --db "../$odd/db" dump "../$odd/db/KEYRING" --json
	json '.file_hex|length > 0' true
	run 0 --db "../$odd/db" merchant suspend ann --json
	run 0 --db "../$odd/db" status --json
	json '.merchants[0].state' suspended
	run 0 --db "../$odd/db" merchant resume ann --json
	flip db/tenants/ann/data/*.sst 5000
	run 6 --db "../$odd/db" verify --json
	json '[.checks[].failures[]?|has("file") or has("file_hex")]|all' true
	run 6 --db "../$odd/db" verify
	run 3 --db "../$odd/none" get ann/data k --json
	json '.error.message|length > 0' true
}

run_checks "$@"
