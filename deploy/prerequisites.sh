#!/bin/sh
# Tests and checks run against the real thing: Redis >= 7, HAProxy >= 2.6, nginx, openssl, promtool, curl.
# On Debian or Ubuntu as root this installs what is missing; elsewhere it says what to install, and fails.
# `--check [command…]` never installs, and asks only for the commands named.
set -eu

packages="redis-server redis-tools haproxy nginx openssl prometheus curl"
commands="redis-server redis-cli haproxy nginx openssl promtool curl"
check=
if [ "${1:-}" = --check ]; then
  check=yes
  shift
  commands=${*:-$commands}
fi

missing() {
  for command in $commands; do
    command -v "$command" >/dev/null 2>&1 || echo "$command"
  done
}

explain() {
  echo "missing: $(missing | tr '\n' ' ')" >&2
  echo "install with" >&2
  if command -v apt-get >/dev/null 2>&1; then
    echo "  sudo apt-get install --no-install-recommends $packages" >&2
  elif command -v brew >/dev/null 2>&1; then
    echo "  brew install redis haproxy nginx openssl prometheus curl" >&2
  elif command -v dnf >/dev/null 2>&1; then
    echo "  sudo dnf install redis haproxy nginx openssl golang-github-prometheus curl" >&2
  else
    echo "  your package manager: redis, haproxy, nginx, openssl, prometheus (for promtool), curl" >&2
  fi
}

install() {
  # Only the programs are wanted: without this file the packages would start a Redis on 6379, an HAProxy, an
  # nginx and a Prometheus as services. A policy that is already there is somebody else's decision, and stays.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt="apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
  export DEBIAN_FRONTEND=noninteractive
  echo "installing for the tests:" $packages >&2
  for attempt in 1 2 3; do
    if $apt update >&2 && $apt install --no-install-recommends $packages >&2; then return; fi
    echo "attempt $attempt failed" >&2
    sleep "$attempt"
  done
  return 1
}

# The first two numbers of a version, as one: 7.0.15 is 700, 2.6.12 is 206.
version() {
  set -- $("$@" | sed -n 's/^[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1)
  echo $((${1:-0} * 100 + ${2:-0}))
}

require() { # name, found, needed, words
  if [ "$2" -lt "$3" ]; then
    echo "$1 is too old: found $(($2 / 100)).$(($2 % 100)), $4" >&2
    exit 1
  fi
}

if [ -n "$(missing)" ] && [ -z "$check" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  install || true # what it could not bring is named below
fi
if [ -n "$(missing)" ]; then
  explain
  exit 1
fi

require redis-server "$(version redis-server --version)" 700 "needs 7 (functions): https://redis.io/docs/install"
require haproxy "$(version haproxy -v)" 206 "needs 2.6: https://haproxy.debian.net"
