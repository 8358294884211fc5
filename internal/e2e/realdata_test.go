package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

type indexFile struct {
	Entries map[string][]map[string]any `yaml:"entries"`
}

func readIndex(t *testing.T, data []byte) map[string]map[string]any {
	t.Helper()
	var f indexFile
	if err := yaml.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for name, list := range f.Entries {
		for _, e := range list {
			out[name+" "+asString(e["version"])] = e
		}
	}
	return out
}

func asString(v any) string { s, _ := v.(string); return s }

func TestImportOfARealRepository(t *testing.T) {
	dir, upstream := testtools.Shared(t, "data", "charts"), testtools.Shared(t, "data", "charts-upstream-index.yaml")
	b := rig.New(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no packages in %s: %v", dir, err)
	}
	b.Ctl(0, "import", dir, "--index", upstream, "-o", "json")

	byName := map[string]int{}
	for c, err := range b.Client.AllCharts(t.Context(), client.ChartQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		byName[c.Name]++
		if c.Name == "jupyterhub" && !slices.ContainsFunc(c.Images, func(i api.ChartImage) bool { return i.Role == "hub" && i.Tag != "" }) {
			t.Errorf("no hub image found in %s %s: %+v", c.Name, c.Version, c.Images)
		}
	}
	total := 0
	for _, n := range byName {
		total += n
	}
	if total != len(files) {
		t.Errorf("%d chart versions of %d packages: %v", total, len(files), byName)
	}
	compareWithUpstream(t, b, upstream)

	// Both Helms read what was imported, and a second import changes nothing.
	before := get(t, b.Server.URL+"/index.yaml")
	b.Ctl(0, "import", dir, "--index", upstream, "-o", "json")
	if !bytes.Equal(before, get(t, b.Server.URL+"/index.yaml")) {
		t.Error("importing again changed the index")
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		h.Do("repo", "add", "old", h.Server.URL)
		lines := strings.Split(strings.TrimSpace(h.Do("search", "repo", "old/", "--devel", "--versions", "-o", "yaml")), "\n- ")
		if len(lines) != total {
			t.Errorf("helm finds %d versions of %d", len(lines), total)
		}
	})
}

// compareWithUpstream checks that an entry says what it said where it came
// from, but for where the file lies and what chartd adds.
func compareWithUpstream(t *testing.T, b *rig.Bench, upstream string) {
	t.Helper()
	data, err := os.ReadFile(upstream)
	if err != nil {
		t.Fatal(err)
	}
	old, now := readIndex(t, data), readIndex(t, get(t, b.Server.URL+"/index.yaml"))
	same := 0
	for _, key := range slices.Sorted(maps.Keys(now)) {
		want, ok := old[key]
		if !ok {
			continue
		}
		if d := cmp.Diff(plain(t, want), plain(t, now[key])); d != "" {
			t.Errorf("%s (-upstream +ours):\n%s", key, d)
			continue
		}
		same++
	}
	if same != 334 {
		t.Errorf("%d entries are as upstream has them, want 334", same)
	}
	t.Logf("%d entries as upstream has them, of %d imported", same, len(now))
}

// plain removes what may differ.
func plain(t *testing.T, entry map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	delete(out, "urls")
	if a, ok := out["annotations"].(map[string]any); ok {
		maps.DeleteFunc(a, func(k string, _ any) bool { return strings.HasPrefix(k, "chartd.dev/") })
		if len(a) == 0 {
			delete(out, "annotations")
		}
	}
	return out
}

// Real cases of a published version that was overwritten in place.
func TestRealOverwrites(t *testing.T) {
	dir := testtools.Shared(t, "data", "overwrites")
	f, err := os.Open(filepath.Join(dir, "cases.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	b := rig.New(t)
	same, refused := 0, 0
	for _, row := range rows[1:] {
		send := func(file string) (api.PublishResult, error) {
			data, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			return b.Client.Import(t.Context(), client.ImportRequest{Package: data})
		}
		first, err := send(row[1])
		if err != nil || first.Existed {
			t.Fatalf("%s: %v (existed %v)", row[1], err, first.Existed)
		}
		second, err := send(row[2])
		var e *api.Error
		switch wantSame := strings.HasPrefix(row[3], "same content"); {
		case wantSame && err == nil && second.Existed && second.Chart.Package == first.Chart.Package:
			same++
		case !wantSame && errors.As(err, &e) && e.Status == 409 && strings.Contains(e.Message, first.Chart.Package.String()):
			refused++
		default:
			t.Errorf("%s: want %q, got %v (existed %v)", row[2], row[3], err, second.Existed)
		}
	}
	if same != 6 || refused != 6 {
		t.Errorf("%d accepted as the same and %d refused, want 6 and 6", same, refused)
	}
}
