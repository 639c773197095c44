#!/usr/bin/env bash
# Checks the Kubernetes manifests on standard input against the schemas of Kubernetes 1.30 to 1.37: see main.go. The schemas come
# with client-go, in the versions and with the sums below; Go keeps them and the checker in its own caches.
set -euo pipefail

client_go="
v0.30.0 h1:sB1AGGlhY/o7KCyCEQ0bPWzYDL0pwOZO4vAtTSh/gJQ=
v0.31.0 h1:QqEJzNjbN2Yv1H79SsS+SWnXkBgVu4Pj3CJQgbx0gI8=
v0.32.0 h1:DimtMcnN/JIKZcrSrstiwvvZvLjG0aSxy8PxN8IChp8=
v0.33.0 h1:UASR0sAYVUzs2kYuKn/ZakZlcs2bEHaizrrHUZg0G98=
v0.34.0 h1:YoWv5r7bsBfb0Hs2jh8SOvFbKzzxyNo0nSb0zC19KZo=
v0.35.0 h1:IAW0ifFbfQQwQmga0UdoH0yvdqrbwMdq9vIFEhRpxBE=
v0.36.0 h1:pOYi7C4RHChYjMiHpZSpSbIM6ZxVbRXBy7CuiIwqA3c=
v0.37.0 h1:nsN31fy8wBySuZ+QRnKmrjRSQLOG2rvoGN0tKd12zhQ=
"

command -v go >/dev/null || {
  echo "the chart's tests check manifests with a program in Go 1.26 or newer (https://go.dev/dl): no 'go' on the PATH" >&2
  exit 2
}
cd "$(dirname "${BASH_SOURCE[0]}")"

schemas=()
while read -r version sum; do
  [ -n "$version" ] || continue
  module=$(go mod download -json "k8s.io/client-go@$version")
  case $module in
    *"\"Sum\": \"$sum\""*) ;;
    *) echo "k8s.io/client-go@$version is not what it was: its sum isn't $sum: $module" >&2; exit 2 ;;
  esac
  minor=${version#v0.}
  schemas+=("1.${minor%.0}=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$module")")
done <<<"$client_go"

exec go run -buildvcs=false . "${schemas[@]}"
