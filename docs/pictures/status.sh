#!/usr/bin/env bash
# Takes docs/pictures/status.png: the page that `pullcred status` makes of examples/status/reports.yaml, in a real browser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --locked --quiet
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# It has something to complain of: exit code 1.
"${CARGO_TARGET_DIR:-target}"/debug/pullcred status --reports examples/status/reports.yaml -o html >"$folder/status.html" || [ $? = 1 ]
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-background-networking --user-data-dir="$folder/profile" \
  --window-size=900,1040 --virtual-time-budget=5000 --screenshot="$PWD/docs/pictures/status.png" "file://$folder/status.html" 2>/dev/null
