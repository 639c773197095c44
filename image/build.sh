#!/usr/bin/env bash
# usage: build.sh [--name REFERENCE] ARCHIVE BINARY…
#
# Makes the image of static BINARIES without a Docker engine: an OCI image layout in the tar file ARCHIVE, which containerd
# (`ctr image import`), skopeo (`oci-archive:`), podman and docker load. It is what the Dockerfile makes. Several BINARIES, each for
# another processor, make one image index. Prints the digest of the manifest, or of the index.
#
# Time and revision are the commit's, or SOURCE_DATE_EPOCH and REVISION. Nothing else of the machine or the moment goes in, so that
# the same binaries make the same image, given the same gzip.
set -euo pipefail

usage() { echo "usage: $0 [--name REFERENCE] ARCHIVE BINARY..." >&2; exit 2; }
reference=
[ "${1:-}" != --name ] || { [ $# -ge 2 ] || usage; reference=$2; shift 2; }
[ $# -ge 2 ] || usage
archive=$1
shift
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$repository/Cargo.toml" | head -n 1)
description=$(sed -n 's/^description = "\(.*\)"$/\1/p' "$repository/Cargo.toml" | head -n 1)
[ -n "$reference" ] || reference=$("$repository/image/name.sh")
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$repository" log -1 --format=%ct)}
revision=${REVISION:-$(git -C "$repository" rev-parse HEAD)}
created=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)
oci=application/vnd.oci.image
# Where an image has an environment, container runtimes add no PATH; this is theirs.
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

umask 022
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
layout=$staging/layout
mkdir -p "$layout/blobs/sha256"

# The processor of an ELF file: bytes 18 and 19 name it.
architecture_of() {
  case $(od --address-radix=n --skip-bytes=18 --read-bytes=2 --format=x1 "$1" | tr -d ' ') in
    3e00) echo amd64 ;;
    b700) echo arm64 ;;
    *) echo "$1 is no program for amd64 or arm64" >&2; exit 2 ;;
  esac
}
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
# The image of a binary. What describes it goes into $described.
image() {
  local binary=$1 architecture=$2 root=$staging/root-$2
  [ ! -e "$root" ] || { echo "two of the programs are for $architecture" >&2; exit 2; }
  mkdir -p "$root/licenses"
  install --mode=0555 "$binary" "$root/pullcred"
  install --mode=0444 "$repository/LICENSE" "$root/licenses/LICENSE"
  "$repository/image/roots.sh" "$root"

  archive_of "$root" >"$staging/layer.tar"
  diff_id=sha256:$(digest_of <"$staging/layer.tar")
  blob layer < <(gzip --no-name --best --stdout "$staging/layer.tar")
  blob config <<EOF
{"created":"$created","architecture":"$architecture","os":"linux","config":{"User":"65532:65532","ExposedPorts":{"8080/tcp":{},"8443/tcp":{}},"Env":["PATH=$path","GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072"],"Entrypoint":["/pullcred"],"WorkingDir":"/","Labels":{"org.opencontainers.image.created":"$created","org.opencontainers.image.description":"$description","org.opencontainers.image.licenses":"Apache-2.0","org.opencontainers.image.revision":"$revision","org.opencontainers.image.source":"https://github.com/pullcred/pullcred","org.opencontainers.image.title":"pullcred","org.opencontainers.image.url":"https://github.com/pullcred/pullcred","org.opencontainers.image.version":"$version"}},"rootfs":{"type":"layers","diff_ids":["$diff_id"]},"history":[{"created":"$created","created_by":"image/build.sh"}]}
EOF
  blob manifest <<EOF
{"schemaVersion":2,"mediaType":"$oci.manifest.v1+json","config":{"mediaType":"$oci.config.v1+json","digest":"$config_digest","size":$config_size},"layers":[{"mediaType":"$oci.layer.v1.tar+gzip","digest":"$layer_digest","size":$layer_size}]}
EOF
  described="\"mediaType\":\"$oci.manifest.v1+json\",\"digest\":\"$manifest_digest\",\"size\":$manifest_size,\"platform\":{\"architecture\":\"$architecture\",\"os\":\"linux\"}"
}

images=()
for binary; do
  # An assignment of its own: the script ends where the function fails.
  architecture=$(architecture_of "$binary")
  image "$binary" "$architecture"
  images+=("{$described}")
done
if [ $# -gt 1 ]; then
  blob manifest <<EOF
{"schemaVersion":2,"mediaType":"$oci.index.v1+json","manifests":[$(IFS=,; echo "${images[*]}")]}
EOF
  described="\"mediaType\":\"$oci.index.v1+json\",\"digest\":\"$manifest_digest\",\"size\":$manifest_size"
fi
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
# skopeo looks for the tag in the one annotation, containerd for the whole name in the other.
cat >"$layout/index.json" <<EOF
{"schemaVersion":2,"mediaType":"$oci.index.v1+json","manifests":[{$described,"annotations":{"io.containerd.image.name":"$reference","org.opencontainers.image.ref.name":"${reference##*:}"}}]}
EOF

archive_of "$layout" >"$staging/archive.tar"
mkdir -p "$(dirname "$archive")"
mv "$staging/archive.tar" "$archive"
echo "$manifest_digest"
