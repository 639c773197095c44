#!/usr/bin/env bash
# usage: make.sh VERSION IMAGE FOLDER
#
# Makes everything that a release publishes, in the new FOLDER: archives of the program, the image for all platforms, the chart, which names the
# image IMAGE (REGISTRY/REPOSITORY) by its digest, krew's manifest, the SBOM, the notes and the checksums. Publishes nothing. The same
# commit makes the same bytes.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: $0 VERSION IMAGE FOLDER" >&2; exit 2; }
version=$1 image=${2,,} folder=$(realpath -m "$3")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source release/archive.sh
fail() { echo "$0: $1" >&2; exit 1; }

[ "$version" = "$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)" ] || fail "the version in Cargo.toml is not $version"
[[ $image == */* ]] || fail "$image is no REGISTRY/REPOSITORY"
[ ! -e "$folder" ] || fail "$folder is there already"
downloads=${DOWNLOADS:-https://github.com/${GITHUB_REPOSITORY:-pullcred/pullcred}/releases/download/v$version}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
release/notes.sh "$version" >"$folder/notes.md"

# The program, for people: with completions and manual pages, which the one for this machine writes.
declare -A program
for architecture in amd64 arm64; do
  # BINARY_AMD64 and BINARY_ARM64 say where it is, if it is built already.
  given=BINARY_${architecture^^}
  program[$architecture]=${!given:-}
  [ -n "${program[$architecture]}" ] || program[$architecture]=$(image/binary.sh "$architecture")
done
case $(uname -m) in x86_64) here=amd64 ;; aarch64) here=arm64 ;; *) fail "a release is made on amd64 or arm64" ;; esac
[ "$("${program[$here]}" --version)" = "pullcred $version" ] || fail "${program[$here]} is not of version $version"
mkdir -p "$work/common/completions" "$work/common/man"
for shell in bash fish zsh; do
  "${program[$here]}" completions $shell >"$work/common/completions/pullcred.$shell"
done
"${program[$here]}" man --dir "$work/common/man"
cp LICENSE "$work/common/"
for architecture in amd64 arm64; do
  cp -r "$work/common" "$work/$architecture"
  install --mode=0755 "${program[$architecture]}" "$work/$architecture/pullcred"
  archive "$folder/pullcred_${version}_linux_$architecture.tar.gz" "$work/$architecture"
done

digest=$(image/build.sh --name "$image:$version" "$folder/pullcred_${version}_image.tar" "${program[amd64]}" "${program[arm64]}")
echo "$digest" >"$folder/image-digest.txt"

# The chart of a release names its image: by its place, and by its digest.
cp -r charts/pullcred "$work/chart"
sed -i -e '/^image:$/,/^[a-z]/ {' -e "s|^  registry: .*|  registry: ${image%%/*}|" -e "s|^  repository: .*|  repository: ${image#*/}|" \
  -e "s|^  digest: .*|  digest: $digest|" -e '}' "$work/chart/values.yaml"
sed -i -e 's|^  artifacthub.io/prerelease: .*|  artifacthub.io/prerelease: "false"|' "$work/chart/Chart.yaml"
cat >>"$work/chart/Chart.yaml" <<EOF
  artifacthub.io/images: |
    - name: pullcred
      image: $image:$version@$digest
      platforms: [linux/amd64, linux/arm64]
EOF
helm=$(tests/cluster/helm/binary.sh)
"$helm" package "$work/chart" --version "$version" --app-version "$version" --destination "$work" >/dev/null
rendered=$("$helm" template pullcred "$work/pullcred-$version.tgz")
grep -qF "image: \"$image:$version@$digest\"" <<<"$rendered" || fail "the chart does not name $image:$version@$digest"
# Helm writes the time of day into the package.
mkdir "$work/package"
tar --extract --gzip --file "$work/pullcred-$version.tgz" --directory "$work/package"
archive "$folder/pullcred-$version.tgz" "$work/package"

sum() { sha256sum "$folder/pullcred_${version}_linux_$1.tar.gz" | cut -d' ' -f1; }
sed -e '/^#/d' -e "s|@VERSION@|$version|g" -e "s|@DOWNLOADS@|$downloads|g" -e "s|@SHA256_AMD64@|$(sum amd64)|" \
  -e "s|@SHA256_ARM64@|$(sum arm64)|" release/krew.yaml >"$folder/krew.yaml"
image/sbom.sh "$folder/pullcred_$version.cdx.json"

(cd "$folder" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" SHA256SUMS)
