#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Completions in bash and zsh: every command and option that the sources have is offered, and none that the program refuses.
# usage: test_completions.sh BHCTL BHKMS-AGENT [FOLDER]: completions of that folder; without it, of tools/completions
# shellcheck disable=SC2317 # checks are called by name
agent=$(readlink -f "$2") here=$(dirname "$(readlink -f "$0")")
root=$here/../..
folder=$(readlink -f "${3:-$root/tools/completions}")
# shellcheck source=tests/tools/cli.bash
. "$here/cli.bash" "$1"
# As they are named in the source, or where they are installed.
for name in bhctl bhkms-agent; do
	# shellcheck source=/dev/null
	. "$folder/$name.bash" 2>/dev/null || . "$folder/bash-completion/completions/$name" || exit 1
done
zsh_folder=$folder
[[ ! -d $folder/zsh ]] || zsh_folder=$folder/zsh/site-functions

# offers WORD...: what bash offers for the last of them; the others stand before it.
offers() {
	local function=_bhctl
	[[ $1 != "$agent" ]] || function=_bhkms_agent
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	"$function" "$1" "${@: -1}" "${@: -2:1}"
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

# offered 'WORDS SORTED' WORD...
offered() {
	local got
	got=$(offers "${@:2}" | xargs)
	[[ $got == "$1" ]] || die "after '${*:3}' bash offers '$got', not '$1'"
}

# The table in commands.c.
table() { sed -nE 's/^\t\{ "([a-z -]+)", cmd_.*/\1/p' "$root/tools/bhctl/commands.c"; }

# in_zsh LINE
in_zsh() { PATH=$(dirname "$bhctl"):$(dirname "$agent"):$PATH zsh "$here/complete.zsh" "$zsh_folder" "$1" | xargs; }
zsh_offers() {
	local got
	got=$(in_zsh "$2")
	[[ $got == "$1" ]] || die "after '$2' zsh offers '$got', not '$1'"
}

# The options of bhctl that its sources know.
options() { grep -ohE '\.name = [^,]*"[a-z-]+"' "$root"/tools/bhctl/*.c | sed -E 's/.*"(.*)"/--\1/' | sort -u; }

mapfile -t helpers < <(declare -F | cut -d' ' -f3) # what follows are checks

every_command_is_offered() {
	local first
	(($(table | wc -l) > 25)) || die "the table of commands is not found"
	offered "$(table | cut -d' ' -f1 | sort -u | xargs)" "$bhctl" ''
	for first in $(table | sed -n 's/ .*//p' | sort -u); do
		offered "$(table | grep "^$first " | cut -d' ' -f2 | sort | xargs)" "$bhctl" --db x "$first" ''
	done
	offered "$(table | cut -d' ' -f1 | sort -u | xargs)" "$bhctl" help ''
	offered 'show shred suspend' "$bhctl" help merchant s
	offered 'certificate compact' "$bhctl" c
	offered 'show shred suspend' "$bhctl" --json merchant s
}

every_option_is_offered_and_none_that_is_refused() {
	local command words option all=
	while read -r command; do
		read -ra words <<<"$command"
		for option in $(offers "$bhctl" "${words[@]}" -); do
			all+=" $option"
			# --help ends what was understood so far. What wants no value takes x as an argument.
			case $option in
			--json | --help | --db | --passphrase-fd | --audit-optional) ;;
			*) run 0 "${words[@]}" "$option" x --help ;;
			esac
		done
		[[ " $all " == *" --audit-optional "* ]] || die "$command: no common options"
	done < <(table)
	[[ $(tr -s " " "\n" <<<"${all# }" | sort -u) == "$(options)" ]] ||
		die "bash offers other options than the sources have: $all"
	run 2 get --yes x --help
}

files_and_formats_are_offered_where_they_are_meant() {
	mkdir folder && touch file 'far file'
	offered 'jsonl tsv' "$bhctl" load a/b --format ''
	offered 'far file file folder' "$bhctl" load a/b f
	offered './file' "$bhctl" merchant shred a --certificate ./fi
	offered '' "$bhctl" put a/b f
	offered 'folder' "$bhctl" --db f
	offered 'folder' "$bhctl" --db = f # as bash cuts --db=f
	offered 'folder' "$bhctl" --db =
	offered '' "$bhctl" --db x rotate a --rate ''
	offered '' "$bhctl" --db x merchant add a --cmk ''
}

the_agents_options_are_offered() {
	offered "$("$agent" --help | sed -nE 's/^  (--[a-z-]+).*/\1/p' | sort | xargs)" "$agent" --
	mkdir folder && touch file
	offered 'folder' "$agent" --dir f
	offered 'file folder' "$agent" --dir x --socket f
	offered '' "$agent" --passphrase-fd ''
}

zsh_offers_the_same() {
	command -v zsh >/dev/null || { echo '    skipped: there is no zsh' && return; }
	touch file
	zsh_offers "$(offers "$bhctl" '' | xargs)" 'bhctl '
	zsh_offers "$(offers "$bhctl" merchant '' | xargs)" 'bhctl --db x merchant '
	zsh_offers "$(offers "$bhctl" merchant shred -- | xargs)" 'bhctl merchant shred --'
	zsh_offers 'jsonl tsv' 'bhctl load a/b --format '
	zsh_offers 'file' 'bhctl load a/b f'
	zsh_offers "$(offers "$agent" -- | xargs)" 'bhkms-agent --'
}

run_checks "$bhctl"
