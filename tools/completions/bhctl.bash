# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# bash completion for bhctl. It asks the program that is typed for its commands and options (--help), so it cannot fall behind.
# Names of merchants are not completed: that would open the database and leave a line in its audit log.

# _bhctl_commands PROGRAM: "merchant add", a line each.
_bhctl_commands() {
	"$1" --help 2>/dev/null | sed -nE 's/^  ([a-z][a-z-]*( [a-z][a-z-]*)?) +[A-Z].*/\1/p'
}

# _bhctl_usage PROGRAM WORD...: the command's usage, in one line.
_bhctl_usage() {
	"$@" --help 2>/dev/null | sed '/^$/q' | tr -s '\n ' ' '
}

# _bhctl_words WORD...: which of them begin with what is typed.
_bhctl_words() {
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur" | sort -u)
}

# _bhctl_files f|d
_bhctl_files() {
	mapfile -t COMPREPLY < <(compgen "-$1" -- "$cur")
	compopt -o filenames 2>/dev/null || : # not when a test calls us
}

# _bhctl_value WHAT: WHAT as it stands in the usage: FILE, DIR, tsv|jsonl. Of other things we know nothing.
_bhctl_value() {
	case $1 in
	FILE* | PATH) _bhctl_files f ;;
	DIR) _bhctl_files d ;;
	*'|'*) _bhctl_words "${1//|/ }" ;;
	esac
}

# The words before the cursor that are no options go to `given`.
_bhctl_given() {
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--db | --passphrase-fd | --pin)
			i=$((i + 1))
			[[ ${COMP_WORDS[i]} != '=' ]] || i=$((i + 1))
			;;
		-*) ;;
		*) given+=("${COMP_WORDS[i]}") ;;
		esac
	done
}

_bhctl() {
	local program=$1 cur=$2 prev=$3 given=() command='' usage options name
	COMPREPLY=()
	# --db=DIR are three words to bash.
	[[ $cur != '=' ]] || { cur='' && prev='='; }
	[[ $prev != '=' ]] || prev=${COMP_WORDS[COMP_CWORD - (${#cur} > 0 ? 2 : 1)]}
	_bhctl_given
	[[ ${given[0]-} != help ]] || given=("${given[@]:1}") # what follows is a command
	while read -r name; do
		[[ "${given[*]:0:1}" != "$name" && "${given[*]:0:2}" != "$name" ]] || command=$name
	done < <(_bhctl_commands "$program")
	# shellcheck disable=SC2086 # a command's name is one word or two
	usage=$(_bhctl_usage "$program" $command)
	if [[ $usage =~ [][\|\ ]"$prev "([A-Za-z][^] ]*) && $prev == --* ]]; then
		_bhctl_value "${BASH_REMATCH[1]}"
	elif [[ $cur == -* ]]; then
		options=$("$program" --help 2>/dev/null | sed -nE 's/^  (--[a-z-]+).*/\1/p')
		_bhctl_words "$options" "$(grep -oE -- '--[a-z-]+' <<<"$usage")"
	elif [[ -z $command ]]; then
		_bhctl_words "$(_bhctl_commands "$program" | awk -v first="${given[0]-}" \
			'first == "" { print $1 } first != "" && $1 == first { print $2 }')"
	elif [[ $(sed -E 's/--[a-z-]+ [A-Z]+//g' <<<"$usage") == *FILE* ]]; then
		_bhctl_files f
	fi
}

complete -F _bhctl bhctl
