#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job on real input: Debian's package index as the data of six merchants, in one database. Loads it, reads all of it
# back, searches the disk for it, suspends one merchant and resumes it, gives one new keys, shows what an operator sees, shreds
# another, and proves what is refused, what is gone and what is not. Each numbered line is something that was checked; the first
# that does not hold ends the demo with exit code 1. Everything happens in ./demo, made anew each time.
#
# usage: tools/demo.sh        BHCTL: the program; the default is the release build's
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
export LC_ALL=C

bhctl=${BHCTL:-build/release/tools/bhctl/bhctl}
sweep=${bhctl%/tools/bhctl/bhctl}/bench/bh_sweep
place=demo
marker=$place/.made-by-bulkhead-demo
db=$place/db
kms=$place/kms
input=$place/input
sections=(python libs doc perl net games)
late=net
rotated=perl
victim=games
proven=0
began=$EPOCHREALTIME

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

part() { printf '\n== %s\n' "$*"; }

# since TIME: seconds from then to now.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'; }

proved() {
	proven=$((proven + 1))
	printf '%2d. [%5s s] %s\n' "$proven" "$(since "$began")" "$*"
}

# Prints a command and what it says, the first lines of it. The command may fail; it is the output that is shown.
show() {
	local lines=$1
	shift
	printf '$ bhctl %s\n' "$*"
	"$bhctl" "$@" 2>&1 | cut -c1-132 | sed -n "1,${lines}{s/^/    /;p}" || true
}

# expect_exit CODE COMMAND...: bhctl has to end with this code.
expect_exit() {
	local want=$1 code=0
	shift
	"$bhctl" "$@" >"$place/out" 2>"$place/err" || code=$?
	[[ $code == "$want" ]] || fail "bhctl $* ended with $code, not $want: $(head -c 400 "$place/err")"
}

sha() { sha256sum | cut -d' ' -f1; }

# ---- input

prepare_place() {
	if [[ -e $place && ! -e $marker ]]; then
		fail "./$place was not made by this demo: move it away"
	fi
	rm -rf "$place"
	mkdir "$place" "$input"
	: >"$marker"
}

# A record a package: `index` has what a list shows, `records` the whole of it, escaped as `bhctl load` reads it.
split_sections() {
	awk -v out="$input" -v wanted="${sections[*]}" '
		BEGIN { RS = ""; FS = "\n"; n = split(wanted, names, " "); for (i = 1; i <= n; i++) known[names[i]] = 1 }
		{
			delete field
			for (i = 1; i <= NF; i++)
				if (match($i, /^[A-Za-z0-9-]+: /))
					field[substr($i, 1, RLENGTH - 2)] = substr($i, RLENGTH + 1)
			name = field["Package"]; section = field["Section"]
			if (!(section in known) || (name, section) in seen)
				next
			seen[name, section] = 1
			short = field["Description"]
			line = name "\t" field["Version"] " " field["Size"] " " short
			gsub(/\\/, "\\\\", line)
			print line > (out "/" section ".index")
			record = $0
			gsub(/\\/, "\\\\", record); gsub(/\t/, "\\t", record); gsub(/\n/, "\\n", record)
			print name "\t" record > (out "/" section ".records")
			if (length(name) >= 8)
				print name > (out "/" section ".strings")
			if (length(short) >= 20)
				print short > (out "/" section ".strings")
		}' "$place/available"
}

make_input() {
	local section class
	apt-cache dumpavail >"$place/available"
	if [[ ! -s $place/available && $EUID == 0 ]]; then
		echo "the package index is empty: apt-get update"
		apt-get -q update >/dev/null </dev/null || fail "apt-get update failed"
		apt-cache dumpavail >"$place/available"
	fi
	[[ -s $place/available ]] || fail "apt-cache dumpavail says nothing: run apt-get update"
	split_sections
	for section in "${sections[@]}"; do
		for class in index records; do
			[[ -s $input/$section.$class ]] || fail "no packages in section $section"
			sort -t $'\t' -k1,1 -o "$input/$section.$class" "$input/$section.$class"
		done
	done
	rm "$place/available"
}

# ---- steps

make_database() {
	local section
	"$bhctl" --db "$db" init --region eu-west
	for section in "${sections[@]}"; do
		"$bhctl" --db "$db" kms create "local:$kms#$section" >/dev/null
		"$bhctl" --db "$db" merchant add "$section" --cmk "local:$kms#$section" --class index --class records
	done
}

load_all() {
	local section
	for section in "${sections[@]}"; do
		"$bhctl" --db "$db" load "$section/records" "$input/$section.records" --blob-min-size 2048
		"$bhctl" --db "$db" load "$section/index" "$input/$section.index"
	done
}

# compare MERCHANT...: every row of both classes against the input, by its hash.
compare() {
	local section class rows=0 want got
	for section; do
		for class in index records; do
			want=$(sha <"$input/$section.$class")
			got=$("$bhctl" --db "$db" scan "$section/$class" | sha)
			[[ $want == "$got" ]] || fail "$section/$class: what was read is not what was loaded"
			rows=$((rows + $(wc -l <"$input/$section.$class")))
		done
	done
	echo "$rows"
}

# rows_of MERCHANT: a hash of all it has.
rows_of() {
	{
		"$bhctl" --db "$db" scan "$1/index"
		"$bhctl" --db "$db" scan "$1/records"
	} | sha
}

# The strings to search for: package names and descriptions, but for those that RocksDB says by itself, as an empty database shows.
make_canaries() {
	local empty=$place/empty own=$place/own
	"$bhctl" --db "$empty" init --region eu-west >/dev/null
	"$bhctl" --db "$empty" kms create "local:$kms#empty" --region eu-west >/dev/null
	"$bhctl" --db "$empty" merchant add empty --cmk "local:$kms#empty" >/dev/null
	sort -u "$input"/*.strings >"$place/all"
	find "$empty" -type f -name 'LOG*' -exec cat {} + >"$own"
	grep -aoFf "$place/all" "$own" | sort -u >"$place/said" || true
	comm -23 "$place/all" "$place/said" >"$place/canaries"
	rm -rf "$empty" "$empty-kms" "$own" "$place/all"
}

# search DIR: fails if any file below it, whatever it is, has any of the canaries.
search() {
	local hits
	hits=$(grep -rlaFf "$place/canaries" "$1" || true)
	[[ -z $hits ]] || fail "found in: $hits"
}

newest() { find "$1" -name "$2" -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }
biggest() { find "$1" -name "$2" -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }

# ---- the story

[[ -x $bhctl ]] || fail "$bhctl is not built: run tools/dev demo"

part "input: Debian's package index, by section"
prepare_place
make_input
wc -lc "$input"/*.records | awk '{ printf "    %7d packages %9d bytes  %s\n", $1, $2, $3 }'

part "a database of six merchants, each under a key of its own"
make_database
load_began=$EPOCHREALTIME
load_all
proved "loaded $(cat "$input"/*.index "$input"/*.records | wc -l) records in ${#sections[@]} x 2 classes, $(since "$load_began") s"

make_canaries
count=$(wc -l <"$place/canaries")
((count > 10000)) || fail "only $count strings to search for"
found=$(grep -aoFf "$place/canaries" "$input"/*.records | wc -l) || true
((found > 0)) || fail "the search does not even find them in the input"
search "$db"
proved "0 hits on disk for $count package names and descriptions, which hit $found times in the input;" \
	"$(wc -l <"$input/$victim.index") rows are still in the WAL"

rows=$(compare "${sections[@]}")
proved "all $rows rows read back by scan, equal to the input by SHA-256"
package=$(head -n 1 "$input/$victim.index" | cut -f1)
"$bhctl" --db "$db" get "$victim/index" "$package" >"$place/value"
[[ $(<"$place/value") == "$(head -n 1 "$input/$victim.index" | cut -f2)" ]] || fail "get of $package is another value"
proved "one row by get: '$package' is '$(cut -c1-60 "$place/value")'"

part "suspension of one merchant"
before=$(rows_of "$late")
suspend_began=$EPOCHREALTIME
show 1 --db "$db" merchant suspend "$late" --reason unpaid --operator "${USER:-demo}"
[[ -d $db/parked/$late && ! -e $db/tenants/$late ]] || fail "'$late' is still in the live database"
proved "'$late' is suspended in $(since "$suspend_began") s: its files have left the live database for $db/parked/$late"
expect_exit 4 --db "$db" get "$late/index" "$(head -n 1 "$input/$late.index" | cut -f1)"
show 1 --db "$db" scan "$late/records"
expect_exit 4 --db "$db" scan "$late/records"
expect_exit 4 --db "$db" put "$late/index" key value
proved "its get, scan and put end with exit code 4, however often the database is opened again"
expect_exit 0 --db "$db" put python/index "while $late is suspended" "python writes"
expect_exit 0 --db "$db" get python/index "while $late is suspended"
[[ $(<"$place/out") == "python writes" ]] || fail "python reads another value"
expect_exit 0 --db "$db" delete python/index "while $late is suspended"
rows=$(compare python)
proved "the others go on: python writes and reads, and has its $rows rows"
"$bhctl" --db "$db" merchant show "$late" | sed 's/^/    /' | head -n 2 | cut -c1-132
"$bhctl" --db "$db" verify >"$place/out" || fail "verify: $(<"$place/out")"
grep -q 'sealed, not opened: [1-9]' "$place/out" || fail "verify does not say what it did not open"
grep 'sealed, not opened' "$place/out" | sed 's/^/    /'
proved "verify is clean, and leaves its tables sealed"
show 1 --db "$db" merchant resume "$late"
[[ $(rows_of "$late") == "$before" ]] || fail "'$late' has other rows than before"
proved "resumed: its $(wc -l <"$input/$late.index") + $(wc -l <"$input/$late.records") rows are what they were, by SHA-256"

part "new keys for one merchant"
old_table=$place/old-key.sst
before=$(rows_of "$rotated")
table=$(biggest "$db/tenants/$rotated/records" '*.sst')
rotate_began=$EPOCHREALTIME
show 1 --db "$db" rotate "$rotated"
"$bhctl" --db "$db" status "$rotated" | grep -A 1 'DEK .* generation 1,' | sed -n '1,2{s/^/    /;p}' | cut -c1-132
grep -q 'still needed by' < <("$bhctl" --db "$db" status "$rotated") || fail "status does not say what the old keys are needed for"
cp -a "$table" "$old_table"
show 1 --db "$db" rotate "$rotated" --sweep
"$bhctl" --db "$db" status "$rotated" | grep 'DEK .* generation 1,' | sed 's/^/    /' | cut -c1-132
! grep -q 'still needed by' < <("$bhctl" --db "$db" status "$rotated") || fail "the old keys are still needed"
[[ $(rows_of "$rotated") == "$before" ]] || fail "'$rotated' has other rows than before"
proved "'$rotated' is under new keys as a whole in $(since "$rotate_began") s, the old ones are destroyed;" \
	"its rows are what they were"
cp -a "$table" "$place/new.sst"
cp -a "$old_table" "$table"
expect_exit 5 --db "$db" dump "$table"
cp -a "$place/new.sst" "$table"
proved "a copy of one of its tables from before, put back in its place, gives exit code 5: its key is gone"
"$sweep" --db "$place/under-load" --rounds 1 --rows 20000 >"$place/out" || fail "bh_sweep: $(<"$place/out")"
tail -n 1 "$place/out" | sed 's/^/    /'
grep -q '2 generations of A.s keys were begun under load, 1 are destroyed' "$place/out" || fail "not so"
proved "the same in a database that is being read and written by two threads"

part "what an operator sees"
"$bhctl" --db "$db" status | sed 's/^/    /' | grep -E '^ +(database|region|logs|merchant|class)' | cut -c1-132
# The last write stays in the WAL, for the search and for the dumps.
"$bhctl" --db "$db" put "$victim/index" "written-last-$package" "a value of the last write: $package"
printf '%s\n' "written-last-$package" "a value of the last write" >>"$input/$victim.strings"
"$bhctl" --db "$db" verify >"$place/out" || fail "verify: $(<"$place/out")"
sed 's/^/    /' "$place/out"
proved "verify: every page and frame of every file authenticates"

part "dump: with keys, and without"
table=$(biggest "$db/tenants/$victim/index" '*.sst')
log=$(newest "$db" '*.log')
manifest=$(newest "$db" 'MANIFEST-*')
show 12 dump "$table"
show 9 dump --raw "$table"
show 16 dump "$log"
show 9 dump --raw "$log"
printf '$ bhctl dump %s\n' "$manifest"
"$bhctl" dump "$manifest" >"$place/out"
grep -A 9 -m 1 "$victim/index" "$place/out" | cut -c1-132 | sed 's/^/    /'
grep -q "file-added .*smallest \"" "$place/out" || fail "the MANIFEST's dump lacks boundary keys"
"$bhctl" dump "$log" >"$place/out"
grep -q "put $victim/index \"written-last-$package\"" "$place/out" || fail "the WAL's dump lacks the last write"
"$bhctl" dump "$table" >"$place/out"
grep -qF "\"$package\"" "$place/out" || fail "the table's dump lacks $package"
for file in "$table" "$log" "$manifest"; do
	"$bhctl" dump --raw "$file" >"$place/out" || fail "dump --raw $file"
	! grep -qaFf "$input/$victim.strings" "$place/out" || fail "dump --raw $file shows a row"
done
proved "records of an SST, a WAL and a MANIFEST with keys; headers and layout alone without"

part "a search of the disk"
printf '%s\n' "written-last-$package" "a value of the last write" >>"$place/canaries"
search "$db"
proved "0 hits in the $(find "$db" -type f | wc -l) files of the database, $(du -sh "$db" | cut -f1), info logs included"

part "shred of one merchant"
cp -a "$db" "$place/old"
old_table=${table/#$db/$place/old}
old_log=${log/#$db/$place/old}
shred_began=$EPOCHREALTIME
before_shred=$(date -u +%Y-%m-%dT%H:%M:%SZ)
"$bhctl" --db "$db" merchant shred "$victim" --yes --certificate "$place/certificate.json"
proved "'$victim' is shredded in $(since "$shred_began") s; a copy of the disk from before is kept in $place/old"
[[ ! -e $db/tenants/$victim ]] || fail "its directory is still there"
expect_exit 5 --db "$db" get "$victim/index" "$package"
expect_exit 5 --db "$db" scan "$victim/records"
expect_exit 5 --db "$db" put "$victim/index" key value
proved "its directory is gone; get, scan and put end with exit code 5"
expect_exit 5 --db "$db" dump "$old_table"
! grep -qaFf "$input/$victim.strings" "$place/out" || fail "the old copy of its table still shows a row"
show 10 --db "$db" dump "$old_log"
"$bhctl" --db "$db" dump "$old_log" >"$place/out"
grep -q '<no key' "$place/out" || fail "the old WAL's dump does not say that the key is gone"
! grep -qaFf "$input/$victim.strings" "$place/out" || fail "the old copy of the WAL still shows a row"
proved "an old copy of its SST gives exit code 5, of the WAL '<no key>' for its bytes"
expect_exit 7 --db "$place/old" get "$victim/index" "$package"
expect_exit 7 --db "$place/old" scan "$victim/records"
proved "the old copy of the whole database does not open any more: its CMK is destroyed"
search "$db"
search "$place/old"
proved "0 hits in the database and in the old copy"

part "its certificate"
public_key=$("$bhctl" --db "$db" status | sed -n 's/.*signs certificates and the audit log with key //p')
show 20 certificate verify "$place/certificate.json" --public-key "$public_key"
"$bhctl" certificate verify "$place/certificate.json" --public-key "$public_key" >"$place/out" || fail "$(<"$place/out")"
grep -q '^FINAL' "$place/out" || fail "the certificate is not FINAL"
sed "s/\"$victim\"/\"somebody\"/" "$place/certificate.json" >"$place/forged.json"
expect_exit 6 certificate verify "$place/forged.json" --public-key "$public_key"
proved "FINAL, and holds without the database; with another name in it, it does not"

part "the audit log"
show 6 --db "$db" audit show --merchant "$victim"
"$bhctl" audit verify "$db/AUDIT" --public-key "$public_key" >"$place/out" || fail "audit verify: $(<"$place/out")"
cp "$db/AUDIT" "$place/AUDIT"
sed -i '0,/"outcome":"ok"/s//"outcome":"no"/' "$place/AUDIT"
expect_exit 6 audit verify "$place/AUDIT" --public-key "$public_key"
show 4 audit who-could-decrypt "$db/AUDIT" --merchant "$victim" --at "$before_shred"
proved "the audit log holds by the public key alone; with one word changed it does not"

part "the other merchants"
others=()
for section in "${sections[@]}"; do
	[[ $section == "$victim" ]] || others+=("$section")
done
rows=$(compare "${others[@]}")
proved "all $rows rows of the other ${#others[@]} merchants are there, equal by SHA-256"
"$bhctl" --db "$db" verify >"$place/out" || fail "verify: $(<"$place/out")"
proved "verify is clean"

printf '\n%d things checked, all of them hold; %s s\n' "$proven" "$(since "$began")"
