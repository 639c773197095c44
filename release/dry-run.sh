#!/usr/bin/env bash
# usage: dry-run.sh VERSION [FOLDER]
#
# Makes a release in FOLDER (target/release-VERSION by default) and runs its arm64 program under emulation. Publishes it to a registry of this
# machine that ends with the script, signed by a key that is thrown away. Verifies it by the release's own commands, shows that a changed
# file and checksums that were not signed are refused, and lists what a tag would publish.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 VERSION [FOLDER]" >&2; exit 2; }
version=$1
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(realpath -m "${2:-target/release-$version}")
work=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry" 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "$0: $1" >&2; exit 1; }
unset GITHUB_REF_NAME REGISTRY_TOKEN
export COSIGN_PASSWORD= COSIGN_KEY=$work/cosign.key HOME=$work PULLCRED_CACHE=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred} \
  GOPATH=${GOPATH:-$(go env GOPATH)} GOCACHE=${GOCACHE:-$(go env GOCACHE)} CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} \
  RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}

tools=$(release/cosign/binaries.sh)
program=$(tests/cluster/registry/binary.sh)
for port in $(shuf --input-range=20000-30000 --head-count=5); do
  cat >"$work/registry.yaml" <<EOF
{version: "0.1", log: {level: error}, storage: {filesystem: {rootdirectory: $work/registry}}, http: {addr: "127.0.0.1:$port"}}
EOF
  OTEL_TRACES_EXPORTER=none "$program" serve "$work/registry.yaml" >"$work/registry.log" 2>&1 &
  registry=$!
  for _ in $(seq 50); do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break 2
    kill -0 "$registry" 2>/dev/null || break
    sleep 0.1
  done
done
kill -0 "$registry" || fail "no registry: $(cat "$work/registry.log")"
image=127.0.0.1:$port/pullcred/pullcred

# Built here if they are not yet, and for arm64 shown to work.
export BINARY_AMD64=${BINARY_AMD64:-} BINARY_ARM64=${BINARY_ARM64:-}
[ -n "$BINARY_AMD64" ] || BINARY_AMD64=$(image/binary.sh amd64)
[ -n "$BINARY_ARM64" ] || BINARY_ARM64=$(image/binary.sh arm64)
[ "$(uname -m)" != x86_64 ] || tests/arm64.sh

rm -rf "$folder"
release/make.sh "$version" "$image" "$folder"
(cd "$work" && "$tools/cosign" generate-key-pair >/dev/null 2>&1)
release/publish.sh "$version" "$image" "$folder" >"$work/publish.log" 2>&1 || { cat "$work/publish.log" >&2; fail "it cannot be published"; }
release/verify.sh "$version" "$image" "$folder"

# What verifies everything verifies nothing.
cp -r "$folder" "$work/changed"
echo >>"$work/changed/krew.yaml"
! release/verify.sh "$version" "$image" "$work/changed" 2>/dev/null || fail "a changed file is taken for the release's"
echo "refused: a changed file" >&2
cp -r "$folder" "$work/other"
echo "sha256:$(printf %064d 0)" >"$work/other/image-digest.txt"
(cd "$work/other" && sed -i '/image-digest.txt/d' SHA256SUMS)
! release/verify.sh "$version" "$image" "$work/other" 2>/dev/null || fail "checksums that nobody signed are taken for the release's"
echo "refused: checksums that were not signed" >&2

echo "what a tag v$version would publish:"
cd "$folder"
for file in *; do
  printf '%10d  %s  %s\n' "$(stat --format=%s "$file")" "$(sha256sum "$file" | cut -d' ' -f1)" "$file"
done
for reference in "$image:$version" "${image%/*}/charts/pullcred:$version"; do
  echo "OCI: ${reference#*/} $("$tools/crane" digest "$reference")"
done
