# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# bash completion for bhkms-agent: the options that its --help lists.
_bhkms_agent() {
	local program=$1 cur=$2 prev=$3 help
	COMPREPLY=()
	help=$("$program" --help 2>/dev/null)
	case $prev in
	--dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
	--socket | --policy) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--passphrase-fd | --allow-uid) return ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(sed -nE 's/^  (--[a-z-]+).*/\1/p' <<<"$help")" -- "$cur")
		return
		;;
	esac
	compopt -o filenames 2>/dev/null || : # not when a test calls us
}

complete -F _bhkms_agent bhkms-agent
