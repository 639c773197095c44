#!/usr/bin/env bash
# Builds the static binary of the image and prints its path. The Dockerfile runs this, too.
#
# Static by crt-static on the toolchain's own target, not by a musl target: nothing has to be fetched beyond the toolchain, and
# glibc's allocator and memcpy are the faster ones. See docs/decisions/020-image.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
# Paths of this machine stay out of the binary, so that two machines make the same one.
flags=(
  -Ctarget-feature=+crt-static
  "--remap-path-prefix=$PWD=/pullcred"
  "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
)
# With an explicit target, the flags are those of the binary alone, not of build scripts and macros.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") cargo build --release --locked --target "$target" >&2

binary=${CARGO_TARGET_DIR:-target}/$target/release/pullcred
if readelf --program-headers --wide "$binary" | grep -q INTERP; then
  echo "$binary wants a loader, and the image has none: is the C library's static archive (libc6-dev) installed?" >&2
  exit 1
fi
echo "$binary"
