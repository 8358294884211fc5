package compare

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// Two versions of a chart differ in what each names, and not in itself.
func TestBetween(t *testing.T) {
	a, b := packed(t, "1.0.0"), packed(t, "1.1.0")
	if d, err := between(a, a); err != nil || !d.Same || len(d.Images)+len(d.Files) > 0 || d.Values != "" {
		t.Errorf("a chart and itself: %+v, %v", d, err)
	}
	a.named = map[string]string{"hub": "quay.io/example/hub:1.0.0"}
	b.Images = []api.BoundImage{
		{Role: "hub", Tag: "1.1.0", Image: ref.Image{Digest: ref.DigestOf([]byte("hub"))}},
		{Role: "proxy", Tag: "4", Image: ref.Image{Digest: ref.DigestOf([]byte("proxy"))}},
	}
	d, err := between(a, b)
	if err != nil || d.Same || len(d.Images) != 2 || d.Images[0].A != "quay.io/example/hub:1.0.0" || d.Images[1].A != "" || d.Images[1].B == "" {
		t.Errorf("images %+v, %v", d.Images, err)
	}
	if !strings.Contains(d.Values, "1.1.0") || strings.Contains(d.Values, "diff a/") {
		t.Errorf("values\n%s", d.Values)
	}
	b.data = []byte("no chart")
	if _, err := between(a, b); api.CodeOf(err) != api.CodeRefused {
		t.Errorf("what is no package: %v", err)
	}
}

// Files that only one side has are told so, with their lines.
func TestFilesOfOneSide(t *testing.T) {
	before := map[string][]byte{"templates/a.yaml": []byte("a\n"), "templates/b.yaml": []byte("x\ny\n")}
	after := map[string][]byte{"templates/b.yaml": []byte("x\nz\n"), "templates/c.yaml": []byte("c\nd\n"), "values.yaml": []byte("k: v\n")}
	var d Difference
	d.files(before, after)
	want := []FileChange{
		{Name: "templates/a.yaml", Change: "removed", Minus: 1},
		{Name: "templates/b.yaml", Change: "changed", Plus: 1, Minus: 1},
		{Name: "templates/c.yaml", Change: "added", Plus: 2},
	}
	for i, f := range d.Files {
		if f.Diff == "" {
			t.Errorf("%s has no diff", f.Name)
		}
		f.Diff = ""
		if i >= len(want) || f != want[i] {
			t.Errorf("%+v", f)
		}
	}
	if len(d.Files) != len(want) || !strings.Contains(d.Values, "+k: v") {
		t.Errorf("%d files, values\n%s", len(d.Files), d.Values)
	}
}
