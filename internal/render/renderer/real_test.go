// The race detector has nothing to find here and makes these tests ten times
// slower; the gate runs them without it.

//go:build !race

package renderer

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/manifest"
	"chartd.dev/chartd/internal/testtools"
)

// realCharts are every n-th of the real packages, spread over the years; all
// with CHARTD_RENDER_ALL.
func realCharts(t *testing.T, n int) map[string][]byte {
	files, err := filepath.Glob(filepath.Join(testtools.Shared(t, "data", "charts"), "*.tgz"))
	if err != nil || len(files) < 400 {
		t.Fatalf("found %d packages (%v)", len(files), err)
	}
	if all, _ := strconv.ParseBool(os.Getenv("CHARTD_RENDER_ALL")); all {
		n = 1
	}
	out := map[string][]byte{}
	for i := 0; i < len(files); i += n {
		data, err := os.ReadFile(files[i])
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(files[i])] = data
	}
	return out
}

func TestRealAsHelm(t *testing.T) { sameAsHelm(t, realCharts(t, 11)) }

// secrets are what old charts ask their users for: JupyterHub, BinderHub, and
// BinderHub before it refused to be told of a registry.
var secrets = func() [][]byte {
	const token = "0000000000000000000000000000000000000000000000000000000000000000"
	const hub = `{proxy: {secretToken: "` + token + `"}, hub: {cookieSecret: "00", services: {binder: {apiToken: "00"}}}}`
	return [][]byte{[]byte(hub), []byte("jupyterhub: " + hub), []byte("jupyterhub: " + hub + `
registry: {username: x, password: x}
hub: {url: http://hub.example.com, services: {binder: {apiToken: "00"}}}
`)}
}()

// In every real package that renders, the image that the values require is
// found where it is rendered, under the same role.
func TestRealTraces(t *testing.T) {
	charts := realCharts(t, 13)
	tally := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		tr := traceOf(charts[name], secrets, generous)
		tally[string(tr.Verdict)]++
		if f := tr.Attempts[0].Failure; f != nil {
			tally["with the defaults "+where.ReplaceAllString(f.String(), "")]++
		}
		if tr.Verdict == render.NotRendered {
			if !slices.ContainsFunc(tr.Attempts, func(a render.Attempt) bool { return strings.Contains(a.Failure.Message, ".Release.Time") }) {
				t.Errorf("%s: %v; only what Helm 3 has no more, .Release.Time, may keep a chart from rendering", name, tr.Attempts)
			}
			continue
		}
		if tr.Partial != "" {
			t.Errorf("%s: partial: %s", name, tr.Partial)
		}
		p, err := archive.Read(charts[name], archive.Options{Lenient: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, want := range p.Images {
			if want.Required {
				sameImage(t, name, tr, want)
			}
		}
	}
	for _, why := range slices.Sorted(maps.Keys(tally)) {
		t.Logf("%4d %s", tally[why], why)
	}
}

// where in a template an error is.
var where = regexp.MustCompile(`(at )?\(?\S*templates/[^ :]*(:[0-9]+)*\)?:?`)

// sameImage finds an image of the values in a trace: shown by a container, fed
// by a repository and a tag whose scalars are where the archive has them.
func sameImage(t *testing.T, name string, tr render.Trace, want archive.Image) {
	t.Helper()
	i := slices.IndexFunc(tr.Images, func(i render.Image) bool { return i.Role == string(want.Role) })
	if i < 0 {
		t.Errorf("%s: no image is traced for role %s", name, want.Role)
		return
	}
	got := tr.Images[i]
	if want.Problem == "" && manifest.Split(got.Text).Tag != want.Tag {
		t.Errorf("%s: role %s is rendered as %s, the values say tag %s", name, want.Role, got.Text, want.Tag)
	}
	if !slices.ContainsFunc(got.Places, func(p render.Place) bool { return p.Use == render.Container }) {
		t.Errorf("%s: role %s is in no container: %v", name, want.Role, got.Places)
	}
	for _, part := range []render.Part{render.PartRepository, render.PartTag} {
		if !slices.ContainsFunc(got.Feeds, func(f render.Feed) bool {
			return f.Part == part && f.File == want.File && strings.HasPrefix(strings.Join(f.Path, "."), want.Path+".")
		}) {
			t.Errorf("%s: role %s: no %s of %s in %s: %+v", name, want.Role, part, want.Path, want.File, got.Feeds)
		}
	}
}

// The hub image of every real package that renders is sealed right, by its
// values alone, or refused with a reason that holds.
func TestRealProofs(t *testing.T) {
	charts := realCharts(t, 29)
	tally := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		for _, image := range traceOf(charts[name], secrets, generous).Images {
			if image.Role != "hub" && image.Role != "main" {
				continue
			}
			p, err := seal(t, charts[name], image, secrets)
			switch {
			case errors.Is(err, archive.ErrNoSite):
				tally["no place to seal"]++
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case p.OK:
				tally["sealed"]++
			default:
				t.Errorf("%s: %s", name, proven(p, nil))
			}
		}
	}
	t.Log(tally)
}

// The sealed hub image of real packages is guarded: nothing else changes, and
// another tag, name or registry is refused.
func TestRealGuards(t *testing.T) {
	charts := realCharts(t, 37)
	n := 0
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		tr := traceOf(charts[name], secrets, generous)
		for _, image := range tr.Images {
			if image.Role != "hub" {
				continue
			}
			pkg := guarded(t, charts[name], tr, image, secrets)
			if pkg == nil {
				t.Errorf("%s: it has no seal", name)
				continue
			}
			over := slices.IndexFunc(tr.Attempts, func(a render.Attempt) bool { return a.Failure == nil })
			tries := slices.Concat([]values{{over: map[string]any{}}}, givenValues(secrets))
			refuses(t, name, pkg, image, tries[over])
			n++
		}
	}
	t.Logf("%d of %d charts are guarded", n, len(charts))
}
