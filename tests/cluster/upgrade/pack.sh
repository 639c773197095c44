#!/usr/bin/env bash
# usage: pack.sh REVISION
#
# Packs the chart of a revision of this repository, and the values that the cluster tests had then, as what the scenario of upgrades
# begins with: chart.tgz and values.yaml beside this script. They are committed, because a checkout may have no history. Run it with
# the tag of each release.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 REVISION" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
git archive --format=tar --prefix=pullcred/ "$1:charts/pullcred" | gzip --no-name --best >tests/cluster/upgrade/chart.tgz
git show "$1:tests/cluster/node/values.yaml" >tests/cluster/upgrade/values.yaml
