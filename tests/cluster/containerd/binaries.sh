#!/usr/bin/env bash
# Builds what a node has beside the kubelet (containerd with its shim for runc and its client ctr, and the network plugins for one
# node) from their Go modules, at most once, and prints the folder that holds them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../once.sh

containerd=github.com/containerd/containerd/v2
plugins=github.com/containernetworking/plugins
version=$(sed -n "s|^.*$containerd v\([0-9.]*\).*|\1|p" go.mod)
build() {
  go build -buildvcs=false -trimpath -ldflags "-s -w -X $containerd/version.Version=v$version" -o "$1/" \
    "$containerd/cmd/containerd" "$containerd/cmd/containerd-shim-runc-v2" "$containerd/cmd/ctr" \
    "$plugins/plugins/main/ptp" "$plugins/plugins/main/loopback" "$plugins/plugins/ipam/host-local"
}
once containerd "$version" "a minute" build binaries.sh go.mod go.sum
echo "$folder"
