#!/bin/sh
# Installs Debian's etcd, in which the tests' Kubernetes API server keeps its
# objects; they start it themselves. The system's own service is left stopped.
set -eu

if command -v etcd >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "install-etcd: etcd is missing; run this as root, or: apt-get install etcd-server" >&2
	exit 1
fi

# RUNLEVEL=1 keeps invoke-rc.d from starting the service after the install.
install() {
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends etcd-server >/dev/null
}
install 2>/dev/null || { apt-get update -q >/dev/null && install; }

if [ -d /run/systemd/system ]; then
	systemctl disable --now etcd.service
fi
command -v etcd >/dev/null
