#!/bin/sh
# usage: cargo-tool.sh NAME VERSION
#
# Prints the folder of the program NAME, a subcommand of Cargo's. Where that version is not in ${PULLCRED_CACHE:-~/.cache/pullcred} yet,
# builds it there, which takes minutes; nothing of yours is replaced.
set -eu

[ $# -eq 2 ] || { echo "usage: $0 NAME VERSION" >&2; exit 2; }
name=$1 version=$2
root=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred}/tools/$name-$version
if [ ! -x "$root/bin/$name" ]; then
	echo "installing $name $version into $root: a few minutes, once" >&2
	# Without optimization: it is built once and runs for a moment. Its files are its own, not those of a build around it.
	env -u CARGO_TARGET_DIR cargo install --quiet --locked --debug --root "$root" --version "$version" "$name" >&2
fi
echo "$root/bin"
