#!/usr/bin/env bash
# Writes the table of values into the chart's README.md, between its two marks. With --check nothing is written: a README.md
# that isn't up to date makes it exit with 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
readme=pullcred/README.md

table=$(awk -f values-table.awk pullcred/values.yaml)
new=$(TABLE=$table awk '
  /<!-- values: end -->/ { between = 0 }
  !between
  /<!-- values: begin/ { between = 1; print ENVIRON["TABLE"]; marks++ }
  END { exit marks != 1 }
' "$readme") || { echo "$readme lacks the marks <!-- values: begin … --> and <!-- values: end -->" >&2; exit 1; }

if [ "${1:-}" = --check ]; then
  diff -u "$readme" <(echo "$new") >&2 || { echo "$readme is out of date: run charts/readme.sh" >&2; exit 1; }
else
  echo "$new" >"$readme"
fi
