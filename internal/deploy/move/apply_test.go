package move

import (
	"slices"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

func hubBinding(t *testing.T, version, tag, seed string) api.Binding {
	t.Helper()
	image, err := ref.ParseImage("quay.io/example/hub@" + ref.DigestOf([]byte(seed)).String())
	if err != nil {
		t.Fatal(err)
	}
	b := api.Binding{Name: "jupyterhub", Version: version, Package: ref.DigestOf([]byte(version)),
		Images: []api.BoundImage{{Role: "hub", Image: image, Tag: tag, Required: true}}}
	b.ID = ref.BindingIDOf(b.Package, map[ref.Role]ref.Image{"hub": image})
	return b
}

// A lock entry that was edited by hand, its sum with it, is not pinned.
func TestLockEntryIsItsBinding(t *testing.T) {
	b := hubBinding(t, "1.0.0", "1.0.0", "a")
	good := deploy.EntryOf("data8/prod", b, "https://charts.example.edu")
	if err := same(good, b); err != nil {
		t.Errorf("as chartctl wrote it: %v", err)
	}
	waiting := good
	waiting.Prepare = &lockfile.Chart{Name: "jupyterhub", Version: "1.1.0", Digest: ref.DigestOf([]byte("1.1.0"))}
	if err := same(waiting, b); err != nil {
		t.Errorf("with a preparation: %v", err)
	}
	version, tag := good, good
	version.Chart.Version = "1.1.0"
	tag.Images = slices.Clone(good.Images)
	tag.Images[0].Tag = "1.1.0"
	for _, e := range []lockfile.Entry{version, tag} {
		if _, err := lockfile.Parse(lockfile.File{}.With(e).Bytes()); err != nil {
			t.Fatalf("the sum has to fit for this test: %v", err)
		}
		if err := same(e, b); api.CodeOf(err) != api.CodeDrift {
			t.Errorf("%+v: %v, want a refusal", e, err)
		}
	}
}

func TestWhatACommitSays(t *testing.T) {
	entry := func(version, tag, seed string) lockfile.Entry {
		return deploy.EntryOf("data8/prod", hubBinding(t, version, tag, seed), "")
	}
	built := func(seed string) string { return short(ref.DigestOf([]byte(seed))) }
	for want, pair := range map[string][2]lockfile.Entry{
		"jupyterhub 1.0.0, hub x":                                      {{}, entry("1.0.0", "x", "a")},
		"jupyterhub 1.0.0 → 1.1.0, hub x → y":                          {entry("1.0.0", "x", "a"), entry("1.1.0", "y", "b")},
		"jupyterhub 1.0.0 → 1.1.0, hub x":                              {entry("1.0.0", "x", "a"), entry("1.1.0", "x", "a")},
		"jupyterhub 1.0.0, hub x → " + built("b"):                      {entry("1.0.0", "x", "a"), entry("1.0.0", "", "b")},
		"jupyterhub 1.0.0, hub x@" + built("a") + " → x@" + built("b"): {entry("1.0.0", "x", "a"), entry("1.0.0", "x", "b")},
	} {
		if got := changes(pair[0], pair[1]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
