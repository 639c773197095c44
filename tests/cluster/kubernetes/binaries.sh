#!/usr/bin/env bash
# Builds what the cluster tests run (etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet and
# kubectl, one Go binary under many names), at most once, and prints the folder that holds them. PULLCRED_KUBERNETES=1.30 chooses an
# older version, of which there is a folder with its modules. KUBEBUILDER_ASSETS, where set, is used instead of either.
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

minors=()
for file in go.mod 1.*/go.mod; do
  version=$(sed -n 's/^\tk8s.io\/kubernetes v//p' "$file")
  minors+=("${version%.*}")
  [ "${version%.*}" != "${PULLCRED_KUBERNETES:-${minors[0]}}" ] || break
  version=
done
[ -n "$version" ] || {
  echo "PULLCRED_KUBERNETES=$PULLCRED_KUBERNETES: the tests build ${minors[*]}. Another one takes a folder like tests/cluster/kubernetes/1.30" >&2
  exit 2
}
component_version=k8s.io/component-base/version
build() {
  local minor=${version#*.}
  local set_version="-X $component_version.gitVersion=v$version -X $component_version.gitMajor=${version%%.*} -X $component_version.gitMinor=${minor%%.*}"
  go build -modfile="$file" -buildvcs=false -trimpath -ldflags "-s -w $set_version" -o "$1/cluster" .
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
    ln -s cluster "$1/$name"
  done
}
once kubernetes "$version" "ten minutes" build binaries.sh "$file" "${file%.mod}.sum" main.go
echo "$folder"
