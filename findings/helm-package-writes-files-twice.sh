#!/bin/sh
# Helm 3.22.0 and 4.3.1: helm package of a chart that has one subchart as a
# directory and as a package below charts/.
#
# One would guess that it keeps both, or refuses. It unpacks the .tgz beside the
# directory: the archive has one directory, and each of its files twice, with the
# content of one copy and of the other.
#
# Seen: charts/sub/values.yaml stands twice in the archive, and no .tgz does.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export GOBIN="$dir/bin" GOFLAGS=-modcacherw
mkdir -p "$dir/parent/charts/sub"
printf 'apiVersion: v2\nname: parent\nversion: 1.0.0\n' >"$dir/parent/Chart.yaml"
printf 'apiVersion: v2\nname: sub\nversion: 1.0.0\n' >"$dir/parent/charts/sub/Chart.yaml"
printf 'from: package\n' >"$dir/parent/charts/sub/values.yaml"
for pkg in helm.sh/helm/v3/cmd/helm@v3.22.0 helm.sh/helm/v4/cmd/helm@v4.3.1; do
  go install "$pkg"
  rm -f "$dir"/parent/charts/*.tgz
  printf 'from: package\n' >"$dir/parent/charts/sub/values.yaml"
  "$dir/bin/helm" package -d "$dir/parent/charts" "$dir/parent/charts/sub" >/dev/null
  printf 'from: directory\n' >"$dir/parent/charts/sub/values.yaml"
  "$dir/bin/helm" package -d "$dir" "$dir/parent" >/dev/null
  values=$(tar tzf "$dir/parent-1.0.0.tgz" | grep -c '^parent/charts/sub/values.yaml$')
  packed=$(tar tzf "$dir/parent-1.0.0.tgz" | grep -c '\.tgz$' || true)
  content=$(tar xzOf "$dir/parent-1.0.0.tgz" parent/charts/sub/values.yaml | sort | tr '\n' ' ')
  echo "$("$dir/bin/helm" version --short): values.yaml $values times ($content), $packed packages inside"
  [ "$values $packed $content" = '2 0 from: directory from: package ' ] || { echo 'this has changed'; exit 1; }
done
