#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_cli_aws.sh BHCTL [CHECK...]: a merchant whose key is in AWS KMS, ministack here, from its key to its shred, beside one whose
# key lies in files; and that the service's secret is in nothing that is written or shown.
# shellcheck disable=SC2317 # checks are called by name
servers=$(readlink -f "$(dirname "$(readlink -f "$0")")/../../build/servers")
. "$(dirname "$(readlink -f "$0")")/cli.bash"

secret=servicesecret8364

# Asks the server as the keys' owner: kms OPERATION NAME=VALUE... prints what it says.
kms() {
	PYTHONPATH=$servers /usr/bin/python3 -s -c '
import boto3, json, sys
kms = boto3.client("kms", region_name="eu-west-1", endpoint_url=sys.argv[1], aws_access_key_id="test",
                   aws_secret_access_key="test")
named = dict(word.split("=", 1) for word in sys.argv[3:])
print(json.dumps(getattr(kms, sys.argv[2])(**named), default=str))' "$endpoint" "$@"
}

# A server for all checks, on a port that nobody has. A test that finds none fails.
server() {
	local port waited=0
	port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	endpoint=http://127.0.0.1:$port
	mkdir "$work/server"
	(cd "$work/server" && exec env -i PATH=/usr/bin:/bin HOME="$work/server" PYTHONPATH="$servers" AUTH=true \
		AWS_ACCESS_KEY_ID=service BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT="$port" \
		/usr/bin/python3 -s -m ministack.app) >"$work/server.log" 2>&1 &
	server_pid=$!
	trap 'kill "$server_pid" 2>/dev/null; wait "$server_pid" 2>/dev/null; rm -rf "$work"' EXIT
	until kms list_keys >/dev/null 2>&1; do
		kill -0 "$server_pid" 2>/dev/null || { echo "ministack did not start: $(tail -n 3 "$work/server.log")"; exit 1; }
		((++waited < 120)) || { echo "ministack does not answer"; exit 1; }
		sleep 0.5
	done
}
export AWS_ENDPOINT_URL AWS_EC2_METADATA_DISABLED=true AWS_ACCESS_KEY_ID=service AWS_SECRET_ACCESS_KEY=$secret
unset AWS_PROFILE AWS_SESSION_TOKEN
server
AWS_ENDPOINT_URL=$endpoint

# A key, with an alias; its ARN into `arn`.
key() {
	arn=$(kms create_key | jq -r .KeyMetadata.Arn)
	kms create_alias "AliasName=alias/$1" "TargetKeyId=$arn" >/dev/null
}
alias_of() { echo "aws-kms://${arn%%:key/*}:alias/$1"; }

# A database with the merchant "amy", whose key is AWS's, and "bob", whose key lies in files.
amy() {
	key "$1"
	run 0 --db db init --region eu-west-1
	run 0 --db db merchant add amy --cmk "$(alias_of "$1")" --class data
	run 0 --db db put amy/data key1 "value of amy"
	run 0 --db db kms create local:kms#bob
	run 0 --db db merchant add bob --cmk local:kms#bob --class data
	run 0 --db db put bob/data key1 "value of bob"
}

bob_is_served() {
	run 0 --db db get bob/data key1
	has out "value of bob"
}

no_secret_is_written() {
	local found
	found=$(grep -rlF -e "$secret" .)
	[[ -z $found ]] || die "the secret is in $found"
}
helpers+=(kms server key alias_of amy bob_is_served no_secret_is_written)

its_owner_takes_the_key_away_and_gives_it_back() {
	amy taken
	kms disable_key "KeyId=$arn" >/dev/null
	run 0 --db db status
	has out disabled
	run 7 --db db get amy/data key1
	bob_is_served
	run 0 --db db put bob/data key2 more
	kms enable_key "KeyId=$arn" >/dev/null
	run 0 --db db merchant resume amy
	run 0 --db db get amy/data key1
	has out "value of amy"
	run 0 --db db audit show --merchant amy --json
	has out "$arn"
	run 0 --db db audit verify
	no_secret_is_written
}

# Whatever its alias is pointed at later, and by whichever name it is given again.
an_alias_is_recorded_as_the_key() {
	local first
	amy alias
	first=$arn
	run 0 --db db merchant show amy
	has out "$first"
	if grep -q alias/ out; then die "the alias is recorded: $(<out)"; fi
	run 2 --db db merchant add eve --cmk "aws-kms://$first" --class data
	has err "merchant 'amy'"
	run 2 --db db merchant add eve --cmk "$(alias_of alias)" --class data
	has err "merchant 'amy'"
	key other
	kms update_alias AliasName=alias/alias "TargetKeyId=$arn" >/dev/null
	run 0 --db db get amy/data key1
	has out "value of amy"
	run 0 --db db merchant add eve --cmk "$(alias_of alias)" --class data
	bob_is_served
}

it_rotates_and_moves_and_is_shredded() {
	amy shredded
	run 0 --db db rotate amy
	run 0 --db db get amy/data key1
	has out "value of amy"
	local amys=$arn
	key bobs
	run 0 --db db rewrap bob --cmk "$(alias_of bobs)"
	run 0 --db db merchant show bob
	has out "$arn"
	bob_is_served
	run 0 --db db merchant shred amy --yes
	run 0 --db db merchant certificate amy
	has out pending-deletion
	local date
	date=$(kms describe_key "KeyId=$amys" | jq -r .KeyMetadata.DeletionDate)
	[[ $date != null ]] || die "the key has no date"
	has out "${date%% *}"
	bob_is_served
	kms describe_key "KeyId=$arn" | jq -e '.KeyMetadata.KeyState == "Enabled"' >/dev/null || die "bob's key is not as it was"
	no_secret_is_written
}

a_key_of_another_region_is_refused() {
	amy region
	run 0 --db other init --region eu-north-1
	key elsewhere
	run 9 --db other merchant add amy --cmk "aws-kms://$arn" --class data
	has err eu-west-1
	bob_is_served
}

run_checks "$@"
