#!/usr/bin/env bash
# usage: build.sh BINARY ARCHIVE [REFERENCE]
#
# Makes the image of a static BINARY without a Docker engine: an OCI image layout in the tar file ARCHIVE, which containerd
# (`ctr image import`), skopeo (`oci-archive:`), podman and docker load. It is what the Dockerfile makes. Prints the digest of the
# manifest.
#
# Time and revision are the commit's, or SOURCE_DATE_EPOCH and REVISION. Nothing else of the machine or the moment goes in, so that
# the same binary makes the same image, given the same gzip.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: $0 BINARY ARCHIVE [REFERENCE]" >&2; exit 2; }
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$repository/Cargo.toml" | head -n 1)
description=$(sed -n 's/^description = "\(.*\)"$/\1/p' "$repository/Cargo.toml" | head -n 1)
binary=$1 archive=$2 reference=${3:-$("$repository/image/name.sh")}
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct)}
revision=${REVISION:-$(git -C "$repository" rev-parse HEAD)}
created=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)

# Bytes 18 and 19 of an ELF file name the processor.
case $(od --address-radix=n --skip-bytes=18 --read-bytes=2 --format=x1 "$binary" | tr -d ' ') in
  3e00) architecture=amd64 ;;
  b700) architecture=arm64 ;;
  *) echo "$binary is no program for amd64 or arm64" >&2; exit 2 ;;
esac

umask 022
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

# A tar file of the folder $1 whose bytes depend on the names, modes and contents in it, and on $epoch.
archive_of() {
  tar --create --directory="$1" --format=ustar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner .
}
digest_of() { sha256sum | cut -d' ' -f1; }
# Stores standard input as a blob; its digest and size go into the variables named $1_digest and $1_size.
blob() {
  local digest
  cat >"$staging/blob"
  digest=$(digest_of <"$staging/blob")
  printf -v "$1_digest" %s "sha256:$digest"
  printf -v "$1_size" %s "$(stat --format=%s "$staging/blob")"
  mv "$staging/blob" "$layout/blobs/sha256/$digest"
}

layout=$staging/layout root=$staging/root
mkdir -p "$layout/blobs/sha256" "$root/licenses"
install --mode=0555 "$binary" "$root/pullcred"
install --mode=0444 "$repository/LICENSE" "$root/licenses/LICENSE"

archive_of "$root" >"$staging/layer.tar"
diff_id=sha256:$(digest_of <"$staging/layer.tar")
blob layer < <(gzip --no-name --best --stdout "$staging/layer.tar")
blob config <<EOF
{"created":"$created","architecture":"$architecture","os":"linux","config":{"User":"65532:65532","ExposedPorts":{"8080/tcp":{},"8443/tcp":{}},"Entrypoint":["/pullcred"],"WorkingDir":"/","Labels":{"org.opencontainers.image.created":"$created","org.opencontainers.image.description":"$description","org.opencontainers.image.licenses":"Apache-2.0","org.opencontainers.image.revision":"$revision","org.opencontainers.image.source":"https://github.com/pullcred/pullcred","org.opencontainers.image.title":"pullcred","org.opencontainers.image.url":"https://github.com/pullcred/pullcred","org.opencontainers.image.version":"$version"}},"rootfs":{"type":"layers","diff_ids":["$diff_id"]},"history":[{"created":"$created","created_by":"image/build.sh"}]}
EOF
blob manifest <<EOF
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$config_digest","size":$config_size},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"$layer_digest","size":$layer_size}]}
EOF
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
# skopeo looks for the tag in the one annotation, containerd for the whole name in the other.
cat >"$layout/index.json" <<EOF
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"$manifest_digest","size":$manifest_size,"platform":{"architecture":"$architecture","os":"linux"},"annotations":{"io.containerd.image.name":"$reference","org.opencontainers.image.ref.name":"${reference##*:}"}}]}
EOF

archive_of "$layout" >"$staging/archive.tar"
mkdir -p "$(dirname "$archive")"
mv "$staging/archive.tar" "$archive"
echo "$manifest_digest"
