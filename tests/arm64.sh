#!/usr/bin/env bash
# usage: arm64.sh
#
# Cross-builds the arm64 program and runs it under qemu's emulation of that processor: the core's unit tests and vectors, the program of the image
# with nothing but the image around it, and a served review, to which the answer must be that of this machine's program. What is built is kept in
# ${PULLCRED_CACHE:-~/.cache/pullcred}, where a later checkout finds it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

emulator=qemu-aarch64-static
for program in $emulator aarch64-linux-gnu-gcc curl jq; do
  command -v "$program" >/dev/null || { echo "$0: no $program: run tests/packages.sh arm64" >&2; exit 2; }
done
[ "$(uname -m)" = x86_64 ] || { echo "$0: it compares an emulated arm64 with a real amd64, and this machine is $(uname -m)" >&2; exit 2; }
cache=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
fail() { echo "$0: $1" >&2; exit 1; }

here=${CARGO_TARGET_DIR:-target}/debug/pullcred
cargo build --locked --quiet
export CARGO_TARGET_DIR=$cache/arm64-target
# BINARY_ARM64 says where it is, if it is built already.
program=${BINARY_ARM64:-}
[ -n "$program" ] || program=$(image/binary.sh arm64)
echo "arm64: $(stat --format=%s "$program") bytes" >&2

echo "the core's tests and vectors, emulated" >&2
CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$emulator \
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static \
  cargo test --locked --quiet --package pullcred-core --target aarch64-unknown-linux-gnu --lib --test vectors >&2

# The image's program sees nothing but the image: its own root, and the emulator in it.
image/build.sh "$work/image.tar" "$program" >/dev/null
mkdir "$work/layout" "$work/root"
tar --extract --file "$work/image.tar" --directory "$work/layout"
blob() { echo "$work/layout/blobs/${1/://}"; }
manifest=$(blob "$(jq -r '.manifests[0].digest' "$work/layout/index.json")")
[ "$(jq -r '.manifests[0].platform.architecture' "$work/layout/index.json")" = arm64 ] || fail "the image is not one for arm64"
tar --extract --gzip --file "$(blob "$(jq -r '.layers[0].digest' "$manifest")")" --directory "$work/root"
cp "$(command -v $emulator)" "$work/root/"
version=$(unshare --user --map-root-user chroot "$work/root" /$emulator /pullcred --version)
[ "$version" = "$("$here" --version)" ] || fail "the image's program says $version"

# The program starts itself again with this setting of the allocator. A kernel that does not know the emulator cannot do that.
export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072
# The answer to the example's review, by the example's mapping.
review() {
  "$@" webhook --tls-self-signed --config examples/pullcred.yaml --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --log-format json \
    2>"$work/log" &
  server=$!
  local address
  for _ in $(seq 300); do
    address=$(sed -n '/"message":"serving"/ s/.*"address":"\([^"]*\)".*/\1/p' "$work/log")
    [ -z "$address" ] || break
    kill -0 $server || { cat "$work/log" >&2; fail "$1 does not serve"; }
    sleep 0.1
  done
  [ -n "$address" ] || { cat "$work/log" >&2; fail "$1 does not serve"; }
  curl --silent --show-error --fail --insecure --noproxy '*' --header 'Content-Type: application/json' \
    --data @examples/admission-review.json "https://$address/mutate"
  kill -KILL $server
  wait $server 2>/dev/null || true
  server=
}
review "$here" >"$work/here.json"
review $emulator "$program" >"$work/there.json"
jq -e '.response.allowed and (.response.patch | @base64d | fromjson | length > 0)' "$work/there.json" >/dev/null || fail "no patch: $(cat "$work/there.json")"
diff "$work/here.json" "$work/there.json" || fail "the emulated program answers otherwise"
echo "arm64: the core's tests and vectors, the image's program and a served review are as they are on this machine" >&2
