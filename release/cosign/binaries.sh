#!/usr/bin/env bash
# Builds cosign, which signs and verifies, and crane, which pushes images, from their Go modules, at most once, and prints their folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../../tests/cluster/once.sh

version=$(sed -n 's/^.*sigstore\/cosign\/v2 v\([^ ]*\).*/\1/p' go.mod)
build() {
  go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$1/" github.com/sigstore/cosign/v2/cmd/cosign \
    github.com/google/go-containerregistry/cmd/crane
}
once cosign "$version" "five minutes" build binaries.sh go.mod go.sum
echo "$folder"
