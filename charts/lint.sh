#!/usr/bin/env bash
# Lints the chart: Helm's own rules with each file of ci/, files that are generated, alerts, and versions that must agree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
helm=$(tests/cluster/helm/binary.sh)
chart=charts/pullcred

for values in $chart/ci/*-values.yaml; do
  "$helm" lint --strict --quiet "$chart" --values "$values"
done
charts/readme.sh --check
charts/manifests.sh --check
charts/alerts.sh

package_version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
grep -qx "appVersion: \"$package_version\"" $chart/Chart.yaml ||
  { echo "$chart/Chart.yaml: appVersion is not the package's version, $package_version" >&2; exit 1; }
# An image is named where it is published, and nowhere before.
published=$(sed -n '/^image:$/,/^[a-z]/ s/^  registry: "*\([^"]*\)"*$/\1/p' $chart/values.yaml)
if [ -n "$published" ]; then
  grep -qx "      image: $(image/name.sh)" $chart/Chart.yaml ||
    { echo "$chart/Chart.yaml: artifacthub.io/images does not name $(image/name.sh)" >&2; exit 1; }
elif grep -q "artifacthub.io/images" $chart/Chart.yaml; then
  echo "$chart/Chart.yaml: artifacthub.io/images names an image, and image.registry of values.yaml says that none is published" >&2
  exit 1
fi

# What is packaged renders as what is here does: .helmignore leaves nothing out that is needed.
packaged=$(mktemp -d)
trap 'rm -rf "$packaged"' EXIT
"$helm" package "$chart" --destination "$packaged" >/dev/null
values=$chart/ci/default-values.yaml
diff <("$helm" template pullcred "$chart" --values "$values") <("$helm" template pullcred "$packaged"/pullcred-*.tgz --values "$values")
echo "the chart is fine" >&2
