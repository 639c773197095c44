#!/usr/bin/env bash
# Records `make run` as docs/pictures/try-it.svg: the lines of a real run, which appear one after the other, in colours that follow the
# reader's light or dark theme. The recording ends with the Pod as it is stored: what follows names the ports of that run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --locked --quiet
cargo build --locked --quiet --example tryout
output=$(mktemp)
"${CARGO_TARGET_DIR:-target}"/debug/examples/tryout >"$output" 2>/dev/null &
tryout=$!
trap 'kill "$tryout" 2>/dev/null || true; rm -f "$output"' EXIT
for _ in $(seq 100); do
  grep -q '^Ask it' "$output" && break
  sleep 0.1
done
grep -q '^Ask it' "$output" || { echo "$0: the try-out did not come to its end in 10 s" >&2; exit 1; }
{ echo '$ make run'; sed -e '/^pullcred serves/,/^$/d' -e '/^Ask it/,$d' "$output" | sed '${/^$/d}'; } | awk '
  { gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;"); line[NR] = $0; if (length($0) > widest) widest = length($0) }
  END {
    width = widest * 8.43 + 32; height = NR * 20 + 52
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width, height, width, height
    print "<style>"
    print "  svg { --ink: #1f2328; --paper: #f6f8fa; --frame: #d1d9e0; --prompt: #1a7f37; --strong: #0969da; }"
    print "  @media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --paper: #151b23; --frame: #3d444d; --prompt: #3fb950; --strong: #4493f8; } }"
    print "  rect { fill: var(--paper); stroke: var(--frame); } circle { fill: var(--frame); }"
    print "  text { fill: var(--ink); font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; animation: appear 0.01s both; }"
    print "  .prompt { fill: var(--prompt); font-weight: bold; } .strong { fill: var(--strong); font-weight: bold; }"
    print "  @keyframes appear { from { opacity: 0; } to { opacity: 1; } }"
    print "  @media (prefers-reduced-motion: reduce) { text { animation: none; } }"
    print "</style>"
    printf "<rect x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", width - 1, height - 1
    for (i = 0; i < 3; i++) printf "<circle cx=\"%d\" cy=\"18\" r=\"5\"/>\n", 20 + i * 18
    delay = 0.3
    for (i = 1; i <= NR; i++) {
      class = line[i] ~ /^\$ / ? "prompt" : line[i] ~ /"op":|imagePullSecrets: \[/ ? "strong" : "plain"
      if (line[i] != "") printf "<text class=\"%s\" x=\"16\" y=\"%d\" style=\"animation-delay:%.1fs\">%s</text>\n", class, i * 20 + 28, delay, line[i]
      delay += i == 1 ? 1.2 : line[i] == "" ? 0.9 : 0.15
    }
    print "</svg>"
  }' >docs/pictures/try-it.svg
