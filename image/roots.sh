#!/usr/bin/env bash
# usage: roots.sh FOLDER
#
# Writes the certificate authorities that the image trusts to FOLDER/etc/ssl/certs/ca-certificates.crt, and their licence to
# FOLDER/licenses. They are Mozilla's, from the crate webpki-root-certs: Cargo.lock has its version and its checksum, so they are the
# same on each machine. The Dockerfile runs this, too.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# No crate of the binary needs it, so that only this has Cargo download it.
crate=$(cargo metadata --locked --format-version 1 | grep --only-matching '"manifest_path":"[^"]*/webpki-root-certs-[^"]*/Cargo.toml"' | cut -d'"' -f4)
source=$(dirname "$crate")
certificates=$folder/etc/ssl/certs/ca-certificates.crt

umask 022
mkdir -p "$(dirname "$certificates")" "$folder/licenses"
# Each is a line with its name in a comment, and a line with its bytes in hexadecimal escapes.
while IFS= read -r bytes; do
  echo "-----BEGIN CERTIFICATE-----"
  printf %b "$bytes" | base64 --wrap=64
  echo "-----END CERTIFICATE-----"
done < <(sed -n 's/^ *CertificateDer::from_slice(b"\(\(\\x[0-9A-F][0-9A-F]\)*\)"),$/\1/p' "$source/src/lib.rs") >"$certificates"
[ "$(grep -c BEGIN "$certificates")" -eq "$(grep -c CertificateDer::from_slice "$source/src/lib.rs")" ] ||
  { echo "$0: $source/src/lib.rs has certificates that are written in another way" >&2; exit 1; }
cp "$source/LICENSE" "$folder/licenses/webpki-root-certs"
chmod 0444 "$certificates" "$folder/licenses/webpki-root-certs"
