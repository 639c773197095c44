#!/usr/bin/env bash
# usage: ordered-gcc.sh ARGUMENTS…
#
# The linker of the image's program, for image/binary.sh. It links twice, the second time with the functions that a webhook runs through beside each
# other, by image/order.txt: the kernel maps a program 64 KiB at a time, so functions that lie apart take memory, and time at the start,
# for what is never run. The list names functions without the hash that the compiler adds, which is another one with each version of a crate.
# Names that are no longer there do nothing; image/order.sh makes the list again.
set -euo pipefail

tools=${PULLCRED_TOOLS:-}
"${tools}gcc" "$@"
output=
for ((place = 1; place < $#; place++)); do
  [ "${!place}" != -o ] || { next=$((place + 1)); output=${!next}; }
done
order=$(mktemp)
trap 'rm -f "$order"' EXIT
# Of a generic function, the list has one name for all types: the fewer there are, the more of them run.
"${tools}nm" "$output" | awk '
  NR == FNR { listed[$1]; next }
  { name = $NF; sub(/17h[0-9a-f]+E.*$/, "", name) }
  name in listed { symbols[++count] = $NF; names[count] = name; types[name]++ }
  END { for (i = 1; i <= count; i++) print types[names[i]], symbols[i] }
' "$(dirname "${BASH_SOURCE[0]}")/order.txt" - | sort --numeric-sort --key=1,1 --stable | cut -d' ' -f2 >"$order"
"${tools}gcc" "$@" "-Wl,--symbol-ordering-file=$order" -Wl,--no-warn-symbol-ordering
