package manifest

import (
	"strings"
	"testing"
)

const digestText = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	d, err := Parse("x/templates/a.yaml", `
kind: Pod
metadata: {name: a, annotations: {helm.sh/hook: test}}
spec:
  containers: [{image: a}, {image: b, ports: []}]
  count: 1.50
  big: 12345678901234567890
  yes: true
  none: ~
`)
	if err != nil || d.Kind != "Pod" || d.Name != "a" || !d.Hook {
		t.Fatalf("%v, %+v", err, d)
	}
	var lines []string
	for _, l := range d.Leaves {
		lines = append(lines, strings.Join(l.Path, ".")+" "+string(rune(l.Type))+" "+l.Value)
	}
	want := `kind s Pod
metadata.annotations.helm.sh/hook s test
metadata.name s a
spec.big n 12345678901234567890
spec.containers.0.image s a
spec.containers.1.image s b
spec.containers.1.ports e []
spec.count n 1.5
spec.none 0 null
spec.true b true`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if d, err := Parse("x", "# nothing\n"); err != nil || d.Leaves != nil {
		t.Errorf("a comment: %v, %+v", err, d)
	}
	if _, err := Parse("x", "a: ["); err == nil || !strings.Contains(err.Error(), "a document of x") {
		t.Errorf("no YAML: %v", err)
	}
}

func TestParseReference(t *testing.T) {
	for s, want := range map[string]Reference{
		"nginx":                       {Path: "nginx"},
		"nginx:1.25":                  {Path: "nginx", Tag: "1.25"},
		"example/app:v1":              {Path: "example/app", Tag: "v1"},
		"localhost:5000/app:v1":       {Host: "localhost:5000", Path: "app", Tag: "v1"},
		"quay.io/a/b/c@" + digestText: {Host: "quay.io", Path: "a/b/c", Digest: digestText},
		"quay.io/a:1@" + digestText:   {Host: "quay.io", Path: "a", Tag: "1", Digest: digestText},
	} {
		if got, ok := ParseReference(s); !ok || got != want {
			t.Errorf("%s: %v, %+v", s, ok, got)
		}
		if got := Split(s); got != want {
			t.Errorf("split %s: %+v", s, got)
		}
	}
	for _, s := range []string{"", "Nginx", "a:b:c", "quay.io/a:", "a b", "quay.io/a@sha256:12", "https://quay.io/a:1"} {
		if got, ok := ParseReference(s); ok {
			t.Errorf("%q is taken: %+v", s, got)
		}
	}
	if got, want := Split("quay.io/a:2.9e+07"), (Reference{Host: "quay.io", Path: "a", Tag: "2.9e+07"}); got != want {
		t.Errorf("got %+v", got)
	}
}

func TestCanonical(t *testing.T) {
	for s, want := range map[string]string{
		"nginx": "docker.io/library/nginx", "example/app": "docker.io/example/app", "docker.io/nginx": "docker.io/library/nginx",
		"index.docker.io/a/b": "docker.io/a/b", "quay.io/a": "quay.io/a", "localhost:5000/a": "localhost:5000/a",
	} {
		if got := Canonical(s); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}

func TestReferences(t *testing.T) {
	leaf := func(path, value string) Leaf { return Leaf{strings.Split(path, "."), String, value} }
	cases := []struct {
		leaf Leaf
		want string
	}{
		{leaf("spec.containers.0.image", "nginx"), "nginx"},
		{leaf("spec.initContainers.12.image", "UPPER:x"), "UPPER:x"},
		{leaf("spec.volumes.0.image.reference", "quay.io/a:1"), "quay.io/a:1"},
		{leaf("spec.image", "example/app:1"), "example/app:1"},
		{leaf("spec.image", "no reference at all"), ""},
		{leaf("spec.args.0", "--image=quay.io/a/b:v1.2"), "quay.io/a/b:v1.2"},
		{leaf("spec.args.0", "quay.io/a:1,registry.example.com:5000/b@"+digestText), "quay.io/a:1 registry.example.com:5000/b@" + digestText},
		{leaf("spec.args.0", "https://quay.io/a:1"), ""},
		{leaf("spec.args.0", "http://example.com:8080/x"), ""},
		{leaf("spec.args.0", "example/app:1"), ""},
		{leaf("spec.args.0", "quay.io/a"), ""},
		{leaf("metadata.annotations.x", "a: quay.io/a:1\n"), "quay.io/a:1"},
		{Leaf{[]string{"containers", "0", "image"}, Number, "1"}, ""},
	}
	for _, c := range cases {
		var got []string
		for _, s := range c.leaf.References() {
			got = append(got, c.leaf.Value[s.From:s.To])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %q: %q, want %q", strings.Join(c.leaf.Path, "."), c.leaf.Value, got, c.want)
		}
	}
}
