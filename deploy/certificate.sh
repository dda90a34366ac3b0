#!/bin/sh
# Writes the test certificate that haproxy.cfg names: certificate and key in one file, as HAProxy reads them.
# It keeps one that is good for another week, so it can be called before everything.
set -eu
cd "$(dirname "$0")/.."

file=.tidegate/certificate.pem
week=604800

if openssl x509 -in "$file" -noout -checkend "$week" >/dev/null 2>&1; then exit 0; fi

umask 077
mkdir -p .tidegate
new=$(mktemp -d .tidegate/certificate.XXXXXX)
trap 'rm -rf "$new"' EXIT

openssl req -x509 -days 90 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
  -subj /CN=localhost -addext "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" \
  -addext extendedKeyUsage=serverAuth \
  -keyout "$new/key.pem" -out "$new/certificate.pem" 2>"$new/errors" || { cat "$new/errors" >&2; exit 1; }
cat "$new/certificate.pem" "$new/key.pem" >"$new/both.pem"
mv "$new/both.pem" "$file" # in one step: a running HAProxy or a parallel call never reads half a file
echo "made $file, self-signed for localhost, 90 days"
