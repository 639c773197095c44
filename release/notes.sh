#!/usr/bin/env bash
# usage: notes.sh VERSION [CHANGELOG]
#
# Prints what CHANGELOG.md says of a version. The heading of one that is not released yet is `## Unreleased: VERSION`.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 VERSION [CHANGELOG]" >&2; exit 2; }
file=${2:-$(dirname "${BASH_SOURCE[0]}")/../CHANGELOG.md}
notes=$(VERSION=$1 awk '
  /^## / { of_version = ($2 == ENVIRON["VERSION"] || ($2 == "Unreleased:" && $3 == ENVIRON["VERSION"])); next }
  of_version
' "$file")
[ -n "${notes//[[:space:]]/}" ] || { echo "$0: $file has no section '## $1'" >&2; exit 1; }
echo "$notes"
