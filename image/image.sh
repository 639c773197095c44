#!/usr/bin/env bash
# Builds the release binary and its image, prints the archive's path, and refuses an image of more than 10 MB, as a registry holds it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binary=$(image/binary.sh)
archive=target/pullcred.tar
digest=$(image/build.sh "$binary" "$archive")
# Blobs are compressed as in a registry, and the rest of the archive is next to nothing.
size=$(stat --format=%s "$archive")
echo "image $digest: $((size / 1000)) kB, the binary in it $(($(stat --format=%s "$binary") / 1000)) kB" >&2
[ "$size" -le 10000000 ] || { echo "the image has more than 10 MB" >&2; exit 1; }
echo "$archive"
