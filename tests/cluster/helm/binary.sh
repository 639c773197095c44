#!/usr/bin/env bash
# Builds Helm from its Go module, at most once, and prints the path of the binary. HELM, where set, is used instead.
set -euo pipefail

if [ -n "${HELM:-}" ]; then
  [ -x "$HELM" ] || { echo "HELM=$HELM is no executable file" >&2; exit 2; }
  echo "$HELM"
  exit 0
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
source ../once.sh
version=$(sed -n 's/^\thelm.sh\/helm\/v4 v\([^ ]*\).*/\1/p' go.mod)
build() {
  local set_version="-X helm.sh/helm/v4/internal/version.version=v$version"
  go build -buildvcs=false -trimpath -ldflags "-s -w $set_version" -o "$1/helm" helm.sh/helm/v4/cmd/helm
}
once helm "$version" "three minutes" build binary.sh go.mod go.sum
echo "$folder/helm"
