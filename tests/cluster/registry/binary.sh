#!/usr/bin/env bash
# Builds a container registry from its Go module, at most once, and prints the path of the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../once.sh

version=$(sed -n 's/^.*distribution\/v3 v\([^ ]*\).*/\1/p' go.mod)
build() {
  go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$1/registry" .
}
once registry "$version" "a minute" build binary.sh go.mod go.sum main.go
echo "$folder/registry"
