#!/usr/bin/env bash
# usage: sbom.sh [FILE]
#
# Writes what the binary is built from, as CycloneDX in JSON, to FILE (target/pullcred.cdx.json by default): each crate with its version,
# licence. Fails where a crate of Cargo's own tree is not in it, or has no licence.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=${1:-target/pullcred.cdx.json}
target=$(rustc -vV | sed -n 's/^host: //p')
PATH=$(tests/cargo-tool.sh cargo-cyclonedx 0.5.9):$PATH
name=.sbom.$$
# One is written beside each manifest of the workspace; that of the binary has all crates.
trap 'rm -f "$name.json" crates/*/"$name.json"' EXIT
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} \
  cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$target" --override-filename "$name"

tree() { cargo tree --locked --target "$target" --edges normal,build --prefix none --format '{p}' | awk '{ sub(/^v/, "", $2); print $1, $2 }' | sort -u; }
listed() { jq -r '[.metadata.component, .components[]] | map("\(.name) \(.version)")[]' "$name.json" | sort -u; }
# It may name more: dependencies of features that are off.
forgotten=$(comm -23 <(tree) <(listed))
[ -z "$forgotten" ] || { echo "$0: the SBOM leaves out" $forgotten >&2; exit 1; }
unlicensed=$(jq -r '[.metadata.component, .components[]] | map(select(.licenses == null) | .name)[]' "$name.json")
[ -z "$unlicensed" ] || { echo "$0: no licence is known of" $unlicensed >&2; exit 1; }

mkdir -p "$(dirname "$file")"
# The paths of the build machine are left out.
sed "s|path+file://$PWD|path+file:///pullcred|g" "$name.json" >"$file"
echo "$file: $(jq '.components | length' "$file") crates" >&2
