#!/usr/bin/env bash
# Builds what the cluster tests run (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet and
# kubectl, one Go binary under many names) and prints the folder that holds them. The folder is named by the content of the
# recipe, so a second run builds nothing. KUBEBUILDER_ASSETS, where set, is used instead.
set -euo pipefail

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for name in etcd kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$name" ] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no executable $name" >&2; exit 2; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

command -v go >/dev/null || {
  echo "the cluster tests build Kubernetes with Go 1.26 or newer (https://go.dev/dl): no 'go' on the PATH" >&2
  exit 2
}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/kubernetes"
version=$(sed -n 's/^\tk8s.io\/kubernetes v//p' go.mod)
recipe=$( (cat go.mod go.sum main.go "$here/binaries.sh"; go env GOVERSION GOARCH) | sha256sum | cut -c1-16)
cache=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred}
folder=$cache/kubernetes-$version-$recipe
if [ ! -x "$folder/kubectl" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/.staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  echo "building Kubernetes $version into $folder: about ten minutes on two cores, once" >&2
  set_version="-X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(echo "$version" | cut -d. -f2)"
  CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w $set_version" -o "$staging/cluster" . >&2
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -s cluster "$staging/$name"
  done
  # Two runs at once may both build; the first to rename wins and the other's folder goes.
  mv -T "$staging" "$folder" 2>/dev/null || [ -x "$folder/kubectl" ]
fi
echo "$folder"
