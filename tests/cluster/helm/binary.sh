#!/usr/bin/env bash
# Builds Helm from its Go module and prints the path of the binary. The folder is named by the content of the recipe, so a
# second run builds nothing. HELM, where set, is used instead.
set -euo pipefail

if [ -n "${HELM:-}" ]; then
  [ -x "$HELM" ] || { echo "HELM=$HELM is no executable file" >&2; exit 2; }
  echo "$HELM"
  exit 0
fi

command -v go >/dev/null || {
  echo "the chart's tests build Helm with Go 1.26 or newer (https://go.dev/dl): no 'go' on the PATH" >&2
  exit 2
}
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$(sed -n 's/^\thelm.sh\/helm\/v4 v\([^ ]*\).*/\1/p' go.mod)
recipe=$( (cat go.mod go.sum binary.sh; go env GOVERSION GOARCH) | sha256sum | cut -c1-16)
cache=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred}
helm=$cache/helm-$version-$recipe/helm
if [ ! -x "$helm" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/.staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  echo "building Helm $version into ${helm%/helm}: about three minutes on two cores, once" >&2
  CGO_ENABLED=0 go build -buildvcs=false -trimpath -o "$staging/helm" \
    -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=v$version" helm.sh/helm/v4/cmd/helm >&2
  # Two runs at once may both build; the first to rename wins and the other's folder goes.
  mv -T "$staging" "${helm%/helm}" 2>/dev/null || [ -x "$helm" ]
fi
echo "$helm"
