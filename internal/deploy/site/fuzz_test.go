package site_test

import (
	"bytes"
	"testing"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

func digestOf(s string) string { return ref.DigestOf([]byte(s)).String() }

// spanned checks that an edit replaced only the bytes of the value.
func spanned(t *testing.T, s site.Site, doc []byte, w site.Want) {
	v, err := s.Read(doc)
	if err != nil {
		return
	}
	if v.Start < 0 || v.End > len(doc) || v.Start > v.End || v.Line < 1 || v.Line > 1+bytes.Count(doc, []byte("\n")) {
		t.Fatalf("value %+v in %d bytes", v, len(doc))
	}
	got, err := s.Edit(doc, w)
	if err != nil {
		return
	}
	now, err := s.Read(got)
	if err != nil {
		t.Fatalf("after the edit: %v\n%q", err, got)
	}
	if found, err := s.Check(got, w); err != nil || len(found) > 0 {
		t.Fatalf("after the edit: %v %v\n%q", found, err, got)
	}
	if s.Kind == site.Marker || v.Digest.IsZero() {
		tail := len(doc) - v.End
		if !bytes.Equal(got[:min(v.Start, now.Start)], doc[:min(v.Start, now.Start)]) || now.Start-v.Start > 1 || len(got)-now.End-tail > 1 ||
			!bytes.HasSuffix(got, doc[v.End:]) {
			t.Fatalf("bytes beside the value changed\n%q\n%q", doc, got)
		}
	}
	if bytes.Count(got, []byte("\n")) != bytes.Count(doc, []byte("\n")) {
		t.Fatalf("lines changed\n%q\n%q", doc, got)
	}
}

func FuzzDockerfile(f *testing.F) {
	for _, c := range edits {
		if c.site.Kind == site.From {
			before, _ := cut(f, c.text)
			f.Add(before)
		}
	}
	f.Add([]byte("ARG A=${A}\nFROM ${A:-${B:-x}}:1"))
	f.Add([]byte("FROM jupyterhub/k8s-hub:1 AS a\nFROM a\n# escape=`\nRUN <<A <<B\nA\nB"))
	f.Add([]byte("ARG X=jupyterhub/k8s-hub:3 Y=\"a b\nFROM $X"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		site.FromImages(doc)
		spanned(t, from, doc, pair(t))
	})
}

func FuzzMarker(f *testing.F) {
	for _, c := range edits {
		if c.site.Kind == site.Marker {
			before, _ := cut(f, c.text)
			f.Add(before, c.site.Path, c.site.Name, false)
		}
	}
	f.Add([]byte("a # chartctl: chart.version\n# chartctl: chart.version"), "chart.version", "", true)
	f.Fuzz(func(t *testing.T, doc []byte, key, label string, yaml bool) {
		s := site.Site{Kind: site.Marker, File: "ci.sh", Path: key, Name: label}
		if yaml {
			s.File = "a.yaml"
		}
		spanned(t, s, doc, pair(t))
	})
}
