#!/usr/bin/env bash
# usage: run.sh [ROUNDS] [SECONDS]
#
# Measures pullcred beside two servers of the same stack, on this machine and in one run, and prints tables in Markdown; see
# docs/performance.md for what they mean. Servers take turns, round after round, and each figure is the median of its rounds, so that a
# change in the machine's speed affects all servers equally. wrk uses 16 connections over TLS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-5} seconds=${2:-3}
for program in wrk jq awk; do
  command -v $program >/dev/null || { echo "$0 needs $program: install the package of that name" >&2; exit 2; }
done
cargo build --release --locked
cargo build --release --locked --example reference --example request
release=${CARGO_TARGET_DIR:-target}/release
workers=1
folder=$(mktemp -d)
running=
stop() { [ -z "$running" ] || { kill "$running" 2>/dev/null && wait "$running" 2>/dev/null; running=; } || true; }
trap 'stop; rm -rf "$folder"' EXIT
benches/reviews.sh "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>/dev/null
cat >"$folder/post.lua" <<'LUA'
local body = io.open(os.getenv("REVIEW")):read("a")
wrk.method, wrk.body, wrk.headers["Content-Type"] = "POST", body, "application/json"
function done(summary, latency)
  local errors = summary.errors
  io.stderr:write(string.format("%d %d %.0f %.0f %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
LUA

# Starts server $1 on port 18443. All have one worker; pullcred is measured with its default log, too.
start() {
  local webhook=(webhook --config examples/pullcred.yaml --listen 127.0.0.1:18443 --admin-listen 127.0.0.1:18080 --workers $workers
    --tls-cert "$folder/tls.crt" --tls-key "$folder/tls.key")
  case $1 in
    pullcred) "$release/pullcred" "${webhook[@]}" --log warn 2>/dev/null & ;;
    pullcred-logging) "$release/pullcred" "${webhook[@]}" 2>/dev/null & ;;
    *) "$release/examples/reference" "$1" 127.0.0.1:18443 $workers & ;;
  esac
  running=$!
  for _ in $(seq 200); do
    (exec 3<>/dev/tcp/127.0.0.1/18443) 2>/dev/null && return
    sleep 0.01
  done
  echo "$1 does not start" >&2
  exit 1
}
# The processor time of the server so far, in microseconds.
cpu() { awk -v tick="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000000 / tick }' "/proc/$running/stat"; }
rss() { awk '/VmRSS/ { print $2 / 1024 }' "/proc/$running/status"; }
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
# The median of column $3 of the rounds of server $1 and size $2.
figure() { awk -v server="$1" -v size="$2" -v column="$3" '$1 == server && $2 == size { print $column }' "$folder/rounds" | median; }

servers="echo pullcred pullcred-logging typed"
for size in 2 8 130; do
  export REVIEW=$folder/$size.json
  for _ in $(seq "$rounds"); do
    for server in $servers; do
      start "$server"
      wrk -t1 -c16 -d1 -s "$folder/post.lua" https://127.0.0.1:18443/mutate >/dev/null 2>&1
      before=$(cpu)
      read -r requests duration p50 p99 errors < <(
        wrk -t1 -c16 "-d$seconds" --latency -s "$folder/post.lua" https://127.0.0.1:18443/mutate 2>&1 >/dev/null | tail -n 1)
      after=$(cpu)
      awk -v server="$server" -v size="$size" -v n="$requests" -v t="$duration" -v p50="$p50" -v p99="$p99" -v errors="$errors" \
        -v cpu="$(awk "BEGIN { print $after - $before }")" -v rss="$(rss)" \
        'BEGIN { printf "%s %s %.0f %.0f %.0f %.2f %.1f %d\n", server, size, n * 1000000 / t, p50, p99, cpu / n, rss, errors }' >>"$folder/rounds"
      stop
    done
  done
  echo
  echo "| review of $(($(stat --format=%s "$REVIEW") / 100)) hundred bytes | requests/s | of echo | CPU µs a request | of echo | p50 µs | p99 µs | RSS MiB | failed |"
  echo "|---|---|---|---|---|---|---|---|---|"
  ceiling=$(figure echo $size 3) floor=$(figure echo $size 6)
  for server in $servers; do
    rate=$(figure $server $size 3) cost=$(figure $server $size 6)
    awk -v name="$server" -v rate="$rate" -v ceiling="$ceiling" -v cost="$cost" -v floor="$floor" -v p50="$(figure $server $size 4)" \
      -v p99="$(figure $server $size 5)" -v rss="$(figure $server $size 7)" -v failed="$(figure $server $size 8)" \
      'BEGIN { printf "| %s | %d | %.2f | %.1f | %.2f | %d | %d | %.1f | %d |\n", name, rate, rate / ceiling, cost, floor / cost, p50, p99, rss, failed }'
  done
done

# The line of an admission, between requests without their connection: "$1" is where the log goes.
line() {
  "$release/examples/request" examples/pullcred.yaml "$folder/2.json" $((rounds * 4)) |
    awk -v sink="$1" '{ printf "| %s | %.1f | %.2f | %d | %d |\n", sink, $1, $2, 1000000 / ($1 + $2), $3 }'
}
echo
echo "| the log is | CPU µs a request without its line | CPU µs a line | lines/s of one thread | lines dropped |"
echo "|---|---|---|---|---|"
line /dev/null 2>/dev/null
line "a file" 2>"$folder/log"
# A subshell, which waits for the reader.
(line "a pipe" 2> >(cat >/dev/null))

# From exec to the first answer of /readyz, asked every tenth of a millisecond or so.
for _ in $(seq "$((rounds * 4))"); do
  begin=$(date +%s%N)
  "$release/pullcred" webhook --config examples/pullcred.yaml --listen 127.0.0.1:18443 --admin-listen 127.0.0.1:18080 \
    --tls-cert "$folder/tls.crt" --tls-key "$folder/tls.key" --log warn &
  running=$!
  until (exec 3<>/dev/tcp/127.0.0.1/18080 && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && read -r _ status _ <&3 && [ "$status" = 200 ]) 2>/dev/null; do :; done
  echo "$((($(date +%s%N) - begin) / 1000))" >>"$folder/starts"
  stop
done
echo
echo "Ready $(median <"$folder/starts") µs after exec (median of $((rounds * 4)) starts, certificate from files). Binary: $(($(stat --format=%s "$release/pullcred") / 1024)) KiB."

# Copies of logins, on the control plane of the cluster tests. Ten thousand namespaces take a quarter of an hour:
# cargo bench --locked --test cluster -- --ignored copies::ten_thousand
cargo bench --locked --test cluster copies::
