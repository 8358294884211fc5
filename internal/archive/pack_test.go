package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"
)

func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var packTree = map[string]string{
	"Chart.yaml": chartYAML("c", "1.0.0"), "values.yaml": "a: 1\n", "templates/b.yaml": "b", "templates/a.yaml": "a",
	"templates/.swp": "no", ".helmignore": "# editors\n*.bak\n/docs/\nsecret/*.key\n", "x.bak": "no", "sub/y.bak": "no",
	"docs/a": "no", "sub/docs/a": "yes", "secret/a.key": "no", "secret/a.pub": "yes", "zz/" + longElement + "/" + longElement: "long",
}

const longElement = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"

func TestPack(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	dir := writeTree(t, packTree)
	data, p, err := Pack(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries(t, data) {
		names = append(names, e.h.Name)
		if e.h.Mode != 0o644 || !e.h.ModTime.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s has mode %o and date %s", e.h.Name, e.h.Mode, e.h.ModTime)
		}
	}
	want := []string{"c/Chart.yaml", "c/.helmignore", "c/secret/a.pub", "c/sub/docs/a", "c/templates/a.yaml", "c/templates/b.yaml", "c/values.yaml", "c/zz/" + longElement + "/" + longElement}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	again, q, err := Pack(writeTree(t, packTree), Options{})
	if err != nil || !bytes.Equal(data, again) || p.Digest != q.Digest {
		t.Errorf("the same tree gives other bytes (%v)", err)
	}
	// Helm reads the same files out of the directory and out of the package.
	fromDir, err := loader.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fromPkg, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]string{}
	for _, f := range fromDir.Raw {
		raw[f.Name] = string(f.Data)
	}
	for _, f := range fromPkg.Raw {
		if raw[f.Name] != string(f.Data) {
			t.Errorf("%s differs from what Helm loads", f.Name)
		}
		delete(raw, f.Name)
	}
	if len(raw) > 0 {
		t.Errorf("Helm loads more: %v", raw)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	_, r, err := Pack(dir, Options{})
	if err != nil || r.NewestFile.Unix() != 1_700_000_000 || r.Content != p.Content {
		t.Errorf("with SOURCE_DATE_EPOCH: %+v, %v", r, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, _, err := Pack(dir, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("bad SOURCE_DATE_EPOCH: %v", err)
	}
}

func TestPackRefuses(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no Chart.yaml":      {"values.yaml": ""},
		"bad name":           {"Chart.yaml": chartYAML("A", "1.0.0")},
		"bad pattern":        {"Chart.yaml": chartYAML("c", "1.0.0"), ".helmignore": "a/**/b\n"},
		"missing dependency": {"Chart.yaml": chartYAML("c", "1.0.0") + "dependencies: [{name: d, version: 1.0.0}]\n"},
	} {
		if _, _, err := Pack(writeTree(t, files), Options{}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := writeTree(t, map[string]string{"Chart.yaml": chartYAML("c", "1.0.0"), "a": "inside"})
	if err := os.Symlink("a", filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	data, _, err := Pack(dir, Options{})
	if err != nil || string(entries(t, data)[2].data) != "inside" {
		t.Errorf("a link to a file inside: %v", err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := ReadDir(root, Options{}); err == nil {
		t.Error("a link out of the directory was followed where nobody asked to pack it")
	}
}

func TestNewestFile(t *testing.T) {
	stamp := func(octal string) func([]byte) { return func(r []byte) { copy(r[136:], octal+"\x00") } }
	for name, c := range map[string]struct {
		data []byte
		unix int64
	}{
		"zero":    {gz(new(raw).block("c/Chart.yaml", '0', chartYAML("c", "1.0.0"), stamp("00000000000")).end()), 0},
		"1970":    {gz(new(raw).block("c/Chart.yaml", '0', chartYAML("c", "1.0.0"), stamp("00000070000")).end()), 0},
		"newest":  {gz(new(raw).block("c/Chart.yaml", '0', chartYAML("c", "1.0.0"), stamp("14600000000")).block("c/x", '0', "", stamp("14500000000")).end()), 0o14600000000},
		"folders": {gz(new(raw).block("c", '5', "", stamp("14600000000")).block("c/Chart.yaml", '0', chartYAML("c", "1.0.0"), stamp("00000000000")).end()), 0},
	} {
		p, err := Read(c.data, Options{})
		if err != nil || c.unix == 0 && !p.NewestFile.IsZero() || c.unix != 0 && p.NewestFile.Unix() != c.unix {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestFilesAndTemplates(t *testing.T) {
	data := with(t, map[string]string{"values.yaml": "a: 1\n", "templates/a.yaml": "a", "README.md": "r", "other": "o", "charts/s/Chart.yaml": chartYAML("s", "1.0.0"), "charts/s/templates/x": "x"})
	p, err := Read(data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"values.yaml": "a: 1\n", "README.md": "r", "Chart.yaml": chartYAML("c", "1.0.0")} {
		if got, ok := p.File(name); !ok || string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if _, ok := p.File("other"); ok {
		t.Error("a file that nobody needs was kept")
	}
	list, err := Templates(data, Options{})
	if err != nil || len(list) != 1 || list[0].Name != "templates/a.yaml" || string(list[0].Data) != "a" {
		t.Errorf("templates %+v, %v", list, err)
	}
}
