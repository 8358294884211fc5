// The race detector has nothing to find here and makes this ten times slower;
// the gate runs it without.

//go:build !race

package sealing_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/sealing"
	"chartd.dev/chartd/internal/testtools"
)

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

// Every real package that renders, a slice of them or with CHARTD_RENDER_ALL
// all, is sealed and guarded, and refuses to have its hub image moved.
func TestReal(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testtools.Shared(t, "data", "charts"), "*.tgz"))
	if err != nil || len(files) < 400 {
		t.Fatalf("found %d packages (%v)", len(files), err)
	}
	step := 37
	if all, _ := strconv.ParseBool(os.Getenv("CHARTD_RENDER_ALL")); all {
		step = 1
	}
	p := pool(t)
	var mu sync.Mutex
	tally := map[string]int{}
	count := func(what string) { mu.Lock(); tally[what]++; mu.Unlock() }
	var g errgroup.Group
	g.SetLimit(2)
	for i := 0; i < len(files); i += step {
		g.Go(func() error {
			data, err := os.ReadFile(files[i])
			if err == nil {
				sealReal(t, p, filepath.Base(files[i]), data, count)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Log(tally)
}

func sealReal(t *testing.T, p *render.Pool, name string, data []byte, count func(string)) {
	q := request(t, p, data, secrets, nil)
	if q.Trace.Verdict == render.NotRendered {
		count("not rendered")
		if !slices.ContainsFunc(q.Trace.Attempts, func(a render.Attempt) bool { return strings.Contains(a.Failure.Message, ".Release.Time") }) {
			t.Errorf("%s: %v", name, q.Trace.Attempts)
		}
		return
	}
	for _, image := range q.Trace.Images {
		if image.Role != "hub" && image.Role != "main" {
			continue
		}
		q.Images = map[ref.Role]archive.SealImage{ref.Role(image.Role): bound(t, image.Text)}
		s := made(t, p, q)
		if s.Package == nil || len(s.Record.Guards) == 0 {
			t.Errorf("%s: %s", name, told(s))
			continue
		}
		count("sealed and guarded " + image.Role)
		refusesToMove(t, p, name, q.Trace, image, s)
	}
}

// refusesToMove renders with the image overridden by tag, name and registry.
func refusesToMove(t *testing.T, p *render.Pool, name string, tr render.Trace, image render.Image, s sealing.Seal) {
	base := [][]byte{}
	if i := slices.IndexFunc(tr.Attempts, func(a render.Attempt) bool { return a.Failure == nil }); i > 0 {
		n, err := strconv.Atoi(strings.TrimPrefix(tr.Attempts[i].Values, "given "))
		if err != nil {
			t.Errorf("%s renders with %s", name, tr.Attempts[i].Values)
			return
		}
		base = append(base, secrets[n-1])
	}
	if m, err := p.Render(t.Context(), "test", s.Package, base); err != nil || m.Failure != nil {
		t.Errorf("%s: sealed and guarded it does not render: %v, %v", name, err, m.Failure)
	}
	for _, f := range image.Feeds {
		others := map[render.Part][]string{render.PartTag: {"2.99.0"}, render.PartRepository: {"quay.io/other/app", "registry.example.com/" + f.Value}}[f.Part]
		for _, other := range others {
			over := strings.Join(f.Values, ": {") + ": " + strconv.Quote(other) + strings.Repeat("}", len(f.Values)-1)
			m, err := p.Render(t.Context(), "test", s.Package, append(slices.Clone(base), []byte(over)))
			if err != nil || m.Failure == nil || !strings.Contains(m.Failure.Message, "and this package is bound to") {
				t.Errorf("%s: %s is not refused: %v, %v", name, over, err, m.Failure)
			}
		}
	}
}
