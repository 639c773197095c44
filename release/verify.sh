#!/usr/bin/env bash
# usage: verify.sh VERSION IMAGE FOLDER
#
# Verifies a release as SECURITY.md tells anyone to: the commands are the same ones. FOLDER has the downloaded files. With COSIGN_KEY it
# verifies by the public half of a key of one's own, as make release DRY_RUN=1 does; otherwise by the identity of the release workflow.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: $0 VERSION IMAGE FOLDER" >&2; exit 2; }
version=$1 image=${2,,} folder=$(realpath "$3")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$(release/cosign/binaries.sh):$PATH
cd "$folder"
charts=${image%/*}/charts/pullcred
repository=${GITHUB_REPOSITORY:-pullcred/pullcred}
by=(--certificate-oidc-issuer https://token.actions.githubusercontent.com
  --certificate-identity "https://github.com/$repository/.github/workflows/release.yml@refs/tags/v$version")
[ -z "${COSIGN_KEY:-}" ] || by=(--key "${COSIGN_KEY%.key}.pub" --insecure-ignore-tlog)

said() { echo "verified: $1" >&2; }
sha256sum --check --strict --ignore-missing --quiet SHA256SUMS
said "every file is the one of SHA256SUMS"
cosign verify-blob "${by[@]}" --bundle SHA256SUMS.sigstore.json SHA256SUMS 2>/dev/null
said "the signature of SHA256SUMS"
digest=$(<image-digest.txt)
cosign verify "${by[@]}" "$image@$digest" >/dev/null 2>&1
[ "$(crane digest "$image:$version")" = "$digest" ]
said "the signature of the image $image:$version, $digest"
cosign verify-attestation "${by[@]}" --type cyclonedx "$image@$digest" 2>/dev/null |
  jq -r '.payload | @base64d | fromjson | .predicate.components | length' | grep -qx '[1-9][0-9]*'
said "the SBOM that is attached to it"
chart=$(crane digest "$charts:$version")
cosign verify "${by[@]}" "$charts@$chart" >/dev/null 2>&1
said "the signature of the chart $charts:$version, $chart"
