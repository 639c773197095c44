#!/usr/bin/env bash
# usage: publish.sh VERSION IMAGE FOLDER
#
# Publishes what make.sh put into FOLDER: pushes the image and the chart, signs both by their digests and the checksums, attaches the SBOM,
# and, in GitHub's workflow, makes the release. Keyless, by the workflow's identity; with COSIGN_KEY by that key, and then nothing goes to
# a public log. REGISTRY_USER and REGISTRY_TOKEN are a login for the registry.
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: $0 VERSION IMAGE FOLDER" >&2; exit 2; }
version=$1 image=${2,,} folder=$(realpath "$3")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$(release/cosign/binaries.sh):$PATH
helm=$(tests/cluster/helm/binary.sh)
charts=${image%/*}/charts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

signer=(--yes)
[ -z "${COSIGN_KEY:-}" ] || signer+=(--key "$COSIGN_KEY" --tlog-upload=false)
plain=()
[[ $image != 127.0.0.1:* ]] || plain=(--plain-http)
[ -z "${REGISTRY_TOKEN:-}" ] || crane auth login "${image%%/*}" --username "$REGISTRY_USER" --password-stdin <<<"$REGISTRY_TOKEN"

(cd "$folder" && sha256sum --check --strict --quiet SHA256SUMS)
digest=$(<"$folder/image-digest.txt")
mkdir "$work/layout"
tar --extract --file "$folder/pullcred_${version}_image.tar" --directory "$work/layout"
pushed=$(crane push "$work/layout" "$image:$version")
[ "${pushed#*@}" = "$digest" ] || { echo "$0: the registry has $pushed, and the release $digest" >&2; exit 1; }
cosign sign "${signer[@]}" "$image@$digest"
cosign attest "${signer[@]}" --type cyclonedx --predicate "$folder/pullcred_$version.cdx.json" "$image@$digest"

"$helm" push "${plain[@]}" "$folder/pullcred-$version.tgz" "oci://$charts" >&2
cosign sign "${signer[@]}" "$charts/pullcred@$(crane digest "$charts/pullcred:$version")"
cosign sign-blob "${signer[@]}" --bundle "$folder/SHA256SUMS.sigstore.json" "$folder/SHA256SUMS" >/dev/null

if [ -n "${GITHUB_REF_NAME:-}" ]; then
  gh release create "$GITHUB_REF_NAME" --verify-tag --title "pullcred $version" --notes-file "$folder/notes.md" "$folder"/*
fi
