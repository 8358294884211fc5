package imports_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/imports"
)

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

// A repository that somebody else writes to has nothing published that lies
// outside of it: a package, a provenance file or an index.
func TestLinksOutOfADirectoryAreNotFollowed(t *testing.T) {
	b := rig.New(t)
	outside, dir := t.TempDir(), t.TempDir()
	for name, version := range map[string]string{"secret.tgz": "6.6.6", "inside.tgz": "1.0.0", "signed.tgz": "2.0.0"} {
		pkg, err := rig.Hub{Version: version}.Package(b.Root)
		if err != nil {
			t.Fatal(err)
		}
		in := dir
		if name == "secret.tgz" {
			in = outside
		}
		if err := os.WriteFile(filepath.Join(in, name), pkg, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	up, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join(outside, "secret.tgz"), filepath.Join(dir, "absolute.tgz"))
	link(t, filepath.Join(up, "secret.tgz"), filepath.Join(dir, "relative.tgz"))
	link(t, outside, filepath.Join(dir, "whole"))
	link(t, filepath.Join("whole", "secret.tgz"), filepath.Join(dir, "twice.tgz"))
	link(t, filepath.Join(up, "secret.tgz"), filepath.Join(dir, "signed.tgz.prov"))
	link(t, "inside.tgz", filepath.Join(dir, "latest.tgz"))

	r, err := imports.Run(t.Context(), b.Client, imports.Options{Location: dir})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]imports.Kind{
		"absolute.tgz": imports.Unreadable, "relative.tgz": imports.Unreadable, "twice.tgz": imports.Unreadable,
		"signed.tgz": imports.Provenance, "latest.tgz": imports.Duplicate,
	}
	for _, f := range r.Findings {
		if want[f.File] == f.Kind && (f.Kind == imports.Duplicate || strings.Contains(f.Message, "is a link to ")) {
			delete(want, f.File)
		}
	}
	if len(want) > 0 || r.Imported != 2 || r.Lost != 3 {
		t.Errorf("no finding for %v: %+v", want, *r)
	}
	for _, ch := range charts(t, b.Client) {
		if ch.Version == "6.6.6" {
			t.Error("a package outside of the directory was published")
		}
	}

	// The user's own words may lead anywhere.
	named := filepath.Join(t.TempDir(), "named")
	link(t, dir, named)
	if r, err := imports.Run(t.Context(), b.Client, imports.Options{Location: named}); err != nil || r.Existed != 2 {
		t.Errorf("a directory named by a link: %+v, %v", r, err)
	}
	if err := os.WriteFile(filepath.Join(outside, "index.yaml"), []byte("entries: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join(outside, "index.yaml"), filepath.Join(dir, "index.yaml"))
	if _, err := imports.Run(t.Context(), b.Client, imports.Options{Location: dir}); err == nil || !strings.Contains(err.Error(), `"index.yaml" is a link to `) {
		t.Errorf("an index outside of the directory: %v", err)
	}
	o := imports.Options{Location: dir, Index: filepath.Join(dir, "index.yaml")}
	if _, err := imports.Run(t.Context(), b.Client, o); err != nil {
		t.Errorf("an index that the user named: %v", err)
	}
}
