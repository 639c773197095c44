#!/usr/bin/env bash
# usage: draw.sh [--check]
#
# Draws each .dot file beside it as .svg, with Graphviz, in colours that follow the reader's light or dark theme. --check draws nothing: it
# compares the checksum of the source that each picture carries, so it needs no Graphviz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

style='<style>
  svg { --ink: #1f2328; --line: #59636e; --paper: #ffffff; --ours: #ddf4ff; --zone: #f6f8fa; --way: #0969da; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #f0f6fc; --line: #9198a1; --paper: #0d1117; --ours: #1f3a5f; --zone: #151b23; --way: #4493f8; }
  }
  text { fill: var(--ink); }
  .node path, .node polygon { fill: var(--paper); stroke: var(--line); }
  .node.ours path { fill: var(--ours); stroke: var(--way); stroke-width: 1.5; }
  .cluster polygon { fill: var(--zone); stroke: var(--line); stroke-dasharray: 2 3; }
  .edge path { stroke: var(--line); }
  .edge polygon { fill: var(--line); stroke: var(--line); }
  .edge.way path { stroke: var(--way); stroke-width: 1.5; }
  .edge.way polygon { fill: var(--way); stroke: var(--way); }
</style>'

for source in *.dot; do
  picture=${source%.dot}.svg
  checksum=$(cat "$source" "${BASH_SOURCE[0]##*/}" | sha256sum | cut -c1-16)
  if [ "${1:-}" = --check ]; then
    grep -q "source $checksum" "$picture" 2>/dev/null ||
      { echo "docs/pictures/$picture is not drawn from $source as it is now: run make pictures" >&2; exit 1; }
    continue
  fi
  command -v dot >/dev/null || { echo "$0 needs Graphviz: install the package graphviz" >&2; exit 2; }
  # Graphviz says its version and its own colours; both are left out, so that only the source decides what the file holds.
  dot -Tsvg "$source" | sed -e '1,/^<svg/{/^<svg/!d}' -e '/^<!--/d' -e '/^<title>/d' |
    awk -v style="$style" -v note="<!-- source $checksum -->" '{ print } />$/ && !done { print note; print style; done = 1 }' >"$picture"
done
