#!/bin/sh
# Helm 3.22.0 and 4.3.1: a key that a chart's own values.yaml sets to null.
#
# One would guess that both give the templates the same .Values. Helm 3 has the
# key with the value null; Helm 4 has no such key. A template that asks with hasKey,
# ranges over a map or prints one as YAML or JSON renders otherwise, without a
# word from either.
#
# Seen: Helm 3 prints {"a":null,"b":1} and hasKey is true, Helm 4 prints {"b":1}
# and false.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export GOBIN="$dir/bin" GOFLAGS=-modcacherw
mkdir -p "$dir/chart/templates"
printf 'apiVersion: v2\nname: demo\nversion: 1.0.0\n' >"$dir/chart/Chart.yaml"
printf 'map:\n  a: null\n  b: 1\n' >"$dir/chart/values.yaml"
cat >"$dir/chart/templates/out.yaml" <<'CHART'
apiVersion: v1
kind: ConfigMap
metadata: {name: out}
data:
  map: {{ .Values.map | toJson | quote }}
  has: {{ hasKey .Values.map "a" | quote }}
CHART
seen=
for pkg in helm.sh/helm/v3/cmd/helm@v3.22.0 helm.sh/helm/v4/cmd/helm@v4.3.1; do
  go install "$pkg"
  got=$("$dir/bin/helm" template demo "$dir/chart" | sed -n 's/^  \(map\|has\): //p' | tr '\n' ' ')
  echo "$("$dir/bin/helm" version --short): $got"
  seen="$seen$got|"
done
want='"{\"a\":null,\"b\":1}" "true" |"{\"b\":1}" "false" |'
[ "$seen" = "$want" ] || { echo "this has changed: expected $want"; exit 1; }
