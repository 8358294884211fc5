#!/bin/sh
# Installs those of the named programs that are missing, from Debian: what the
# tests and benchmarks drive and start themselves. Services are left stopped.
#
#	sh internal/tools/install.sh docker-registry etcd nginx
set -eu

missing= services=
for program; do
	if command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || [ -x "/usr/bin/$program" ]; then
		continue
	fi
	if [ "$program" = python3-yaml ] && /usr/bin/python3 -c 'import yaml' 2>/dev/null; then
		continue
	fi
	case $program in
	docker-registry) package=docker-registry services="$services docker-registry" ;;
	etcd) package=etcd-server services="$services etcd" ;;
	nginx) package=nginx-light services="$services nginx" ;;
	node) package=nodejs ;;
	curl | npm | python3 | python3-yaml | strace | wrk) package=$program ;;
	*)
		echo "install: $program is none of the programs that are known here: docker-registry, etcd, nginx, curl, node, npm, python3, python3-yaml, strace, wrk" >&2
		exit 2
		;;
	esac
	missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "install: run this as root, or:  apt-get install$missing" >&2
	exit 1
fi

install() {
	# RUNLEVEL=1 keeps invoke-rc.d from starting a service after the install.
	# shellcheck disable=SC2086 # a list of names
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}
install 2>/dev/null || { apt-get update -q >/dev/null && install; }
if [ -d /run/systemd/system ]; then
	for service in $services; do
		systemctl disable --now "$service.service"
	done
fi
