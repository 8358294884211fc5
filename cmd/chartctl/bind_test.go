package main

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func bound(t *testing.T, tag, bytes string) api.Binding {
	t.Helper()
	repository, err := ref.ParseRepository("quay.io/example/hub")
	if err != nil {
		t.Fatal(err)
	}
	d := ref.DigestOf([]byte(bytes))
	return api.Binding{ID: ref.BindingIDOf(d, nil), State: model.Verified, Images: []api.BoundImage{
		{Role: "hub", Tag: tag, Image: ref.Image{Repository: repository, Digest: d}},
	}}
}

// A tag that was rebuilt is named with both digests.
func TestNoteReplaced(t *testing.T) {
	v, err := ref.ParseImported("jupyterhub", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	a, _, stderr := newApp(nil)
	old, b := bound(t, "1.0", "old"), bound(t, "1.0", "new")
	a.noteReplaced(v, old, b)
	want := "note: quay.io/example/hub:1.0 was sha256:" + short(old.Images[0].Image.Digest) +
		" and is sha256:" + short(b.Images[0].Image.Digest) + " now; the old binding " + old.ID.String() + " stays valid\n"
	if stderr.String() != want {
		t.Errorf("note is %q, want %q", stderr, want)
	}
	stderr.Reset()
	b.Images[0].Image = old.Images[0].Image
	a.noteReplaced(v, old, b)
	if got := stderr.String(); !strings.Contains(got, old.ID.String()) || !strings.Contains(got, b.ID.String()) {
		t.Errorf("without another image the note is %q, want both bindings", got)
	}
}

// What the server says about a moved tag is a clause of its own.
func TestMovedTags(t *testing.T) {
	b := bound(t, "1.0", "old")
	b.Moved = []string{"quay.io/example/hub:1.0 is sha256:0123456789ab since 2026-02-03"}
	w := &writer{}
	bindingBody(w, b)
	if got, want := w.buf.String(), "  tag moved: quay.io/example/hub:1.0 is sha256:0123456789ab since 2026-02-03\n"; !strings.Contains(got, want) {
		t.Errorf("sheet is\n%swant the line %q", got, want)
	}
}

func TestFindToken(t *testing.T) {
	list := []api.Token{
		{ID: "1", Name: "ci", Revoked: true}, {ID: "2", Name: "ci"}, {ID: "3", Name: "1"},
		{ID: "4", Name: "two"}, {ID: "5", Name: "two"}, {ID: "6", Name: "gone", Revoked: true},
	}
	for in, want := range map[string]string{"1": "1", "2": "2", "ci": "2", "4": "4", "6": "6"} {
		if got, err := findToken(list, in); err != nil || got.ID != want {
			t.Errorf("%q finds %q, %v, want %q", in, got.ID, err, want)
		}
	}
	for in, exit := range map[string]int{"two": api.ExitUsage, "gone": api.ExitNotFound, "": api.ExitNotFound, "nosuch": api.ExitNotFound} {
		_, err := findToken(list, in)
		e, ok := err.(*api.Error)
		if !ok || e.Code.Exit() != exit || !strings.Contains(e.Message, `"`+in+`"`) {
			t.Errorf("%q: %v, want exit %d", in, err, exit)
		}
	}
}
