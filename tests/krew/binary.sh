#!/usr/bin/env bash
# Builds krew, kubectl's package manager, from its Go module, at most once, and prints the path of the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../cluster/once.sh

version=$(sed -n 's/^.*sigs.k8s.io\/krew v\([^ ]*\).*/\1/p' go.mod)
build() {
  go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$1/krew" sigs.k8s.io/krew/cmd/krew
}
once krew "$version" "half a minute" build binary.sh go.mod go.sum
echo "$folder/krew"
