#!/usr/bin/env bash
# usage: packages.sh [arm64]
#
# Makes sure of the programs that the tests run, beside Rust and Go; with `arm64`, of those that tests/arm64.sh takes. What is missing is
# installed from Debian's packages where that is possible, which takes root and apt-get; otherwise it is named, and nothing is changed.
set -euo pipefail

# A program, and the packages that bring it.
needed="
cc        gcc
g++       g++
git       git
ip        iproute2
jq        jq
nft       nftables
openssl   openssl
readelf   binutils
runc      runc
unshare   util-linux
valgrind  valgrind
"
[ "${1:-}" != arm64 ] || needed="
aarch64-linux-gnu-gcc  gcc-aarch64-linux-gnu libc6-dev-arm64-cross
curl                   curl
jq                     jq
qemu-aarch64-static    qemu-user-static
unshare                util-linux
"

# The folders of the administrator's programs are not on everybody's path.
PATH=$PATH:/usr/sbin:/sbin
missing=()
while read -r program packages; do
  # shellcheck disable=SC2206 # Several words are several packages.
  [ -z "$program" ] || command -v "$program" >/dev/null || missing+=($packages)
done <<<"$needed"
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "the tests need programs that are not here. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
  exit 2
fi
