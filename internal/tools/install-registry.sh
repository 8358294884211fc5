#!/bin/sh
# Installs Debian's docker-registry (the CNCF distribution), for tests and the
# demo, which start it themselves. The system's own service is left stopped.
set -eu

if command -v docker-registry >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "install-registry: docker-registry is missing; run this as root, or: apt-get install docker-registry" >&2
	exit 1
fi

# RUNLEVEL=1 keeps invoke-rc.d from starting the service after the install.
install() {
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends docker-registry >/dev/null
}
install 2>/dev/null || { apt-get update -q >/dev/null && install; }

if [ -d /run/systemd/system ]; then
	systemctl disable --now docker-registry.service
fi
command -v docker-registry >/dev/null
