#!/bin/sh
# Installs what the benchmarks put beside chartd, from Debian: nginx, and wrk
# for the load. etcd has a script of its own. Services are left stopped.
set -eu

missing=
for program in nginx wrk; do
	command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ] || missing="$missing $program"
done
missing=$(echo "$missing" | sed 's/nginx/nginx-light/')
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "install-bench:$missing missing; run this as root, or: apt-get install$missing" >&2
	exit 1
fi
install() {
	# RUNLEVEL=1 keeps invoke-rc.d from starting the service after the install.
	# shellcheck disable=SC2086 # a list of names
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}
install 2>/dev/null || { apt-get update -q >/dev/null && install; }
if [ -d /run/systemd/system ]; then
	systemctl disable --now nginx.service
fi
