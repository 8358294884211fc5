package site_test

import (
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

func TestRefused(t *testing.T) {
	star := site.Site{Kind: site.ImageRef, File: "c.yaml", Path: "list.*.kubespawner_override.image", Repository: "gcr.io/x/user", Role: "singleuser"}
	template := image
	template.File = "values.yaml.gotmpl"
	guarded := image
	guarded.Repository = "gcr.io/x/hub"
	for _, c := range []struct {
		name string
		site site.Site
		doc  string
		want error
		at   string // FILE:LINE: and the start of the sentence
	}{
		{"no dependency", dependency, "dependencies:\n- name: x\n  version: 1\n", site.ErrMissing, `hub/requirements.yaml: dependency "jupyterhub" is not there`},
		{"in a comment", dependency, "dependencies:\n# - name: jupyterhub\n- name: x\n", site.ErrMissing, `hub/requirements.yaml: `},
		{"in a string", dependency, "dependencies: |\n  - name: jupyterhub\n", site.ErrMissing, `hub/requirements.yaml: `},
		{"twice", dependency, "dependencies:\n- {name: jupyterhub, version: 1.0.0}\n- {name: jupyterhub, version: 1.0.0, alias: b}\n", site.ErrDoubled, `hub/requirements.yaml:3: dependency "jupyterhub" is found 2 times, first in line 2`},
		{"key twice", dependency, "dependencies:\n- name: jupyterhub\n  version: 1.0.0\n  version: 1.0.1\n", site.ErrDoubled, `hub/requirements.yaml:`},
		{"alias", dependency, "v: &v 1.0.0\ndependencies:\n- {name: jupyterhub, version: *v}\n", site.ErrShared, `hub/requirements.yaml:3: dependencies.0.version`},
		{"shared", dependency, "dependencies:\n- {name: jupyterhub, version: &v 1.0.0}\nother: *v\n", site.ErrShared, `hub/requirements.yaml:2: `},
		{"aliased item", dependency, "a: &a {name: jupyterhub, version: 1.0.0}\ndependencies:\n- *a\n", site.ErrShared, `hub/requirements.yaml:3: `},
		{"aliased list", dependency, "a: &a [{name: jupyterhub, version: 1.0.0}]\ndependencies: *a\n", site.ErrShared, `hub/requirements.yaml:2: dependencies is an alias`},
		{"merge key", image, "a: &a {tag: x, name: b}\nhub:\n  image:\n    <<: *a\n", site.ErrShared, `hub/values.yaml:4: hub.image.tag`},
		{"template value", dependency, "dependencies:\n- name: jupyterhub\n  version: \"{{ .Values.v }}\"\n", site.ErrTemplate, `hub/requirements.yaml:3: `},
		{"template map", image, "hub:\n  image:\n    name: gcr.io/x/hub\n    tag: {{ .Values.v }}\n", site.ErrTemplate, `hub/values.yaml:4: `},
		{"template line", image, "hub:\n  {{- if .x }}\n  image: {name: a/b, tag: c}\n  {{- end }}\n", site.ErrTemplate, `hub/values.yaml:2: `},
		{"template comment", image, "# {{- if .x }}\nhub:\n  image: {name: a/b, tag: c}\n", site.ErrTemplate, `hub/values.yaml:1: `},
		{"gotmpl", template, "hub:\n  image: {name: a/b, tag: c}\n", site.ErrTemplate, `values.yaml.gotmpl: `},
		{"no map", image, "hub:\n  image: a/b:c\n", site.ErrForm, `hub/values.yaml:2: hub.image is one value`},
		{"no name", image, "hub:\n  image:\n    tag: c\n", site.ErrForm, `hub/values.yaml:3: hub.image has a tag and neither`},
		{"no tag", image, "hub:\n  image:\n    name: a/b\n", site.ErrMissing, `hub/values.yaml:3: hub.image.tag`},
		{"block scalar", image, "hub:\n  image:\n    name: a/b\n    tag: |-\n      c\n", site.ErrForm, `hub/values.yaml:4: `},
		{"two documents", image, "hub: {image: {name: a/b, tag: c}}\n---\nhub: {image: {name: a/b, tag: c}}\n", site.ErrDoubled, `hub/values.yaml:3: `},
		{"UTF-16", image, "\xff\xfeh\x00", site.ErrSyntax, `hub/values.yaml: `},
		{"tab", image, "hub:\n\timage: x\n", site.ErrSyntax, `hub/values.yaml: `},
		{"another repository", guarded, "hub:\n  image: {name: a/b, tag: c}\n", site.ErrMissing, `hub/values.yaml:2: hub.image names the repository "a/b"`},
		{"not in the list", star, "list:\n- kubespawner_override: {image: gcr.io/x/other:1}\n- kubespawner_override: {cpu: 1}\n", site.ErrMissing, `c.yaml: `},
		{"twice in the list", star, "list:\n- kubespawner_override: {image: gcr.io/x/user:1}\n- kubespawner_override: {image: gcr.io/x/user:1}\n", site.ErrDoubled, `c.yaml:3: `},
		{"alias in the list", star, "a: &a gcr.io/x/user:1\nlist:\n- kubespawner_override: {image: *a}\n", site.ErrShared, `c.yaml:3: `},
		{"no FROM", from, "FROM alpine\n", site.ErrMissing, `Dockerfile: FROM jupyterhub/k8s-hub is not there`},
		{"only in comments", from, "# FROM jupyterhub/k8s-hub:1\nFROM alpine:3\nRUN echo FROM jupyterhub/k8s-hub:1\n", site.ErrMissing, `Dockerfile: `},
		{"two stages", from, "FROM jupyterhub/k8s-hub:1 AS a\nFROM quay.io/jupyterhub/k8s-hub:2\n", site.ErrDoubled, `Dockerfile:2: `},
		{"behind what is no here-document", from, "FROM jupyterhub/k8s-hub:1 AS a\nRUN grep -q x <<<\"$A\"\nRUN echo $((1 << 3)) \"<<EOF\" <<LOST\nFROM jupyterhub/k8s-hub:2\n", site.ErrDoubled, `Dockerfile:4: `},
		{"no tag in FROM", from, "FROM jupyterhub/k8s-hub\n", site.ErrForm, `Dockerfile:1: FROM "jupyterhub/k8s-hub" names neither`},
		{"ARG without a default", from, "ARG BASE\nFROM ${BASE}\n", site.ErrForm, `Dockerfile:2: FROM uses the ARG BASE, which has no default`},
		{"ARG twice", from, "ARG TAG=1\nARG TAG=2\nFROM jupyterhub/k8s-hub:$TAG\n", site.ErrForm, `Dockerfile:3: FROM uses the ARG TAG, which is given twice`},
		{"tag in pieces", from, "ARG A=3\nFROM jupyterhub/k8s-hub:${A}.3\n", site.ErrForm, `Dockerfile:2: the tag "3.3" of FROM is put together from pieces`},
		{"split over lines", from, "FROM jupyterhub/k8s-hub:3\\\n.3\n", site.ErrForm, `Dockerfile:1: the tag "3.3" of FROM is put together`},
		{"templated Dockerfile", from, "FROM jupyterhub/k8s-hub:{{ tag }}\n", site.ErrTemplate, `Dockerfile:1: `},
		{"merge conflict", marker("chart.version"), "x\n<<<<<<< HEAD\nx 1.0.0 # chartctl: chart.version\n=======\n>>>>>>> b\n", site.ErrConflict, `ci.sh:2: git's conflict markers`},
		{"no marker", marker("chart.version"), "x 1.0.0 # chartctl: chart.source\n", site.ErrMissing, `ci.sh: the comment "chartctl: chart.version" is not there`},
		{"bad marker", marker("chart.version"), "x 1.0.0 # chartctl: chart.versoin\n", site.ErrForm, `ci.sh:1: `},
		{"marker with more words", marker("chart.version"), "x 1.0.0 # chartctl: chart.version and more\n", site.ErrForm, `ci.sh:1: `},
		{"two markers", marker("chart.version"), "x 1.0.0 # chartctl: chart.version\ny 1.0.0 # chartctl: chart.version\n", site.ErrDoubled, `ci.sh:2: `},
		{"marker on the last line", marker("chart.version"), "# chartctl: chart.version\n", site.ErrMissing, `ci.sh:1: `},
		{"marked no version", marker("chart.version"), "x latest # chartctl: chart.version\n", site.ErrForm, `ci.sh:1: "latest" on the marked line is no version`},
		{"marked nothing", marker("chart.version"), "# chartctl: chart.version\n\nx 1.0.0\n", site.ErrForm, `ci.sh:2: there is no value`},
		{"marked twice", marker("chart.version"), "# chartctl: image.hub.tag\nx 1.0.0 # chartctl: chart.version\n", site.ErrForm, `ci.sh:2: a marker stands above`},
		{"marker above a marker", marker("chart.version"), "# chartctl: chart.version\n# chartctl: chart.version\nx 1.0.0\n", site.ErrForm, `ci.sh:2: a marker stands above`},
		{"marked template", marker("chart.version"), "x {{ v }} 1.0.0 # chartctl: chart.version\n", site.ErrTemplate, `ci.sh:1: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.site.Read([]byte(c.doc))
			var e *site.Error
			if !errors.Is(err, c.want) || !errors.As(err, &e) || !strings.HasPrefix(err.Error(), c.at) {
				t.Fatalf("%v\nwant %v at %s", err, c.want, c.at)
			}
			if _, err := c.site.Edit([]byte(c.doc), pair(t)); !errors.Is(err, c.want) {
				t.Errorf("edit: %v", err)
			}
			if _, err := c.site.Check([]byte(c.doc), pair(t)); !errors.Is(err, c.want) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// Several places move together only where the site says how many they are.
func TestCount(t *testing.T) {
	s := site.Site{Kind: site.ImageRef, File: "c.yaml", Path: "list.*.image", Repository: "gcr.io/x/user", Role: "singleuser", Count: 2}
	doc := []byte("list:\n- image: gcr.io/x/user:1\n- image: gcr.io/x/other:1\n- image: gcr.io/x/user:1\n")
	got, err := s.Edit(doc, pair(t))
	want := "list:\n- image: gcr.io/x/user:new@" + newSum + "\n- image: gcr.io/x/other:1\n- image: gcr.io/x/user:new@" + newSum + "\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := s.Read([]byte("list:\n- image: gcr.io/x/user:1\n- image: gcr.io/x/user:2\n")); !errors.Is(err, site.ErrForm) {
		t.Errorf("different values: %v", err)
	}
	s.Count = 3
	if _, err := s.Read(doc); !errors.Is(err, site.ErrMissing) {
		t.Errorf("one too few: %v", err)
	}
}

// A half that is not in the pair is left alone, whatever is written there.
func TestOtherHalves(t *testing.T) {
	w := site.Want{Version: "3.3.8"}
	for _, s := range []site.Site{image, imageRef, from, marker("image.hub")} {
		doc := []byte("{{ nothing that can be read")
		if got, err := s.Edit(doc, w); err != nil || string(got) != string(doc) {
			t.Errorf("%s: %v %s", s, err, got)
		}
		if found, err := s.Check(doc, w); err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", s, err, found)
		}
	}
}

// A site for one repository is not turned to another silently.
func TestOtherRepository(t *testing.T) {
	guarded := image
	guarded.Repository = "gcr.io/x/mine"
	w := pair(t)
	if _, err := guarded.Edit([]byte("hub: {image: {name: gcr.io/x/mine, tag: a}}\n"), w); !errors.Is(err, site.ErrForm) {
		t.Errorf("image: %v", err)
	}
	w.Bases["hub"] = named(t, "quay.io/other/base:1")
	if _, err := from.Edit([]byte("FROM jupyterhub/k8s-hub:1\n"), w); !errors.Is(err, site.ErrForm) {
		t.Errorf("from: %v", err)
	}
}

// A pair without a digest does not leave an old one beside a new tag.
func TestNoDigest(t *testing.T) {
	w := site.Want{Images: map[ref.Role]site.Named{"hub": named(t, "gcr.io/x/hub:2")}, Bases: map[ref.Role]site.Named{"hub": named(t, "quay.io/jupyterhub/k8s-hub:2")}}
	if got, err := image.Edit([]byte("hub: {image: {name: gcr.io/x/hub, tag: a, digest: "+oldSum+"}}\n"), w); !errors.Is(err, site.ErrForm) {
		t.Errorf("%v %s", err, got)
	}
	if got, err := from.Edit([]byte("FROM jupyterhub/k8s-hub:1@"+oldSum+"\n"), w); !errors.Is(err, site.ErrForm) {
		t.Errorf("%v %s", err, got)
	}
	if got, err := image.Edit([]byte("hub: {image: {name: gcr.io/x/hub, tag: a@"+oldSum+"}}\n"), w); err != nil || string(got) != "hub: {image: {name: gcr.io/x/hub, tag: \"2\"}}\n" {
		t.Errorf("%v %s", err, got)
	}
}

func TestWeak(t *testing.T) {
	found, err := image.Check([]byte("hub: {image: {name: gcr.io/x/hub, tag: \"1.10\"}}\n"), pair(t))
	if err != nil || len(found) != 1 || !found[0].Weak {
		t.Errorf("a tag without its digest: %v %v", found, err)
	}
	found, err = image.Check([]byte("hub: {image: {name: gcr.io/x/hub, tag: \"1.10@"+oldSum+"\"}}\n"), pair(t))
	if err != nil || len(found) != 1 || found[0].Weak {
		t.Errorf("another digest: %v %v", found, err)
	}
}
