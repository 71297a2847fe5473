# SPDX-License-Identifier: Apache-2.0
#
# complete.zsh FOLDER LINE: what an interactive zsh that has FOLDER's completions offers at the end of LINE, a word a line. It runs in a
# terminal of its own, with $work/.zshrc; there compadd writes down what matches.
emulate -R zsh
zmodload zsh/zpty
export work=$(mktemp -d) folder=$1

cat >$work/.zshrc <<'END'
PS1= PS2= RPS1=
fpath=($folder $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
	local -a matches
	[[ " $* " == *' -'[ODA]' '* ]] || { builtin compadd -O matches "$@"; print -rl -- $matches >>$work/out }
	builtin compadd "$@"
}
told() { print -r -- 'end of list' >>$work/out }
zle -N told
bindkey '^I' complete-word '^T' told
print -r -- 'set up' >>$work/out
END

# What the shell prints is thrown away, and read so that it can go on.
wait_for() {
	local -i tries=0
	until grep -qxF -- $1 $work/out 2>/dev/null; do
		(( ++tries < 600 )) || { print -r -- "complete.zsh: no '$1'" >&2; exit 1 }
		zpty -r -t shell REPLY || sleep 0.05
	done
}

zpty shell env ZDOTDIR=$work TERM=dumb zsh -d -i
wait_for 'set up'
zpty -w -n shell $2$'\t\x14'
wait_for 'end of list'
zpty -d shell
grep -vxF -e 'set up' -e 'end of list' $work/out | sort -u
rm -rf $work
