#!/usr/bin/env bash
# Builds what the cluster tests run (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet and
# kubectl, one Go binary under many names), at most once, and prints the folder that holds them. KUBEBUILDER_ASSETS, where set, is
# used instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ../once.sh

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for name in etcd kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$name" ] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no executable $name" >&2; exit 2; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

version=$(sed -n 's/^\tk8s.io\/kubernetes v//p' go.mod)
component_version=k8s.io/component-base/version
build() {
  local minor=${version#*.}
  local set_version="-X $component_version.gitVersion=v$version -X $component_version.gitMajor=${version%%.*} -X $component_version.gitMinor=${minor%%.*}"
  go build -buildvcs=false -trimpath -ldflags "-s -w $set_version" -o "$1/cluster" .
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -s cluster "$1/$name"
  done
}
once kubernetes "$version" "ten minutes" build binaries.sh go.mod go.sum main.go
echo "$folder"
