#!/usr/bin/env bash
# Checks the chart's alerts with promtool: each fires and is silent as charts/tests says, and has cases there, a section in
# docs/runbooks.md and a row in docs/metrics.md. That the dashboard's queries parse is for tests/chart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
promtool=$(tests/prometheus/binaries.sh)/promtool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "$1" >&2
  exit 1
}

# What promtool says is shown only if it finds something.
quietly() {
  "$promtool" "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "promtool $1 $2: see above"; }
}

# check_release CASES [ARGUMENT…]: the alerts of a release that is rendered with these arguments.
check_release() {
  local cases=charts/tests/$1 folder=$work/$1 alert of_it
  shift
  mkdir "$folder"
  charts/rules.sh "$@" >"$folder/rules.yaml"
  cp "$cases" "$folder"
  quietly check rules --lint=all "$folder/rules.yaml"
  quietly test rules "$folder/$(basename "$cases")"
  awk '/^ *- alert: / { alert = $3 } /^ *severity: / { print alert, $2 }' "$folder/rules.yaml" >>"$work/severities"
  for alert in $(sed -n 's/^ *- alert: //p' "$folder/rules.yaml"); do
    of_it="alertname=\"$alert\",alertstate=\"firing\""
    # An alert of releases of several kinds has its cases in the file of the first of them.
    grep -qF "labels: 'ALERTS{$of_it," "$cases" charts/tests/controller.yaml charts/tests/credentials.yaml ||
      fail "$cases: no case in which $alert fires"
    grep -qF "expr: 'ALERTS{$of_it}', exp_samples: []" "$cases" charts/tests/controller.yaml charts/tests/credentials.yaml ||
      fail "$cases: no case in which $alert is silent"
  done
}

check_release controller.yaml
check_release no-controller.yaml --set certificates.mode=certManager
check_release credentials.yaml --values charts/pullcred/ci/credentials-values.yaml
check_release health.yaml --values charts/pullcred/ci/health-values.yaml
check_release fetched.yaml --values charts/pullcred/ci/clouds-values.yaml
alerts=$(sort -u "$work/severities")
diff <(echo "$alerts") <(sed -n 's/^| \[`\(Pullcred[A-Za-z]*\)`\](runbooks.md#[a-z]*) | \([a-z]*\) |.*/\1 \2/p' docs/metrics.md | sort) ||
  fail "docs/metrics.md: the table (>) is not that of the alerts (<)"
diff <(echo "$alerts" | cut -d ' ' -f 1) <(sed -n 's/^### \(Pullcred.*\)/\1/p' docs/runbooks.md | sort) ||
  fail "docs/runbooks.md: the sections (>) are not those of the alerts (<)"
