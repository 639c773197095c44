#!/usr/bin/env bash
# Prints the chart's alerts as a file of rules, as Prometheus itself reads it. Arguments go to `helm template`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
helm=$(tests/cluster/helm/binary.sh)

"$helm" template pullcred charts/pullcred --namespace pullcred \
  --set image.registry=registry.example.com \
  --set metrics.prometheusRule.enabled=true,metrics.prometheusRule.scrapedElsewhere=true \
  --show-only templates/monitoring/prometheusrule.yaml "$@" |
  awk 'spec { sub(/^  /, ""); print } /^spec:$/ { spec = 1 }'
