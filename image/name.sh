#!/usr/bin/env bash
# Prints the name of pullcred's own image: REGISTRY/REPOSITORY:VERSION, by the chart's values and the package's version. Until a release
# is published, `image.registry` of the chart is empty, and the registry is a placeholder that nobody can own (RFC 2606).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The value of a key of `image` in the chart's values.
value() { sed -n "/^image:\$/,/^[a-z]/ s/^  $1: \"*\([^\"]*\)\"*\$/\1/p" charts/pullcred/values.yaml; }
registry=$(value registry)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
echo "${registry:-registry.example.com}/$(value repository):$version"
