#!/usr/bin/env bash
# Prints the folder that holds prometheus and promtool. Those on the PATH are used; otherwise Debian's package is unpacked, once, into
# ${PULLCRED_CACHE:-~/.cache/pullcred}. It is not installed: that would start a service.
set -euo pipefail

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  found=$(dirname "$(command -v promtool)")
  if [ -x "$found/prometheus" ]; then
    echo "$found"
    exit 0
  fi
fi

cache=${PULLCRED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pullcred}
# The package's checksum, as the signed list of packages has it.
checksum() {
  apt-cache show --no-all-versions prometheus 2>/dev/null | sed -n 's/^SHA256: //p' | head -n 1
}
sum=
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
  sum=$(checksum)
  if [ -z "$sum" ] && [ "$(id -u)" = 0 ]; then
    apt-get update -qq >&2
    sum=$(checksum)
  fi
fi
if [ -z "$sum" ]; then
  echo "the tests of the alerts need prometheus and promtool 2.42 or newer on the PATH (https://prometheus.io/download); on Debian" \
    "and Ubuntu 'sudo apt-get update' is enough" >&2
  exit 2
fi

folder=$cache/prometheus-${sum:0:16}
if [ ! -d "$folder" ]; then
  mkdir -p "$cache"
  staging=$(mktemp -d "$cache/.staging.XXXXXX")
  trap 'rm -rf "$staging"' EXIT
  echo "unpacking Debian's prometheus into $folder, once" >&2
  # As root, apt-get warns that its own user cannot write to this folder, and downloads all the same.
  (cd "$staging" && apt-get -qq download prometheus) >&2
  mkdir "$staging/programs"
  dpkg-deb --extract "$staging"/prometheus_*.deb "$staging/package"
  mv "$staging"/package/usr/bin/prom* "$staging/programs"
  # Two runs at once may both do it: the first to rename wins.
  mv -T "$staging/programs" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
