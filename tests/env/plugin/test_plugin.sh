#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_plugin.sh BHCTL PLUGIN [CHECK...]: Debian's own sst_dump, ldb and db_bench on a Bulkhead database, by
# LD_PRELOAD: they show what bhctl shows, change nothing, and get no key that they should not have.
# shellcheck disable=SC2317 # checks are called by name
plugin=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/../../tools/cli.bash"

# stock CODE TOOL ARG...: the tool with the plugin has to end with that code. Output in ./out, messages in ./err.
stock() {
	local want=$1 code=0
	shift
	LD_PRELOAD=$plugin "$@" >out 2>err </dev/null || code=$?
	[[ $code == "$want" ]] || die "$* ended with $code, not $want: $(head -c 600 err) $(head -c 300 out)"
}

# look CODE COMMAND ARG...: ldb on ./db, to which nothing may happen.
look() { still "$1" ldb --fs_uri=bulkhead://db --db=db "${@:2}"; }

# nobody FAMILY: ldb finds no such family, and changes nothing. That of RocksDB 9.10 then asks the database that it has closed, and
# may crash.
nobody() {
	local before code=0
	before=$(shape db)
	{
		LD_PRELOAD=$plugin ldb --fs_uri=bulkhead://db --db=db --column_family="$1" scan >out 2>err </dev/null || code=$?
	} 2>/dev/null # what the shell says of a crash
	[[ $code == 1 || ($code == 139 && $between == " ==> ") ]] || die "a scan of $1 ended with $code"
	[[ ! -s out && $(shape db) == "$before" ]] || die "rows of $1, or another database"
}

# bench CODE CLASS DIR: db_bench in a scratch of that class.
bench() { still "$1" db_bench --fs_uri="bulkhead://db/tenants/$2" --db="$3" --benchmarks=fillseq --num=10; }

# still CODE TOOL ARG...: stock, and nothing in the database is another than before but the audit log.
still() {
	local before
	before=$(shape db)
	stock "$@"
	[[ $(shape db) == "$before" ]] || die "${*:2}: changed the database"
}

# What files there are, with times and content.
shape() {
	(cd "$1" && find . ! -name 'AUDIT*' ! -type d -printf '%p %y %l %s %T@ %i\n' | sort &&
		find . -type f ! -name 'AUDIT*' -exec sha256sum {} + | sort) | sha256sum
}

# The oldest SST of a class: what filled() compacted.
sst_of() { find "db/tenants/$1" -name '*.sst' | sort | head -n 1; }

# Two merchants with 300 rows in an SST of several pages each, and a deletion in the log.
made() {
	fresh
	local name
	for name in ann bob; do
		seq 1 300 | awk -v name="$name" '{
			printf "row%03d\t%s-%d-", $1, name, $1
			for (i = 0; i < 8; i++)
				printf "%d", rand() * 1e9
			print ""
		}' >rows
		run 0 --db db load "$name/data" rows
		run 0 --db db delete "$name/data" key1
		run 0 --db db compact "$name/data"
	done
	run 0 --db db put ann/data last "$(printf 'x%.0s' {1..50})"
	run 0 --db db delete ann/data row007
}

# The same in no time: the keys stay in one place, since the keyring has their whole path, and all is as it was when first made.
filled() {
	local site=$work/site
	if [[ ! -e $work/saved ]]; then
		mkdir "$site"
		(cd "$site" && made) || exit 1
		cp -a "$site" "$work/saved"
	fi
	rm -rf "$site"
	cp -a "$work/saved" "$site"
	mv "$site/db" db
}

# What this ldb does of its own: what it prints between a key and its value (" : ", newer ones " ==> "), and how it ends without
# the key.
ldb --db=own --create_if_missing put a b >/dev/null
between=$(ldb --db=own scan | sed 's/^a\(.*\)b$/\1/')
no_key=0
ldb --db=own get none >/dev/null 2>&1 || no_key=$?
rm -rf own

# rows CLASS: its rows by bhctl, as ldb prints them, in ./want.
rows() {
	run 0 --db db scan "$1"
	sed "s/\t/$between/" out >want
	(($(wc -l <want) > 250)) || die "only $(wc -l <want) rows in $1"
}

same() { cmp -s "$1" "$2" || die "$1 and $2 differ: $(diff "$1" "$2" | head -n 5)"; }

# What was added to the audit log since `audited` was called, in ./new; what was there is there.
audited() { cp db/AUDIT audit; }
added() {
	cmp -s -n "$(stat -c %s audit)" audit db/AUDIT || die "what the audit log had is another"
	tail -c "+$(($(stat -c %s audit) + 1))" db/AUDIT >new
}
# line FILTER WANTED: what the filter makes of ./new.
line() {
	local got
	got=$(jq -rc "select(.action) | $1" new | paste -sd ' ')
	[[ $got == "$2" ]] || die "jq '$1' is '$got', not '$2'"
}

helpers+=(stock look nobody bench still shape sst_of made filled rows same audited added line)

# ---- reading

ldb_scans_and_gets_what_bhctl_does() {
	filled
	local class
	for class in ann/data bob/data; do
		rows "$class"
		look 0 --column_family="$class" scan
		same want out
	done
	look 0 --column_family=ann/data get row100
	has out ann-100
	look 0 --column_family=ann/data get last
	has out xxxxxxxxxx
	look "$no_key" --column_family=ann/data get row007
	((no_key == 0)) || has err NotFound
	[[ $(<out) == '' || $(<out) == 'Key not found' ]] || die "a deleted row: $(<out)"
	look 0 --column_family=ann/data dump --count_only
	has out "Keys in range: 300"
	look 0 --column_family=ann/events scan
	[[ ! -s out ]] || die "rows out of nowhere: $(<out)"
	look 0 scan
	[[ ! -s out ]] || die "rows in the default column family: $(<out)"
	look 0 list_column_families
	has out "{default, ann/data, ann/events, bob/data, bob/events}"
}

a_database_that_was_not_pinned_is_refused() {
	filled
	local pin other
	pin=$("$bhctl" --db db status --json | jq -r .database.pin)
	other=$("$bhctl" --db other init --region eu --json | jq -r .pin)
	BULKHEAD_PIN=$pin look 0 --column_family=ann/data get last
	BULKHEAD_PIN=$other look 1 --column_family=ann/data get last
	grep -q 'does not fit the pin' out err || die "no reason: $(<err) $(<out)"
	BULKHEAD_PIN='' look 1 --column_family=ann/data get last
	BULKHEAD_PIN=$other bench 1 ann/data "$PWD/scratch"
	[[ ! -e scratch ]] || die "a scratch was made"
}

ldb_finds_the_database_by_any_path() {
	filled
	rows ann/data
	ln -s db link
	local uri db
	for uri in db ./db/ "$PWD/db" "$PWD/../${PWD##*/}/db" link; do
		for db in db db/ "$PWD//db" link; do
			still 0 ldb --fs_uri="bulkhead://$uri" --db="$db" --column_family=ann/data scan
			same want out
		done
	done
	(cd db && LD_PRELOAD=$plugin ldb --fs_uri=bulkhead://. --db=. --column_family=ann/data scan) >out || die "from within"
	same want out
}

ldb_shows_manifest_and_log() {
	filled
	look 0 manifest_dump
	has out 'Column family "ann/data"'
	has out "'row001' seq:"
	look 0 manifest_dump --verbose --path="$(echo db/MANIFEST-*)"
	has out "AddFile: "
	look 0 dump_wal --walfile="$(find db -name '*.log' | sort | tail -n 1)" --header --print_value
	has out "DELETE(1) : 0x$(printf row007 | od -An -tx1 | tr -d ' \n' | tr a-f A-F)"
}

ldb_checks_consistency_and_lists_live_files() {
	filled
	look 0 checkconsistency
	has out OK
	look 0 list_live_files_metadata
	local class
	for class in ann/data bob/data; do
		has out "===== Column Family: $class ====="
		has out "$(basename "$(sst_of "$class")")"
	done
	look 0 list_live_files_metadata --sort_by_filename
	look 0 file_checksum_dump
	has out "Print SST file checksum information finished"
}

consistency_is_really_checked() {
	filled
	mv "$(sst_of bob/data)" away.sst
	look 1 checkconsistency
	has err "Corruption"
}

sst_dump_scans_and_verifies() {
	filled
	local sst path
	sst=$(sst_of ann/data)
	for path in "$sst" "db/${sst##*/}" "$PWD/$sst"; do
		still 0 sst_dump --fs_uri=bulkhead://db --file="$path" --command=scan
		grep -c "^'row" out | grep -qx 300 || die "$path: $(grep -c "^'row" out) rows"
		has out "=> ann-300"
		still 0 sst_dump --fs_uri=bulkhead://db --file="$path" --command=verify
		has out "The file is ok"
	done
	still 0 sst_dump --fs_uri=bulkhead://db --file="$sst" --show_properties --command=none
	has out "# entries: 300"
	still 0 sst_dump --fs_uri=bulkhead://db --file=db --command=identify
	has out "db/${sst##*/}"
	has out "db/$(basename "$(sst_of bob/data)")"
}

a_raw_dump_goes_beside_not_into_the_database() {
	filled
	local sst dump
	sst=$(sst_of ann/data)
	dump=$(basename "$sst" .sst)_dump.txt
	still 0 sst_dump --fs_uri=bulkhead://db --file="$sst" --command=raw
	has err "it goes to $PWD/$dump"
	has "$dump" "ASCII  r o w 0 0 1 : a n n - 1"
	[[ $(stat -c %a "$dump") == 600 ]] || die "the dump is for everybody"
	still 0 sst_dump --fs_uri=bulkhead://db --file="$sst" --command=raw
	local before code=0
	before=$(shape db)
	(cd db && LD_PRELOAD=$plugin sst_dump --fs_uri=bulkhead://. --file="${sst##*/}" --command=raw) >out 2>err || code=$?
	[[ $code == 1 ]] || die "a dump into the database ended with $code"
	[[ $(shape db) == "$before" ]] || die "a dump into the database changed it"
}

# ---- writing

writes_are_refused() {
	filled
	local cf=--column_family=ann/data sst
	sst=$(sst_of ann/data)
	look 1 "$cf" put row001 changed
	has err "bulkhead[unsupported]"
	has err "shows the database and changes nothing"
	look 1 "$cf" delete row001
	look 1 "$cf" deleterange row001 row009
	look 1 "$cf" batchput a b
	look 1 "$cf" compact
	look 1 "$cf" ingest_extern_sst "$sst"
	look 1 "$cf" write_extern_sst out.sst
	look 1 checkpoint --checkpoint_dir=copy
	look 1 backup --backup_dir=copy
	look 1 unsafe_remove_sst_file "$((10#$(basename "$sst" .sst)))"
	look 1 reduce_levels --new_levels=3
	look 1 repair
	has err "bulkhead[unsupported]"
	still 1 db_bench --fs_uri=bulkhead://db --db=db --benchmarks=fillseq --num=10
	has err "bulkhead[unsupported]"
	[[ ! -e out.sst ]] || die "an SST was written"
	! grep -rqa ann-100 copy 2>/dev/null || die "there is a copy in the clear"
	rows ann/data
	look 0 "$cf" scan
	same want out
}

# ---- keys

a_wrong_passphrase_opens_nothing() {
	export BULKHEAD_KMS_PASSPHRASE="correct horse"
	made
	rows ann/data
	look 0 --column_family=ann/data scan
	same want out
	BULKHEAD_KMS_PASSPHRASE=wrong look 1 --column_family=ann/data scan
	has err "bulkhead[kms-refused]"
	! grep -qF ann- out err || die "rows all the same"
	BULKHEAD_KMS_PASSPHRASE=wrong still 1 sst_dump --fs_uri=bulkhead://db --file="$(sst_of ann/data)" --command=scan
	BULKHEAD_KMS_PASSPHRASE=wrong bench 1 ann/data bench
	has err "bulkhead[kms-refused]"
	[[ ! -e bench ]] || die "a scratch was made"
}

a_database_in_use_is_refused() {
	filled
	exec 9<db
	flock -n 9 || die "cannot be locked"
	look 1 --column_family=ann/data scan
	has err "bulkhead[busy]"
	has err "the database is open already"
	exec 9<&-
	look 0 --column_family=ann/data scan
}

a_merchant_whose_kms_says_no_is_left_out() {
	filled
	local sst
	sst=$(sst_of bob/data)
	rows ann/data
	run 0 kms disable "local:$work/site/kms#bob"
	look 0 --column_family=ann/data scan
	same want out
	has err "left out: merchant 'bob'"
	look 0 list_column_families
	has out "{default, ann/data, ann/events}"
	nobody bob/data
	look 0 checkconsistency
	still 1 sst_dump --fs_uri=bulkhead://db --file="$sst" --command=scan
	has err "bulkhead[kms-refused]: $PWD/$sst: merchant 'bob'"
	bench 1 bob/data bench
	has err "bulkhead[kms-refused]"
	run 0 kms enable "local:$work/site/kms#bob"
	rows bob/data
	look 0 --column_family=bob/data scan
	same want out
}

a_suspended_merchant_is_refused() {
	filled
	rows bob/data
	mv want bobs
	run 0 --db db merchant suspend bob
	local sst
	sst=$(find db/parked/bob -name '*.sst' | head -n 1)
	rows ann/data
	look 0 --column_family=ann/data scan
	same want out
	has err "left out: merchant 'bob': is suspended (operator)"
	look 0 list_column_families
	has out "{default, ann/data, ann/events}"
	look 0 checkconsistency
	nobody bob/data
	still 1 ldb --fs_uri=bulkhead://db --db=db/parked/bob --column_family=bob/data scan
	! grep -qF bob- out || die "its rows"
	still 1 sst_dump --fs_uri=bulkhead://db --file="$sst" --command=scan
	has err "bulkhead[suspended]: $PWD/$sst: merchant 'bob': is suspended"
	bench 1 bob/data bench
	has err "bulkhead[suspended]"
	[[ ! -e bench ]] || die "a scratch was made"
	# Its CMK is not asked: a disabled one would be another reason.
	run 0 kms disable "local:$work/site/kms#bob"
	bench 1 bob/data bench
	has err "bulkhead[suspended]"
	run 0 kms enable "local:$work/site/kms#bob"
	run 0 --db db merchant resume bob
	look 0 --column_family=bob/data scan
	same bobs out
}

a_shredded_merchant_is_gone() {
	filled
	run 0 --db db adopt # it was copied here
	run 0 --db db merchant shred bob --yes
	look 0 list_column_families
	has out "{default, ann/data, ann/events}"
	rows ann/data
	look 0 --column_family=ann/data scan
	same want out
	bench 1 bob/data bench
	has err "bulkhead[shredded]"
}

every_use_is_in_the_audit_log() {
	filled
	audited
	look 0 checkconsistency
	added
	line 'select(.action == "plugin.opened").detail' "inspection of ldb"
	line 'select(.action == "keys.granted").merchant' "ann bob"
	line 'select(.action == "keyring.closed").outcome' ok
	audited
	bench 0 bob/data bench
	added
	line 'select(.action == "plugin.opened") | .detail, .merchant, .class' "scratch of db_bench bob data"
	line 'select(.action == "keys.granted").merchant' bob
	line 'select(.action == "keyring.closed").outcome' ok
	run 0 kms disable "local:$work/site/kms#bob"
	audited
	bench 1 bob/data bench
	added
	line 'select(.action == "keys.denied") | .merchant, .outcome' "bob kms-refused"
	line 'select(.action == "plugin.opened").detail' ""
	run 0 --db db verify
}

# ---- damage

a_damaged_file_is_refused() {
	filled
	local sst
	sst=$(sst_of ann/data)
	flip "$sst" 4200
	still 1 sst_dump --fs_uri=bulkhead://db --file="$sst" --command=verify
	has err "bulkhead[tag-mismatch]: $PWD/$sst: page 0 of"
	! grep -qF "The file is ok" out || die "it says that the file is ok"
	look 1 --column_family=ann/data scan
	has err "bulkhead[tag-mismatch]"
	rows bob/data
	look 0 --column_family=bob/data scan
	same want out
}

a_file_put_in_anothers_place_is_refused() {
	filled
	local ann bob
	ann=$(sst_of ann/data) bob=$(sst_of bob/data)
	cp "$bob" "$ann"
	still 1 sst_dump --fs_uri=bulkhead://db --file="$ann" --command=scan
	has err "it was put here from elsewhere"
	look 1 --column_family=ann/data scan
	! grep -qF bob- out || die "the other's rows"
}

two_files_of_one_number_are_refused() {
	filled
	local ann
	ann=$(sst_of ann/data)
	cp "$ann" db/tenants/bob/data/
	still 1 sst_dump --fs_uri=bulkhead://db --file="db/${ann##*/}" --command=scan
	has err "two files of one number"
}

# ---- the URI

uris_are_checked() {
	filled
	local uri
	for uri in "" nowhere db/CURRENT db/tenants/ann db/tenants/ann/data/x/y; do
		still 1 ldb --fs_uri="bulkhead://$uri" --db=db scan
		has err "bulkhead["
	done
	bench 1 ann/none bench
	has err "bulkhead[no-such-class]"
	bench 1 cleo/data bench
	has err "bulkhead[no-such-merchant]"
	ldb --db=plain --create_if_missing put a b >/dev/null
	stock 1 ldb --fs_uri=bulkhead://plain --db=plain scan
	has err "no Bulkhead database"
	stock 0 ldb --db=plain scan
	has out "a${between}b"
}

# ---- a scratch database in a class

db_bench_runs_inside_of_a_class() {
	filled
	local args=(--fs_uri=bulkhead://db/tenants/ann/data --db=bench --num=2000 --num_column_families=2 --value_size=100)
	still 0 db_bench "${args[@]}" --benchmarks=fillrandom,readrandom,compact,readseq,seekrandom
	local name file
	for name in fillrandom readrandom readseq seekrandom; do
		has out "$name "
	done
	while read -r file; do
		[[ $(head -c 8 "$file") == BULKHEAD ]] || die "$file is not sealed"
	done < <(find bench -type f ! -name 'LOG*' ! -name LOCK)
	[[ -n $(find bench -name '*.sst') ]] || die "no SST was made"
	still 0 db_bench "${args[@]}" --use_existing_db --benchmarks=readseq
	grep -q "^readseq .* [1-9][0-9]* operations" out || die "nothing was read: $(<out)"
	# Neither another class nor a tool without the plugin reads it.
	still 1 db_bench "${args[@]/ann/bob}" --use_existing_db --benchmarks=readseq
	has err "bulkhead[no-key]"
	! ldb --db=bench scan >out 2>err || die "it opens without keys"
	# It goes with the merchant.
	run 0 --db db adopt # it was copied here
	run 0 --db db merchant shred ann --yes
	still 1 db_bench "${args[@]}" --use_existing_db --benchmarks=readseq
	has err "bulkhead[shredded]"
}

# What a scratch cannot do is refused by the name of the option.
db_bench_is_told_what_does_not_work() {
	filled
	local option args=(--fs_uri=bulkhead://db/tenants/ann/data --db=bench --num=200 "--benchmarks=fillseq,flush,readrandom")
	for option in mmap_read mmap_write; do
		stock 1 db_bench "${args[@]}" "--$option"
		has err "(allow_${option}s)"
	done
	rm -rf bench
	stock 1 db_bench "${args[@]}" --use_blob_db
	has err "use enable_blob_files"
}

a_scratch_stays_out_of_databases() {
	filled
	ln -s db/tenants/ann link
	mkdir other && (cd other && fresh) || exit 1
	local dir
	for dir in db db/ db/tenants/ann/data db/new link/data other/db; do
		bench 1 ann/data "$dir"
		has err "lies in a Bulkhead database"
	done
	run 0 --db other/db get ann/data key1
	has out "value of ann"
	still 1 ldb --fs_uri=bulkhead://db/tenants/ann/data --db=db --column_family=ann/data scan
}

run_checks "$1" "${@:3}"
