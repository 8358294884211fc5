package e2e

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// deployed is one state of a real hub's staging: a row of the table.
type deployed struct {
	commit, chart, ships, tag, builtFrom, verdict string
}

const notKnown = "None"

// packages that the repo of charts has under another name.
var renamed = map[string]string{"v0.8-c3ea854": "0.8-c3ea854", "v0.9-445a953": "0.9-445a953"}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func readHistory(t *testing.T) []deployed {
	t.Helper()
	f, err := os.Open(testtools.Shared(t, "data", "history", "datahub-staging.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	var out []deployed
	for _, r := range rows[1:] {
		d := deployed{
			commit: r[column("commit")], chart: r[column("chart_version")], ships: r[column("hub_tag_the_chart_ships")],
			tag: r[column("deployed_hub_tag")], builtFrom: r[column("deployed_hub_built_from_tag")], verdict: r[column("verdict")],
		}
		if to, ok := renamed[d.chart]; ok {
			d.chart = to
		}
		out = append(out, d)
	}
	return out
}

// replay is a server with the charts of a history and a registry with its
// images.
type replay struct {
	*rig.Bench
	*testing.T
	env  ref.Env
	base uint64
	tags map[string]string // pushed, with what they were built from
	own  map[string]ref.Reference
	made int // chart versions that no package is left of
	back []string
}

func newReplay(t *testing.T, rows []deployed) *replay {
	r := &replay{Bench: rig.New(t), T: t, tags: map[string]string{}, own: map[string]ref.Reference{}}
	r.env = must(ref.ParseEnv("datahub/staging"))
	r.importCharts(rows)
	if _, err := r.Client.CreateEnvironment(t.Context(), api.CreateEnvironment{Env: r.env, Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	return r
}

// importCharts imports the real packages in the order of their dates. A
// version without one gets a small chart, whose image nobody has.
func (r *replay) importCharts(rows []deployed) {
	charts, dir := testtools.Shared(r.T, "data", "charts"), r.T.TempDir()
	seen := map[string]bool{}
	var lost []string
	for _, d := range rows {
		if seen[d.chart] {
			continue
		}
		seen[d.chart] = true
		file := "jupyterhub-" + d.chart + ".tgz"
		data, err := os.ReadFile(filepath.Join(charts, file))
		if errors.Is(err, os.ErrNotExist) {
			lost = append(lost, d.chart)
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), data, 0o644)
		}
		if err != nil {
			r.T.Fatal(err)
		}
	}
	r.Ctl(0, "import", dir, "--index", testtools.Shared(r.T, "data", "charts-upstream-index.yaml"), "--keep-going")
	for _, v := range lost {
		pkg, err := rig.Hub{Version: v, Tag: "lost"}.Package(r.Root)
		if err != nil {
			r.T.Fatal(err)
		}
		if _, err := r.Client.Import(r.T.Context(), client.ImportRequest{Package: pkg, OrderUnknown: true}); err != nil {
			r.T.Fatalf("import %s: %v", v, err)
		}
	}
	r.made = len(lost)
	r.pushBases()
}

// pushBases pushes the hub image that each real chart names.
func (r *replay) pushBases() {
	for c, err := range r.Client.AllCharts(r.T.Context(), client.ChartQuery{}) {
		if err != nil {
			r.T.Fatal(err)
		}
		for _, i := range c.Images {
			if i.Role == "hub" && i.Tag != "lost" {
				own := must(ref.ParseReference(i.Repository + ":" + i.Tag))
				r.own[c.Version] = own
				r.Image(own.Repository.Path(), own.Tag, k8sHub(own.Tag))
			}
		}
	}
}

func k8sHub(tag string) registrytest.Image { return registrytest.Make("debian", "k8s-hub "+tag) }

// image pushes the row's hub image, built on the base that the table names,
// and returns its name. Of what the table does not know there is no image.
func (r *replay) image(d deployed) string {
	const repository = "berkeley/hub"
	if d.tag == notKnown || d.builtFrom == notKnown {
		return "quay.io/" + repository + ":unknown-" + d.commit
	}
	if was, ok := r.tags[d.tag]; ok && was != d.builtFrom {
		r.T.Fatalf("%s: image %s was built from %s, and from %s before", d.commit, d.tag, d.builtFrom, was)
	} else if !ok {
		r.tags[d.tag] = d.builtFrom
		r.Image(repository, d.tag, registrytest.From(k8sHub(d.builtFrom), "hub "+d.tag))
	}
	return "quay.io/" + repository + ":" + d.tag
}

// verdict binds the row's pair, and says what chartd found.
func (r *replay) verdict(d deployed) (string, api.Binding, error) {
	v := must(ref.ParseImported("jupyterhub", d.chart))
	name := r.image(d)
	b, _, err := r.Client.Bind(r.T.Context(), v, api.BindRequest{Images: map[ref.Role]string{"hub": name}})
	var e *api.Error
	switch {
	case err == nil && b.State == model.Verified && b.Evidence == model.BaseLayers:
		return "match", b, nil
	case err == nil:
		return fmt.Sprintf("%s by %s", b.State, b.Evidence), b, nil
	case !errors.As(err, &e):
		return "no answer", b, err
	case e.Code == api.CodeGate && e.Rule == model.RuleBase:
		return "mismatch", b, err
	case e.Code == api.CodeNotFound && (strings.Contains(e.Message, "the base of "+name+" is unknown") || strings.Contains(e.Message, "image not found: "+name)):
		return "unknown", b, err
	}
	return string(e.Code), b, err
}

// pin pins the row's pair upon the last accepted one; where a half goes back
// it has to be said why.
func (r *replay) pin(d deployed, b api.Binding) {
	call := client.PinCall{Env: r.env, Base: r.base, Pin: api.PinRequest{Binding: b.ID, Reason: d.commit}}
	p, err := r.Client.Pin(r.T.Context(), call)
	if e := (*api.Error)(nil); errors.As(err, &e) && e.Rule == model.RuleDirection {
		call.Pin.Downgrade = "replay"
		p, err = r.Client.Pin(r.T.Context(), call)
		if err == nil {
			r.back = append(r.back, fmt.Sprintf("%s %s, hub:%s: chart %s, image %s", d.commit, d.chart, d.tag, p.Direction.Chart, p.Direction.Image))
		}
	}
	if err != nil {
		r.T.Errorf("%s: pin %s with hub:%s: %v", d.commit, d.chart, d.tag, err)
		return
	}
	r.base = p.Revision
}

// goingBack are the moves that need a reason. By their numbers the last two
// would be told the other way round: 1.2.0 was published before 1.1.3-n554.
var goingBack = []string{
	"c1f95304c6 0.9.0-n116.h1c766a1, hub:0.0.1-n3215.h92597b4: chart back, image back",
	"6dadb01f7e 1.2.0, hub:0.0.1-n5126.h20acf5a7: chart back, image forward",
	"561a030436 1.1.3-n554.hfa81c67f, hub:0.0.1-n5119.h29bb78a6: chart forward, image back",
}

// What a real hub's staging ran over five years, tried one after the other
// against the last state that was let through: every pair that did not belong
// together is refused when it is bound, and none that did.
func TestHistoryOfARealHub(t *testing.T) {
	rows := readHistory(t)
	r := newReplay(t, rows)
	count := map[string]int{}
	for _, d := range rows {
		own := r.own[d.chart]
		if d.ships != notKnown && own.Tag != d.ships {
			t.Errorf("%s: chart %s names the hub image %q, and the table says %q", d.commit, d.chart, own, d.ships)
		}
		got, b, err := r.verdict(d)
		if got != d.verdict {
			t.Errorf("%s: %s with hub:%s (built from %s) is %q, and the table says %q: %v", d.commit, d.chart, d.tag, d.builtFrom, got, d.verdict, err)
		}
		count[got]++
		switch got {
		case "match":
			r.pin(d, b)
		case "mismatch":
			wants(t, d.commit, err.Error(), d.tag, "expected base "+own.String(), "it was built on", "rebuild it FROM "+own.String())
			t.Logf("%s: %v", d.commit, err)
		case "unknown":
			t.Logf("%s: %v", d.commit, err)
		}
	}
	if count["match"] != 67 || count["mismatch"] != 7 || count["unknown"] != 13 || r.made != 4 {
		t.Errorf("%v with %d made-up charts, want 67 matches, 7 mismatches, 13 unknown and 4", count, r.made)
	}
	if r.base != 67 {
		t.Errorf("revision %d after 67 matches", r.base)
	}
	if d := cmp.Diff(goingBack, r.back); d != "" {
		t.Errorf("the moves that took a half back (-want +got):\n%s", d)
	}
	t.Logf("%d moves take a half back:\n%s", len(r.back), strings.Join(r.back, "\n"))
}
