package site_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

const (
	oldSum = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	newSum = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

func named(t testing.TB, reference string) site.Named {
	t.Helper()
	r, err := ref.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return site.Named{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}
}

// pair is what the tests' sites are to say.
func pair(t testing.TB) site.Want {
	return site.Want{
		Version: "3.3.8", Source: "https://charts.example.edu",
		Images: map[ref.Role]site.Named{"hub": named(t, "gcr.io/x/hub:1.10@"+newSum), "singleuser": named(t, "gcr.io/x/user:new@"+newSum)},
		Bases:  map[ref.Role]site.Named{"hub": named(t, "quay.io/jupyterhub/k8s-hub:3.3.8@"+newSum)},
	}
}

var (
	dependency = site.Site{Kind: site.Dependency, File: "hub/requirements.yaml", Name: "jupyterhub"}
	image      = site.Site{Kind: site.Image, File: "hub/values.yaml", Path: "hub.image", Role: "hub"}
	imageRef   = site.Site{Kind: site.ImageRef, File: "hubploy.yaml", Path: "images.images.*.name", Repository: "gcr.io/x/user", Role: "singleuser"}
	from       = site.Site{Kind: site.From, File: "Dockerfile", Repository: "jupyterhub/k8s-hub", Role: "hub"}
)

func marker(key string) site.Site { return site.Site{Kind: site.Marker, File: "ci.sh", Path: key} }

// edits are files with the bytes that may change in [[old→new]].
var edits = []struct {
	name string
	site site.Site
	text string
}{
	{"dependency", dependency, "# top\ndependencies:\n - name: jupyterhub\n   # REMEMBER\n   version: [[3.3.7→3.3.8]] # why\n   repository: [[https://old.example/→https://charts.example.edu]]\n"},
	{"one-space list, others stay", dependency, "dependencies:\n- name: other\n  version: 1.0.0\n  repository: https://o\n- version: '[[3.3.7→3.3.8]]'\n  repository: \"[[https://old→https://charts.example.edu]]\"\n  name: jupyterhub\n"},
	{"flow", dependency, "dependencies: [{name: jupyterhub, version: [[3.3.7→3.3.8]], repository: [[\"https://o\"→\"https://charts.example.edu\"]]}, {name: b, version: 1.0.0}]"},
	{"CRLF", dependency, "dependencies:\r\n  - name: jupyterhub\r\n    version: [[3.3.7→3.3.8]]\r\n    repository: https://charts.example.edu/\r\n"},
	{"BOM, no final newline", dependency, "\ufeffdependencies:\n- {name: jupyterhub, repository: https://charts.example.edu}\n- name: b\n# end"},
	{"anchors beside", dependency, "x: &v 1.0.0\ny: *v\ndependencies:\n- name: jupyterhub\n  version: [[~3.3→3.3.8]]\n  repository: https://charts.example.edu\n"},
	{"block scalars", image, "a: |\n  hub:\n    image:\n      tag: x\nhub:\n  image:\n    name: gcr.io/x/hub\n    tag: [['1.9'→'1.10@" + newSum + "']] # c\nb: >-\n  tag: y\n"},
	{"image with digest in its tag", image, "hub:\n  image: {name: gcr.io/x/hub, tag: \"[[1.9@" + oldSum + "→1.10@" + newSum + "]]\"}\n"},
	{"image with a digest key", image, "hub:\n  image:\n    repository: gcr.io/x/hub\n    tag: [[1.9→\"1.10\"]]\n    digest: [[" + oldSum + "→" + newSum + "]]\n"},
	{"image with an empty digest", image, "hub:\n  image:\n    repository: gcr.io/x/hub\n    tag: '[[1.9→1.10]]'\n    digest: [[\"\"→\"" + newSum + "\"]]\n"},
	{"image from elsewhere", image, "hub:\n  image:\n    name: [[quay.io/jupyterhub/k8s-hub→gcr.io/x/hub]]\n    tag: [[2024-01-01→1.10@" + newSum + "]]\n"},
	{"image with a registry", image, "hub:\n  image:\n    registry: [[docker.io→gcr.io]]\n    repository: [[a/b→x/hub]]\n    tag: [[no→1.10@" + newSum + "]]\n"},
	{"second document", image, "a: 1\n---\n# two\nhub:\n  image:\n    name: gcr.io/x/hub\n    tag: [[0x10→1.10@" + newSum + "]]\n...\n---\nb: 2\n"},
	{"empty tag", image, "hub:\n  image:\n    name: gcr.io/x/hub\n    tag:[[→ 1.10@" + newSum + "]] # set me\n"},
	{"image-ref by repository", imageRef, "images:\n  images:\n    - name: gcr.io/x/other:1\n    - name: [[gcr.io/x/user:old→gcr.io/x/user:new@" + newSum + "]]\n"},
	{"image-ref in a list of another shape", imageRef, "images:\n  images:\n    - path: x\n    - name: {a: b}\n    - name: '[[gcr.io/x/user:old@" + oldSum + "→gcr.io/x/user:new@" + newSum + "]]'\n"},
	{"from", from, "# Should match\nFROM jupyterhub/k8s-hub:[[3.3.7→3.3.8]]\n\nUSER root\nRUN echo \\\n  # FROM jupyterhub/k8s-hub:1 \\\n  FROM jupyterhub/k8s-hub:2\n"},
	{"from with everything", from, "\ufeff# escape=`\r\nFROM --platform=linux/amd64 `\r\n  # why\r\n  quay.io/jupyterhub/k8s-hub:[[3.3.7→3.3.8]]@[[" + oldSum + "→" + newSum + "]] AS base\r\nFROM base\r\nFROM alpine:3\r\n"},
	{"from with a digest alone", from, "from jupyterhub/k8s-hub@[[" + oldSum + "→" + newSum + "]]"},
	{"from by ARG", from, "ARG BASE=\"jupyterhub/k8s-hub:[[3.3.7→3.3.8]]\"\nFROM ${BASE} AS a\nFROM $BASE\n"},
	{"from by ARG for the tag", from, "ARG OTHER=1 TAG=[[3.3.7→3.3.8]]\nFROM jupyterhub/k8s-hub:${TAG}\nARG TAG=9\n"},
	{"from by ARG for the repository", from, "ARG REPO=jupyterhub/k8s-hub\nARG BASE=${REPO}:[[3.3.7→3.3.8]]\nFROM ${BASE}\n"},
	{"from by a default in place", from, "ARG TAG\nFROM jupyterhub/k8s-hub:${TAG:-[[3.3.7→3.3.8]]}\n"},
	{"from beside a here-document", from, "FROM jupyterhub/k8s-hub:[[3.3.7→3.3.8]]\nRUN <<EOF\nFROM jupyterhub/k8s-hub:1\nEOF\nCOPY <<-'X' /a\n\tFROM jupyterhub/k8s-hub:1\n\tX\nRUN cat <<\"A B\" 3<<C\nFROM jupyterhub/k8s-hub:1\nA B\n C\nFROM jupyterhub/k8s-hub:1\nC\n"},
	{"marker at the end of a line", marker("chart.version"), "helm upgrade --version [[3.3.7→3.3.8]] # chartctl: chart.version\n"},
	{"marker above", marker("image.hub.tag"), "\ufeff# chartctl: image.hub.tag\nTAG=\"[[1.9→1.10]]\"\nOTHER=1\n"},
	{"marker keeps the digest", marker("image.hub.tag"), "TAG='[[1.9@" + oldSum + "→1.10@" + newSum + "]]'; // chartctl: image.hub.tag\r\n"},
	{"marker of a reference", marker("image.hub"), "\"hub\": \"[[gcr.io/x/hub:1.9→gcr.io/x/hub:1.10@" + newSum + "]]\", // chartctl: image.hub\n"},
	{"marker of a digest", marker("image.hub.digest"), "<a d=\"[[" + oldSum + "→" + newSum + "]]\" <!-- chartctl: image.hub.digest -->"},
	{"marker of a repository", marker("image.hub.repository"), "repo = [[a/b→gcr.io/x/hub]] ; chartctl: image.hub.repository\n"},
	{"marker of a base", marker("base.hub.tag"), "--build-arg TAG=[[3.3.7→3.3.8]] \\ # chartctl: base.hub.tag\n"},
	{"marker of the source", marker("chart.source"), "helm repo add x [[https://old→https://charts.example.edu]] # chartctl: chart.source\n"},
	{"marker with a label", site.Site{Kind: site.Marker, File: "a.yaml", Path: "image.hub.tag", Name: "b"}, "a: 1.9 # chartctl: image.hub.tag @a\nb: [[1.9→\"1.10\"]] # chartctl: image.hub.tag @b\n"},
}

// cut makes the file before and after out of a text with marks.
func cut(t testing.TB, text string) (before, after []byte) {
	for {
		plain, rest, ok := strings.Cut(text, "[[")
		before, after = append(before, plain...), append(after, plain...)
		if !ok {
			return before, after
		}
		mark, rest, ok := strings.Cut(rest, "]]")
		from, to, arrow := strings.Cut(mark, "→")
		if !ok || !arrow {
			t.Fatalf("bad mark in %q", text)
		}
		before, after = append(before, from...), append(after, to...)
		text = rest
	}
}

func TestEdit(t *testing.T) {
	for _, c := range edits {
		t.Run(c.name, func(t *testing.T) {
			before, after := cut(t, c.text)
			if c.name == "BOM, no final newline" {
				if _, err := c.site.Edit(before, pair(t)); !errors.Is(err, site.ErrMissing) {
					t.Fatalf("a dependency without version: %v", err)
				}
				return
			}
			got, err := c.site.Edit(before, pair(t))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(after), string(got)); d != "" {
				t.Fatalf("want other bytes (-want +got):\n%s", d)
			}
			// Once there, nothing is left to do or to find.
			if again, err := c.site.Edit(got, pair(t)); err != nil || !bytes.Equal(again, got) {
				t.Errorf("a second edit changes it again: %v\n%s", err, again)
			}
			if found, err := c.site.Check(got, pair(t)); err != nil || len(found) > 0 {
				t.Errorf("after the edit: %v, %v", found, err)
			}
			if found, err := c.site.Check(before, pair(t)); err != nil || len(found) == 0 || found[0].Line == 0 || found[0].Want == "" {
				t.Errorf("before the edit: %v, %v", found, err)
			}
		})
	}
}

// Editing to what a site says already gives the same bytes, and back again
// gives the file as it was.
func TestUndo(t *testing.T) {
	for _, c := range edits {
		before, _ := cut(t, c.text)
		v, err := c.site.Read(before)
		if err != nil || v.Digest.IsZero() && c.site.Kind != site.From && c.site.Kind != site.Dependency {
			continue // a tag without its digest is not what an edit leaves
		}
		was := site.Want{Version: v.Version, Source: v.Repository}
		if c.site.Kind != site.Dependency {
			n := site.Named{Tag: v.Tag, Digest: v.Digest, Repository: pair(t).Images[c.site.Role].Repository}
			if c.site.Kind == site.From || strings.HasPrefix(c.site.Path, "base") {
				n.Repository = pair(t).Bases["hub"].Repository
			}
			role := c.site.Role
			if role == "" {
				role = "hub"
			}
			was = site.Want{Images: map[ref.Role]site.Named{role: n}}
		}
		same, err := c.site.Edit(before, was)
		if err != nil || !sameButQuotes(same, before) {
			t.Errorf("%s: an edit to what is there: %v\n%s", c.name, err, same)
		}
		there, err := c.site.Edit(before, pair(t))
		if err != nil {
			t.Fatal(err)
		}
		back, err := c.site.Edit(there, was)
		if err != nil || !sameButQuotes(back, before) {
			t.Errorf("%s: there and back: %v\n%s", c.name, err, cmp.Diff(string(before), string(back)))
		}
	}
}

// Quotes that a value in between needed may stay.
func sameButQuotes(a, b []byte) bool {
	plain := func(s []byte) string { return strings.NewReplacer(`"`, "", `'`, "").Replace(string(s)) }
	return plain(a) == plain(b)
}

// A version that YAML would read as a number is written and told in quotes.
func TestAwkwardVersions(t *testing.T) {
	for _, tag := range []string{"1.10", "012", "1e3", "1234e56", "no", "null", "1234567890123456789", "2024-01-01", "0x10", "1_0"} {
		w := site.Want{Images: map[ref.Role]site.Named{"hub": {Repository: named(t, "gcr.io/x/hub").Repository, Tag: tag}}}
		doc := []byte("hub:\n  image: {name: gcr.io/x/hub, tag: a}\n")
		got, err := image.Edit(doc, w)
		if err != nil || string(got) != "hub:\n  image: {name: gcr.io/x/hub, tag: \""+tag+"\"}\n" {
			t.Errorf("%s: %v %s", tag, err, got)
		}
		bare := []byte("hub:\n  image: {name: gcr.io/x/hub, tag: " + tag + "}\n")
		if got, err := image.Edit(bare, w); err != nil || !strings.Contains(string(got), `tag: "`) {
			t.Errorf("%s stays without quotes: %v %s", tag, err, got)
		}
	}
	doc := []byte("dependencies:\n- {name: jupyterhub, version: 1.10, repository: x}\n")
	found, err := dependency.Check(doc, site.Want{Version: "1.10"})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Found, "without quotes") {
		t.Errorf("%v %v", found, err)
	}
}
