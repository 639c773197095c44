#!/usr/bin/env bash
# usage: [BENCH="requests log start rules admission copies"] [BEFORE=PROGRAM] run.sh [ROUNDS] [SECONDS]
#
# Measures pullcred as it is shipped, the image's program, on this machine, and writes what it measured to a file in target/bench, as lines
# of JSON: a head, then a figure a line (see benches/figures.rs). The example `report` makes tables and plots of it; docs/performance.md
# says what they mean. BENCH chooses the parts:
#
#   requests   the webhook beside two servers of the same stack, by size of the review; wrk uses 16 connections over TLS
#   log        the line of an admission, by where the log goes
#   start      from exec to ready, memory at rest, and the size of the program
#   rules      the cost of a Pod by the number of rules, and by the number of namespaces with a report
#   admission  what the creation of a Pod costs the API server, alone, with the policy, with the webhook
#   copies     copies of logins, which prints a table of its own
#
# BEFORE is an older program of pullcred, which `requests` and `start` then measure as well.
#
# What is compared takes turns, round after round, so that a change in the machine's speed affects all of it equally.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${1:-5} seconds=${2:-3}
parts=${BENCH:-requests log start rules admission copies}
for part in $parts; do
  case $part in
    requests | log | start | rules | admission | copies) ;;
    *) echo "BENCH: there is no part $part: choose of requests, log, start, rules, admission, copies" >&2; exit 2 ;;
  esac
done
for program in wrk jq awk; do
  command -v $program >/dev/null || { echo "$0 needs $program: install the package of that name" >&2; exit 2; }
done
cargo build --release --locked --example reference --example request --example start --example report
shipped=$(image/binary.sh)
release=${CARGO_TARGET_DIR:-target}/release
cargo bench --locked --no-run --bench rules --test cluster
workers=1
folder=$(mktemp -d)
running=
stop() { [ -z "$running" ] || { kill "$running" 2>/dev/null && wait "$running" 2>/dev/null; running=; } || true; }
trap 'stop; rm -rf "$folder"' EXIT

mkdir -p "${CARGO_TARGET_DIR:-target}/bench"
commit=$(git describe --always --dirty --exclude='*')
data=$(realpath "${CARGO_TARGET_DIR:-target}/bench")/$(date -u +%Y%m%d-%H%M%S)-$commit.jsonl
read -r load _ </proc/loadavg
jq --null-input --compact-output --arg date "$(date -u +%F)" --arg commit "$commit" --argjson load "$load" \
  --arg machine "$(nproc) cores of $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r | cut -d. -f1,2)" \
  '{ $date, $commit, $machine, $load }' >"$data"
# Appends the values of standard input, of case $1, series $2, metric $3 and unit $4, at $6 of $5 if there are more arguments.
figure() {
  jq --slurp --compact-output --arg case "$1" --arg series "$2" --arg metric "$3" --arg unit "$4" --arg by "${5:-}" --argjson at "${6:-null}" \
    '{ $case, $series } + (if $at == null then {} else { $by, $at } end) + { $metric, $unit, values: . }' >>"$data"
}

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

webhook=(webhook --config examples/pullcred.yaml --listen 127.0.0.1:18443 --admin-listen 127.0.0.1:18080
  --tls-cert "$folder/tls.crt" --tls-key "$folder/tls.key")
# The program of server $1.
program() { case $1 in before*) echo "$BEFORE" ;; *) echo "$shipped" ;; esac; }

# Starts server $1 on port 18443. All have one worker; pullcred is measured with its default log, too.
start() {
  case $1 in
    pullcred | before) "$(program "$1")" "${webhook[@]}" --workers $workers --log warn 2>/dev/null & ;;
    *-logging) "$(program "$1")" "${webhook[@]}" --workers $workers 2>/dev/null & ;;
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
# The column $3 of the rounds of server $1 and size $2.
column() { awk -v server="$1" -v size="$2" -v column="$3" '$1 == server && $2 == size { print $column }' "$folder/rounds"; }

requests() {
  local size server bytes
  for size in 2 8 130; do
    export REVIEW=$folder/$size.json
    bytes=$(stat --format=%s "$REVIEW")
    for _ in $(seq "$rounds"); do
      for server in $servers; do
        measure "$server" $size
      done
    done
    for server in $servers; do
      column "$server" $size 3 | figure request "$server" rate requests/s bytes "$bytes"
      column "$server" $size 6 | figure request "$server" cpu µs bytes "$bytes"
      column "$server" $size 4 | figure request "$server" p50 µs bytes "$bytes"
      column "$server" $size 5 | figure request "$server" p99 µs bytes "$bytes"
      column "$server" $size 7 | figure request "$server" memory MiB bytes "$bytes"
      column "$server" $size 8 | figure request "$server" failed requests bytes "$bytes"
    done
  done
}

# Measures server $1 with reviews of size $2 once.
measure() {
  local before after requests duration p50 p99 errors
  start "$1"
  wrk -t1 -c16 -d1 -s "$folder/post.lua" https://127.0.0.1:18443/mutate >/dev/null 2>&1
  before=$(cpu)
  read -r requests duration p50 p99 errors < <(
    wrk -t1 -c16 "-d$seconds" --latency -s "$folder/post.lua" https://127.0.0.1:18443/mutate 2>&1 >/dev/null | tail -n 1)
  after=$(cpu)
  awk -v server="$1" -v size="$2" -v n="$requests" -v t="$duration" -v p50="$p50" -v p99="$p99" -v errors="$errors" \
    -v cpu="$(awk "BEGIN { print $after - $before }")" -v rss="$(rss)" \
    'BEGIN { printf "%s %s %.0f %.0f %.0f %.2f %.1f %d\n", server, size, n * 1000000 / t, p50, p99, cpu / n, rss, errors }' >>"$folder/rounds"
  stop
}

# The line of an admission, between requests without their connection: "$1" is where the log goes.
line() {
  "$release/examples/request" examples/pullcred.yaml "$folder/2.json" $((rounds * 4)) >"$folder/line"
  awk '{ print $1 }' "$folder/line" | figure log "$1" "request without its line" µs
  awk '{ print $2 }' "$folder/line" | figure log "$1" line µs
  awk '{ print $3 }' "$folder/line" | figure log "$1" dropped lines
}
lines() {
  line /dev/null 2>/dev/null
  line "a file" 2>"$folder/log"
  # A subshell, which waits for the reader.
  (line "a pipe" 2> >(cat >/dev/null))
}

# From exec to ready, with the default log. Ours has the environment of the image.
starts() {
  local server image environment
  image=$(sed -n 's/^ENV //p' Dockerfile)
  for _ in $(seq "$rounds"); do
    for server in pullcred ${BEFORE:+before}; do
      environment=$image
      [ "$server" != before ] || environment=
      env $environment "$release/examples/start" 4 127.0.0.1:18080 "$(program "$server")" "${webhook[@]}" >>"$folder/starts-$server"
    done
  done
  for server in pullcred ${BEFORE:+before}; do
    awk '{ print $1 }' "$folder/starts-$server" | figure start "$server" "ready after exec" µs
    awk '{ print $2 / 1024 }' "$folder/starts-$server" | figure start "$server" "memory at rest" MiB
    stat --format=%s "$(program "$server")" | figure start "$server" binary bytes
    gzip --best <"$(program "$server")" | wc --bytes | figure start "$server" "binary, gzipped" bytes
  done
}

servers="echo pullcred pullcred-logging ${BEFORE:+before before-logging} typed"
for part in $parts; do
  echo "measuring: $part" >&2
  case $part in
    requests) requests ;;
    log) lines ;;
    start) starts ;;
    rules) PULLCRED_BENCH_DATA=$data cargo bench --locked --bench rules ;;
    admission) PULLCRED_BENCH_DATA=$data cargo bench --locked --test cluster admission:: ;;
    # Ten thousand namespaces take a quarter of an hour:
    # cargo bench --locked --test cluster -- --ignored copies::ten_thousand
    copies) cargo bench --locked --test cluster copies:: ;;
  esac
done
echo
"$release/examples/report" show "$data"
echo "$data"
