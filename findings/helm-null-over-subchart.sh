#!/bin/sh
# Helm 3.22.0 and 4.3.1: null in a parent chart's values.yaml, over a default of
# its subchart.
#
# Setting a default to null is how a chart takes it away. One would guess that a
# parent's values.yaml does that for its subchart in both; in Helm 4 the subchart's
# default comes back.
#
# Seen: Helm 3 renders the subchart without the limit, Helm 4 with it.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export GOBIN="$dir/bin" GOFLAGS=-modcacherw
mkdir -p "$dir/parent/charts/sub/templates"
printf 'apiVersion: v2\nname: parent\nversion: 1.0.0\n' >"$dir/parent/Chart.yaml"
printf 'sub:\n  limits:\n    memory: null\n' >"$dir/parent/values.yaml"
printf 'apiVersion: v2\nname: sub\nversion: 1.0.0\n' >"$dir/parent/charts/sub/Chart.yaml"
printf 'limits:\n  memory: 1G\n' >"$dir/parent/charts/sub/values.yaml"
cat >"$dir/parent/charts/sub/templates/out.yaml" <<'CHART'
apiVersion: v1
kind: ConfigMap
metadata: {name: out}
data:
  memory: {{ .Values.limits.memory | default "none" | quote }}
CHART
seen=
for pkg in helm.sh/helm/v3/cmd/helm@v3.22.0 helm.sh/helm/v4/cmd/helm@v4.3.1; do
  go install "$pkg"
  got=$("$dir/bin/helm" template demo "$dir/parent" | sed -n 's/^  memory: //p')
  echo "$("$dir/bin/helm" version --short): $got"
  seen="$seen$got|"
done
want='"none"|"1G"|'
[ "$seen" = "$want" ] || { echo "this has changed: expected $want"; exit 1; }
