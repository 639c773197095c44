#!/bin/sh
# Runs every fuzz target for a while, and fails if one finds something.
#
#     fuzz/smoke.sh [SECONDS]      seconds for each target, 10 unless given
#
# Works with stable Rust: without a sanitizer, which this crate without `unsafe` has no use for, cargo-fuzz needs
# nothing unstable. cargo-fuzz itself and all that is built stay in ${PULLCRED_CACHE:-~/.cache/pullcred}.
# What a target finds is left in fuzz/artifacts; cargo-fuzz says how to look at it.
set -eu

seconds=${1:-10}
cache=${PULLCRED_CACHE:-"$HOME/.cache/pullcred"}
target_dir=$cache/fuzz-target
cd "$(dirname "$0")/.."

case $seconds in
'' | *[!0-9]* | 0)
	echo "fuzz/smoke.sh: $seconds is not a number of seconds; write one, such as 10" >&2
	exit 2
	;;
esac

PATH=$(tests/cargo-tool.sh cargo-fuzz 0.13.2):$PATH

# A first idea of what is worth trying: for images, those of the conformance vectors, one a file.
corpus=fuzz/corpus/image_reference
if [ ! -d "$corpus" ]; then
	mkdir -p "$corpus"
	sed -n 's/.*"image":"\([^"\\]*\)".*/\1/p' crates/core/tests/vectors/images.jsonl |
		awk -v dir="$corpus" '{ file = dir "/vector-" NR; printf "%s", $0 >file; close(file) }'
fi
mkdir -p fuzz/corpus/challenge fuzz/corpus/manifests fuzz/corpus/mapping fuzz/corpus/pull_secret fuzz/corpus/registry_key \
	fuzz/corpus/review

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# run TARGET [SEEDS…]
run() {
	name=$1
	if ! cargo fuzz run --sanitizer none --target-dir "$target_dir" "$name" "fuzz/corpus/$@" -- \
		-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1; then
		cat "$log" >&2
		echo "$name: failed" >&2
		exit 1
	fi
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "${executions:-0}" -eq 0 ]; then
		cat "$log" >&2
		echo "$name: nothing was executed" >&2
		exit 1
	fi
	echo "$name: $executions executions in $seconds s, nothing found"
}

run challenge
run image_reference
run manifests tests/testdata/inject
run mapping tests/testdata/mapping/broken tests/testdata/mapping/good examples
run pull_secret
run registry_key
run review fuzz/seeds/review
