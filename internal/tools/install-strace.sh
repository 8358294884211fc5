#!/usr/bin/env bash
# Installs strace, with which crash tests inject faults into system calls.
set -euo pipefail
sudo=()
if [ "$(id -u)" != 0 ]; then sudo=(sudo); fi
if ! command -v apt-get >/dev/null; then
  echo "install-strace: no apt-get here; install strace with your system's package manager" >&2
  exit 1
fi
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace
