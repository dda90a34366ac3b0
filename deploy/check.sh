#!/bin/sh
# `npm run check`: stops at the first step that fails.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"

step() {
  printf '\n== %s\n' "$1"
  shift
  "$@"
}

step prerequisites deploy/prerequisites.sh
step certificate deploy/certificate.sh
step "format and lint" biome check --error-on-warnings .
step promises eslint --max-warnings 0 .
step types tsc --noEmit
step "unused code" knip
step architecture vitest run test/architecture.test.ts
step "api documents" tsx deploy/documents.ts
step supply tsx deploy/supply.ts
step haproxy haproxy -dW -c -f haproxy.cfg
step nginx nginx -t -q -p . -c deploy/nginx.conf
printf '\nall checks passed\n'
