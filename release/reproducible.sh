#!/usr/bin/env bash
# usage: reproducible.sh [ARCHITECTURE…]
#
# Builds the image's program twice, in two folders of different names and with two CARGO_HOMEs, and fails where their bytes differ. For this
# machine's processor by default. It takes two whole builds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || case $(uname -m) in x86_64) set -- amd64 ;; *) set -- arm64 ;; esac
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "$0: what is not committed is left out" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
home=${CARGO_HOME:-$HOME/.cargo}

for place in one another/place; do
  mkdir -p "$work/$place" "$work/cargo-of-${place%/*}"
  git archive HEAD | tar --extract --directory "$work/$place"
  # The downloaded crates, so that no network is needed twice; nothing else of this machine's CARGO_HOME.
  [ ! -d "$home/registry" ] || cp -r "$home/registry" "$work/cargo-of-${place%/*}/"
done
for architecture; do
  for place in one another/place; do
    echo "building for $architecture in $work/$place" >&2
    (cd "$work/$place" && env -u CARGO_TARGET_DIR CARGO_HOME="$work/cargo-of-${place%/*}" image/binary.sh "$architecture" >"$work/path-${place%/*}")
  done
  first=$(<"$work/path-one") second=$(<"$work/path-another")
  cmp "$first" "$second" || {
    mkdir -p target/reproducible
    cp "$first" "target/reproducible/one-$architecture"
    cp "$second" "target/reproducible/another-$architecture"
    echo "$0: two builds for $architecture differ: compare the files of target/reproducible" >&2
    exit 1
  }
  echo "two builds for $architecture have the same $(stat --format=%s "$first") bytes: sha256:$(sha256sum "$first" | cut -d' ' -f1)"
done
