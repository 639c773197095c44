#!/usr/bin/env bash
# usage: binary.sh [amd64 | arm64]
#
# Builds the static binary of the image, for this machine's processor or for another one, and prints its path. The Dockerfile runs this, too.
#
# Static by crt-static on the toolchain's own target, not by a musl target: for this machine's processor nothing has to be fetched beyond the
# toolchain, and glibc's allocator and memcpy are the faster ones. See docs/decisions/020-image.md.
#
# The linker is the toolchain's, for either processor: it makes one function of those with the same code, a short table of the addresses that
# change with where the program is loaded, and puts those beside each other that run. Of the names of functions ours stay, which a panic's log line needs. See docs/decisions/026-size.md.
#
# What it is built from is recorded in the binary itself (cargo auditable), so that scanners of images see the crates. The same commit
# makes the same bytes, whatever the folder, CARGO_HOME and machine: release/reproducible.sh shows it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
case ${1:-} in
  "") target=$host ;;
  amd64) target=x86_64-unknown-linux-gnu ;;
  arm64) target=aarch64-unknown-linux-gnu ;;
  *) echo "usage: $0 [amd64 | arm64]" >&2; exit 2 ;;
esac
folder=${CARGO_TARGET_DIR:-$PWD/target}
export PULLCRED_TOOLS=
if [ "$target" != "$host" ]; then
  cpu=${target%%-*}
  compiler=$cpu-linux-gnu-gcc
  export PULLCRED_TOOLS=$cpu-linux-gnu-
  command -v "$compiler" >/dev/null || {
    echo "$0: no $compiler, which a program for $1 takes here. On Debian or Ubuntu: sudo apt-get install gcc-${cpu/_/-}-linux-gnu" \
      "libc6-dev-$1-cross" >&2
    exit 2
  }
  # Without rustup, the toolchain has the target's standard library or says that it has not.
  ! command -v rustup >/dev/null || rustup target add "$target" >&2
fi

# Paths of this machine stay out of the binary, so that two machines make the same one.
linkers=$(rustc --print sysroot)/lib/rustlib/$host/bin/gcc-ld
flags=(
  -Ctarget-feature=+crt-static
  "-Clinker=$PWD/image/ordered-gcc.sh" "-Clink-arg=-B$linkers" -Clink-arg=-fuse-ld=lld -Clink-arg=-Wl,--icf=all -Clink-arg=-Wl,-z,pack-relative-relocs
  "--remap-path-prefix=$PWD=/pullcred"
  "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
)
[ "$folder" = "$PWD/target" ] || flags+=("--remap-path-prefix=$folder=/pullcred/target")
# Where the standard library's source is installed, its paths are those of this machine.
sources=$(rustc --print sysroot)/lib/rustlib/src/rust
[ ! -d "$sources" ] || flags+=("--remap-path-prefix=$sources=/rustc/$(rustc -vV | sed -n 's/^commit-hash: //p')")
PATH=$(tests/cargo-tool.sh cargo-auditable 0.7.7):$PATH
# With an explicit target, the flags are those of the binary alone, not of build scripts and macros.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") cargo auditable build --profile image --locked --target "$target" >&2

built=$folder/$target/image/pullcred
binary=$folder/$target/pullcred
"${PULLCRED_TOOLS}strip" --wildcard --keep-symbol='_ZN8pullcred*' --keep-symbol='_ZN13pullcred_core*' --keep-symbol='_ZN*_$LT$*pullcred*' \
  -o "$binary.$$" "$built"
# At once, since another build may run and a test use what it made.
mv "$binary.$$" "$binary"
if readelf --program-headers --wide "$binary" | grep -q INTERP; then
  echo "$binary wants a loader, and the image has none: is the C library's static archive (libc6-dev) installed?" >&2
  exit 1
fi
echo "$binary"
