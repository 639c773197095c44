#!/usr/bin/env bash
# Builds actionlint, the linter of GitHub's workflows, from its Go module, at most once, and prints the path of the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../cluster/once.sh

version=$(sed -n 's/^.*rhysd\/actionlint v\([^ ]*\).*/\1/p' go.mod)
build() {
  go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$1/actionlint" github.com/rhysd/actionlint/cmd/actionlint
}
once actionlint "$version" "half a minute" build binary.sh go.mod go.sum
echo "$folder/actionlint"
