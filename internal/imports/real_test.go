package imports_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/imports"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/testtools"
)

func charts(t *testing.T, c *client.Client) []api.Chart {
	t.Helper()
	var out []api.Chart
	for ch, err := range c.AllCharts(t.Context(), client.ChartQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ch)
	}
	slices.SortFunc(out, func(a, b api.Chart) int { return int(a.Seq) - int(b.Seq) })
	return out
}

// All real packages, broken off in the middle and started again, and then
// taken over by a second server from the first one's index. Both end with
// every package, in the order of their dates, undated ones first.
func TestRealRepository(t *testing.T) {
	dir, index := testtools.Shared(t, "data", "charts"), testtools.Shared(t, "data", "charts-upstream-index.yaml")
	first, second := rig.New(t), rig.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := imports.Options{Location: dir, Index: index, Jobs: 2}
	o.Progress = func(p imports.Progress) {
		if p.Phase == "importing" && p.Done == 150 {
			cancel()
		}
	}
	r, err := imports.Run(ctx, first.Client, o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a broken off import returns %v", err)
	}
	broken := r.Imported
	o.Progress = nil
	if r, err = imports.Run(t.Context(), first.Client, o); err != nil {
		t.Fatal(err)
	}
	if r.Packages != 430 || r.Lost != 0 || r.Imported+r.Existed != 430 || broken == 0 || r.Existed < broken {
		t.Errorf("first run imported %d, second: %+v", broken, *r)
	}
	kinds := map[imports.Kind]int{}
	for _, f := range r.Findings {
		kinds[f.Kind]++
	}
	if kinds[imports.NotInIndex] != 95 || kinds[imports.Digest] != 0 || kinds[imports.NoFile] != 1775-335 {
		t.Errorf("findings are %v", kinds)
	}
	got := charts(t, first.Client)
	if len(got) != 430 {
		t.Fatalf("%d charts are published", len(got))
	}
	// An undated one was created, for all we know, when it was imported.
	var last time.Time
	for _, ch := range got {
		switch {
		case ch.OrderUnknown && !last.IsZero():
			t.Errorf("%s@%s has no known order and comes after dated ones", ch.Name, ch.Version)
		case !ch.OrderUnknown && ch.Created.Before(last):
			t.Errorf("%s@%s of %s comes after one of %s", ch.Name, ch.Version, ch.Created, last)
		case !ch.OrderUnknown:
			last = ch.Created
		}
	}

	o = imports.Options{Location: first.Server.URL, TempDir: t.TempDir()}
	if r, err = imports.Run(t.Context(), second.Client, o); err != nil || r.Imported != 430 || r.Lost != 0 {
		t.Fatalf("from the first server: %+v, %v", r, err)
	}
	copied := map[string]api.Chart{}
	for _, ch := range charts(t, second.Client) {
		copied[ch.Name+"@"+ch.Version] = ch
	}
	for _, ch := range got {
		c := copied[ch.Name+"@"+ch.Version]
		if c.Package != ch.Package || !c.Created.Equal(ch.Created) {
			t.Errorf("%s@%s was copied as %s of %s, want %s of %s", ch.Name, ch.Version, c.Package, c.Created, ch.Package, ch.Created)
		}
	}
	if left, _ := os.ReadDir(o.TempDir); len(left) != 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
}

// Twelve versions that were overwritten in place: six are the same content in
// another archive, six are not, and those are named.
func TestRealOverwrites(t *testing.T) {
	dir := testtools.Shared(t, "data", "overwrites")
	b := rig.New(t)
	r, err := imports.Run(t.Context(), b.Client, imports.Options{Location: dir})
	if err != nil {
		t.Fatal(err)
	}
	conflicts := 0
	for _, f := range r.Findings {
		if f.Kind == imports.Conflict {
			conflicts++
			if !strings.Contains(f.Message, f.Got.String()) {
				t.Errorf("message %q does not name the digest of %s", f.Message, f.File)
			}
		}
	}
	if r.Packages != 24 || r.Imported != 12 || r.Existed != 6 || conflicts != 6 || r.Lost != 6 {
		t.Errorf("report is %+v", *r)
	}
}

// A provenance file that does not fit is left out, and the package is not.
func TestStaleProvenance(t *testing.T) {
	b := rig.New(t)
	pkg, err := rig.Hub{Version: "1.0.0"}.Package(b.Root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"jupyterhub-1.0.0.tgz": pkg, "jupyterhub-1.0.0.tgz.prov": []byte("stale")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := imports.Run(t.Context(), b.Client, imports.Options{Location: dir})
	if err != nil || r.Imported != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !slices.ContainsFunc(r.Findings, func(f imports.Finding) bool { return f.Kind == imports.Provenance }) {
		t.Errorf("findings are %+v", r.Findings)
	}
}

// A directory whose index names packages that lie elsewhere: reported, or with
// Fetch, taken from there. What the images of each are is bound on request.
func TestFetchAndBind(t *testing.T) {
	origin, b := rig.New(t), rig.New(t)
	origin.Publish(rig.Hub{Version: "1.0.0"})
	b.HubImage("1.0.0")
	dir := t.TempDir()
	index := `{"entries":{"jupyterhub":[{"version":"1.0.0","created":"2020-01-02T03:04:05Z","urls":["` + origin.Server.URL + `/charts/jupyterhub-1.0.0.tgz"]}]}}`
	if err := os.WriteFile(filepath.Join(dir, "index-cache.yaml"), []byte(index), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := imports.Run(t.Context(), b.Client, imports.Options{Location: dir})
	if err == nil || !strings.Contains(err.Error(), "--fetch") || r.Imported != 0 || len(r.Findings) != 1 || r.Findings[0].Kind != imports.NoFile {
		t.Fatalf("without fetch: %+v, %v", r, err)
	}
	r, err = imports.Run(t.Context(), b.Client, imports.Options{Location: dir, Fetch: true, Bind: true})
	if err != nil || r.Imported != 1 || r.Bound != 1 {
		t.Fatalf("with fetch: %+v, %v", r, err)
	}
	ch, err := b.Client.Chart(t.Context(), "jupyterhub", "1.0.0")
	if err != nil || ch.Binding == nil || ch.Binding.State != model.Verified || ch.Created.Year() != 2020 {
		t.Errorf("imported as %+v, %v", ch, err)
	}
}
