#!/usr/bin/env bash
# Builds AWS's kubelet credential provider from its Go module, at most once, and prints the path of the binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../../cluster/once.sh

version=$(sed -n 's/^.*cloud-provider-aws v\([^ ]*\).*/\1/p' go.mod)
build() {
  go build -buildvcs=false -trimpath -ldflags "-s -w" -o "$1/ecr-credential-provider" \
    k8s.io/cloud-provider-aws/cmd/ecr-credential-provider
}
once ecr-credential-provider "$version" "two minutes" build binary.sh go.mod go.sum
echo "$folder/ecr-credential-provider"
