#!/usr/bin/env bash
# usage: instructions.sh [--record]
#
# Counts the instructions of an answer, from the bytes of a review to the bytes of the answer, for reviews of 2, 8 and 130 KB, and compares
# them with the record for this kind of processor: a change of more than 3 % is a failure. Unlike time, the count is the same on a busy machine. It does depend
# on the compiler, which rust-toolchain.toml pins. --record overwrites the file; explain it in the commit.
#
# The same reviews are then counted with the reports of ten thousand namespaces, which may cost 2 %, and the smallest one with ten Secrets that
# discovery looks at and none of the images needs, which may cost 25 %.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for program in valgrind jq awk; do
  command -v $program >/dev/null || { echo "$0 needs $program: install the package of that name" >&2; exit 2; }
done
recorded=benches/instructions.$(uname -m).txt
[ -e "$recorded" ] || [ "${1:-}" = --record ] || { echo "there is no $recorded yet: $0 --record makes it" >&2; exit 1; }
# The C library has copies of its functions for newer processors, and would choose by the one at hand.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-AVX512VL,-ERMS,-FSRM,-BMI2,-SSE4_2,-SSSE3
cargo build --release --locked --example answer --example request >&2
answer=${CARGO_TARGET_DIR:-target}/release/examples/answer
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
benches/reviews.sh "$folder"

# The instructions of an answer to a review of size $1, counted over $2 answers; $3 is what is known, if anything. The difference of two runs leaves
# out start and end of the process.
count() {
  run() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$answer" examples/pullcred.yaml "$folder/$1.json" "${@:2}" 2>&1 |
      awk '/Collected/ { print $NF }'
  }
  echo $((($(run "$1" $((100 + $2)) "${@:3}") - $(run "$1" 100 "${@:3}")) / $2))
}

for size in 2 8 130; do
  echo "$size $(count $size 200)"
done >"$folder/now"

# A request with the smallest review from behind its connection to its answer, without a log, and what its line in the log takes, with the
# thread that writes it. How often that thread writes depends on the time, so the line has a wider limit. The log is /dev/null.
request() {
  run() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$folder/valgrind" \
      "$(dirname "$answer")/request" examples/pullcred.yaml "$folder/2.json" "$1" "$2" 2>/dev/null
    awk '/Collected/ { print $NF }' "$folder/valgrind"
  }
  echo $((($(run 1200 "$1") - $(run 200 "$1")) / 1000))
}
without=$(request warn) with=$(request info)
printf '%s\n' "request $without" "line $((with - without))" >"$folder/requests"
for size in 2 8 130; do
  echo "$size $(count $size 200 reports) 1.02 reports"
  [ $size != 2 ] || echo "$size $(count $size 200 discover) 1.25 discovery"
done >"$folder/known"

if [ "${1:-}" = --record ]; then
  cat "$folder/now" "$folder/requests" >$recorded
  cat $recorded
  exit
fi
join "$folder/now" "$folder/known" | awk '
  { printf "%s KB with %s: %d instructions, %.4f times those without\n", $1, $5, $3, $3 / $2 }
  $3 > $2 * $4 { failed = 1 }
  END { exit failed }'
cat "$folder/requests" >>"$folder/now"
join --nocheck-order $recorded "$folder/now" | awk '
  { change = ($3 / $2 - 1) * 100; limit = $1 == "line" ? 10 : 3 }
  { printf "%s: %d instructions, %+.2f %% of the record\n", $1 ~ /^[0-9]/ ? $1 " KB" : $1, $3, change }
  change > limit || change < -limit { failed = 1 }
  END { if (NR != 5) { print "the record is not complete"; failed = 1 }; exit failed }'
