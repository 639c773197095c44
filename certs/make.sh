#!/usr/bin/env bash
# usage: make.sh [DNS-NAME | IP-ADDRESS]...
#
# Makes a certificate authority and a serving certificate for development, in the folder of this script: ca.crt, tls.crt and
# tls.key. They are never committed (.gitignore); the authority's key is not even kept. Names default to localhost and to the
# webhook's Service as the API server calls it.
#
#   certs/make.sh
#   pullcred webhook --config examples/pullcred.yaml --tls-cert certs/tls.crt --tls-key certs/tls.key
#
# and `base64 -w0 certs/ca.crt` is the caBundle of a webhook configuration.
set -euo pipefail

command -v openssl >/dev/null || { echo "$0 needs openssl: install the package of that name" >&2; exit 2; }
[ $# -gt 0 ] || set -- localhost 127.0.0.1 ::1 pullcred-webhook.pullcred.svc
names=
for name in "$@"; do
  case $name in
    -*) echo "usage: $0 [DNS-NAME | IP-ADDRESS]..." >&2; exit 2 ;;
    *:* | *[0-9].*[0-9].*[0-9].*[0-9]) names=$names,IP:$name ;;
    *) names=$names,DNS:$name ;;
  esac
done

umask 077
cd "$(dirname "${BASH_SOURCE[0]}")"
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

key "$staging/ca.key"
openssl req -x509 -new -key "$staging/ca.key" -sha256 -days 365 -subj '/CN=pullcred development CA' \
  -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' -addext 'keyUsage=critical,keyCertSign,cRLSign' -out "$staging/ca.crt"
key "$staging/tls.key"
openssl req -new -key "$staging/tls.key" -subj '/CN=pullcred' -out "$staging/tls.csr"
openssl x509 -req -in "$staging/tls.csr" -CA "$staging/ca.crt" -CAkey "$staging/ca.key" -CAcreateserial -sha256 -days 90 \
  -out "$staging/tls.crt" 2>/dev/null -extfile <(
    echo 'basicConstraints=critical,CA:FALSE'
    echo 'keyUsage=critical,digitalSignature'
    echo 'extendedKeyUsage=serverAuth'
    echo "subjectAltName=${names#,}"
  )
openssl verify -CAfile "$staging/ca.crt" "$staging/tls.crt" >/dev/null
# Certificate and key are replaced together, as far as two files can be: a running webhook keeps the old pair until both fit.
mv "$staging/ca.crt" "$staging/tls.key" "$staging/tls.crt" .
echo "made certs/ca.crt, certs/tls.crt and certs/tls.key for ${names#,}"
