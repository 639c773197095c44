#!/usr/bin/env bash
# Writes deploy/pullcred.yaml, the chart's default installation as plain manifests, for those without Helm. With --check nothing is
# written: a file that isn't up to date makes it exit with 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
helm=$(tests/cluster/helm/binary.sh)
image=$(image/name.sh)
file=deploy/pullcred.yaml

render() {
  cat <<'EOF'
# pullcred without Helm, written by charts/manifests.sh from the chart.
#
#   kubectl apply -f pullcred.yaml
#
# No image of pullcred is published yet: in place of registry.example.com/pullcred/pullcred write where you pushed yours.
#
# The mapping is in the ConfigMap pullcred-mapping: its rules say which registry needs which pull Secret. Put yours in place of the
# example's. A later change needs no restart. To remove pullcred, delete the webhook configuration first. The second command deletes
# the namespace, and with it the controller's Secrets:
#
#   kubectl delete mutatingwebhookconfiguration pullcred
#   kubectl delete --ignore-not-found -f pullcred.yaml
---
apiVersion: v1
kind: Namespace
metadata:
  name: pullcred
  labels:
    app.kubernetes.io/name: pullcred
    pod-security.kubernetes.io/enforce: restricted
EOF
  # Hooks and tests are Helm's; so are two of the labels.
  "$helm" template pullcred charts/pullcred --namespace pullcred --no-hooks \
    --set "image.registry=${image%%/*},tests.enabled=false,unregisterHook.enabled=false" \
    --set-json 'mapping.rules=[{"registries":["registry.example.com"],"secret":"example"}]' |
    grep -v -e '^ *helm.sh/chart:' -e '^ *app.kubernetes.io/managed-by:' -e '^# Source:'
}

if [ "${1:-}" = --check ]; then
  diff -u "$file" <(render) >&2 || { echo "$file is out of date: run charts/manifests.sh" >&2; exit 1; }
else
  mkdir -p "${file%/*}"
  render >"$file"
fi
