#!/bin/sh
# Helm 3.22.0 and 4.3.1: a key of values.yaml that YAML 1.1 reads as a boolean:
# y, n, yes, no, on, off.
#
# One would guess that `off:` is the key "off", since the keys of values are text,
# and that two keys of different spelling are two. Helm reads "true" or "false" in
# place of both: .Values.off is empty, `off:` and `no:` are one key of which the last
# one wins without a word, and a values file with `off:` overrides `no:`. --set off=
# does not: there the key is "off", a third one.
#
# Seen, from both: {"false":"second","true":"third"}, with --set off=x besides
# "off":"x", and with a file that says `off: file` "false":"file".
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export GOBIN="$dir/bin" GOFLAGS=-modcacherw
mkdir -p "$dir/chart/templates"
printf 'apiVersion: v2\nname: demo\nversion: 1.0.0\n' >"$dir/chart/Chart.yaml"
printf 'off: first\nno: second\nyes: third\n' >"$dir/chart/values.yaml"
printf 'off: file\n' >"$dir/over.yaml"
printf 'off: {{ .Values.off }}\nvalues: {{ .Values | toJson }}\n' >"$dir/chart/templates/out.yaml"
seen=
for pkg in helm.sh/helm/v3/cmd/helm@v3.22.0 helm.sh/helm/v4/cmd/helm@v4.3.1; do
  go install "$pkg"
  for over in "" "--set off=x" "-f $dir/over.yaml"; do
    # shellcheck disable=SC2086 # two words
    got=$("$dir/bin/helm" template demo "$dir/chart" $over | sed -n 's/^values: //p; s/^off: *$/no .Values.off/p' | tr '\n' ' ')
    echo "$("$dir/bin/helm" version --short) $over: $got"
    seen="$seen$got|"
  done
done
one='no .Values.off {"false":"second","true":"third"} |{"false":"second","off":"x","true":"third"} |no .Values.off {"false":"file","true":"third"} |'
[ "$seen" = "$one$one" ] || { echo "this has changed: expected $one twice"; exit 1; }
