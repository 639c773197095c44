#!/usr/bin/env bash
# usage: order.sh PROGRAM
#
# Writes image/order.txt: the functions that a webhook runs through from its start to its end, by name, as far as
# valgrind sees it. PROGRAM is one with all its names: target/…/image/pullcred, after image/binary.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# = 1 ] || { echo "usage: $0 PROGRAM" >&2; exit 2; }
program=$1
for tool in valgrind curl jq openssl; do
  command -v $tool >/dev/null || { echo "$0 needs $tool: install the package of that name" >&2; exit 2; }
done
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
benches/reviews.sh "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>/dev/null
cp examples/pullcred.yaml "$folder/pullcred.yaml"
# With the environment of the image, the program does not start itself again, so that valgrind keeps it.
env "$(sed -n 's/^ENV //p' Dockerfile)" valgrind --tool=callgrind --demangle=no --callgrind-out-file="$folder/calls" \
  "$program" webhook --config "$folder/pullcred.yaml" --listen 127.0.0.1:19643 --admin-listen 127.0.0.1:19680 --reload-interval 1s \
  --tls-cert "$folder/tls.crt" --tls-key "$folder/tls.key" 2>"$folder/log" &
server=$!
get() { curl --silent --fail "http://127.0.0.1:19680$1" >/dev/null; }
for _ in $(seq 300); do get /readyz && break; sleep 0.1; done
for _ in 1 2 3; do
  for size in 2 8 130; do
    curl --silent --fail --insecure --header 'Content-Type: application/json' --data-binary "@$folder/$size.json" \
      https://127.0.0.1:19643/mutate | jq --exit-status .response.allowed >/dev/null
  done
  get /livez && get /metrics
  echo "# read again" >>"$folder/pullcred.yaml"
  sleep 2
done
kill -TERM $server
wait $server || { cat "$folder/log" >&2; exit 1; }
server=
# Each function's first line in the record is "fn=(number) name"; later ones have the number only.
sed -n 's/^c\?fn=([0-9]*) \([^ ]*\)$/\1/p' "$folder/calls" | sed "s/17h[0-9a-f]*E.*\$//; s/'[0-9]*\$//" | grep '^_[ZR]' | sort --unique >image/order.txt
echo "image/order.txt: $(wc -l <image/order.txt) functions" >&2
