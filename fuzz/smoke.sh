#!/bin/sh
# Runs every fuzz target of both packages, fuzz and crates/core/fuzz, and fails at the first finding.
#
#     fuzz/smoke.sh [SECONDS]      seconds for each target; the default is 10
#
# Uses stable Rust: the crates have no `unsafe`, so the targets are built without a sanitizer, and nothing else in cargo-fuzz
# needs an unstable compiler. cargo-fuzz and the build are stored in ${PULLCRED_CACHE:-~/.cache/pullcred}. The input that
# makes a target fail is stored in the package's folder `artifacts`; cargo-fuzz prints how to run it again.
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

# The seeds of image_reference: the images of the conformance vectors, one a file.
corpus=crates/core/fuzz/corpus/image_reference
if [ ! -d "$corpus" ]; then
	mkdir -p "$corpus"
	sed -n 's/.*"image":"\([^"\\]*\)".*/\1/p' crates/core/tests/vectors/images.jsonl |
		awk -v dir="$corpus" '{ file = dir "/vector-" NR; printf "%s", $0 >file; close(file) }'
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# run PACKAGE TARGET [SEEDS…]
run() {
	package=$1 name=$2
	shift 2
	corpus=$package/corpus/$name
	log=$logs/$name
	mkdir -p "$corpus"
	if ! cargo fuzz run --fuzz-dir "$package" --sanitizer none --target-dir "$target_dir" "$name" "$corpus" "$@" -- \
		-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 >"$log" 2>&1; then
		cat "$log" >&2
		echo "$name: failed" >&2
		exit 1
	fi
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ "${executions:-0}" -eq 0 ]; then
		cat "$log" >&2
		echo "$name: no input was executed" >&2
		exit 1
	fi
	echo "$name: $executions executions in $seconds s, no finding"
}

# A target takes one processor, so both packages run beside each other.
(
	run crates/core/fuzz expiry fuzz/seeds/expiry
	run crates/core/fuzz image_reference
	run crates/core/fuzz pull_secret
	run crates/core/fuzz registry_key
	run crates/core/fuzz report fuzz/seeds/report
) &
core=$!
failed=0
(
	run fuzz challenge
	run fuzz manifests tests/testdata/inject
	run fuzz mapping tests/testdata/mapping/broken tests/testdata/mapping/good examples
	run fuzz review fuzz/seeds/review
	run fuzz tokens fuzz/seeds/tokens
) || failed=1
wait "$core" || failed=1
exit $failed
