#!/usr/bin/env bash
# usage: image.sh [ARCHITECTURE…]
#
# Builds the release binaries for amd64 and arm64, or for the architectures given, and one image of them; prints the archive's path. Refuses
# an image of more than 8 MB for one architecture, as a registry holds it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- amd64 arm64
binaries=()
for architecture; do
  binary=$(image/binary.sh "$architecture")
  binaries+=("$binary")
done
archive=target/pullcred.tar
digest=$(image/build.sh "$archive" "${binaries[@]}")
# Blobs are compressed as in a registry, and the rest of the archive is next to nothing.
size=$(stat --format=%s "$archive")
echo "image $digest for $*: $((size / 1000)) kB" >&2
for binary in "${binaries[@]}"; do
  echo "$binary: $(($(stat --format=%s "$binary") / 1000)) kB" >&2
done
[ "$((size / $#))" -le 8000000 ] || { echo "the image has more than 8 MB for each architecture" >&2; exit 1; }
echo "$archive"
