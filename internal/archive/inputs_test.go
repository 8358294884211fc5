package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
)

// sameAsHelm reads a package to publish, and as Helm does; remark is warned of.
func sameAsHelm(t *testing.T, name string, data []byte, remark string) {
	t.Helper()
	p, err := Read(data, Options{})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	c, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		t.Errorf("%s: Helm: %v", name, err)
		return
	}
	if p.Chart.Name() != c.Name() || p.Chart.Version() != c.Metadata.Version {
		t.Errorf("%s: read as %s", name, p.Chart)
	}
	raw, err := p.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	helms, err := json.Marshal(c.Metadata)
	if err != nil || !bytes.Equal(raw, helms) {
		t.Errorf("%s: the metadata is %s, Helm's %s", name, raw, helms)
	}
	for _, f := range c.Raw {
		if own, kept := p.File(f.Name); kept && !bytes.Equal(bytes.TrimPrefix(own, []byte(bom)), f.Data) {
			t.Errorf("%s: %s is another file than Helm's", name, f.Name)
		}
	}
	if !strings.Contains(strings.Join(p.Warnings, "\n"), remark) {
		t.Errorf("%s: the warnings are %q, want %q", name, p.Warnings, remark)
	}
}

// Charts at which chartd once did something else than helm package: what is said
// of each, or what both refuse.
func TestPackedAsHelmPacksIt(t *testing.T) {
	shareds := filepath.Join(shared(t), "inputs")
	for dir, remark := range map[string]string{
		"empty-lists":     "maintainers is empty",
		"annotation-bool": `is not quoted, and Helm reads the text "true"`,
		"duplicate-key":   "again in line",
		"label-tag":       "", "semver-tag": "", "v-prefix": "", "repository-and-name": "", "alias-twice": "",
	} {
		p := packedAsHelm(t, filepath.Join(shareds, dir))
		if p == nil || !strings.Contains(strings.Join(append(p.Warnings, p.Links...), "\n"), remark) {
			t.Errorf("%s: %+v, want %q", dir, p, remark)
		}
	}
	white := filepath.Join(shareds, "helmignore-whitelist")
	if _, err := loader.LoadDir(white); err == nil {
		t.Error("Helm takes a chart without Chart.yaml")
	}
	_, _, err := Pack(white, Options{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `.helmignore line 1: "/*" leaves Chart.yaml out`) {
		t.Errorf("a .helmignore that leaves Chart.yaml out: %v", err)
	}
	negated := writeTree(t, map[string]string{"Chart.yaml": chartYAML("c", "1.0.0"), ".helmignore": "# all\n!templates/\n"})
	if _, _, err := Pack(negated, Options{}); err == nil || !strings.Contains(err.Error(), `.helmignore line 2: "!templates/"`) {
		t.Errorf("a .helmignore with a negated rule: %v", err)
	}
	everything := writeTree(t, map[string]string{"Chart.yaml": chartYAML("c", "1.0.0"), ".helmignore": "# all\n*\n"})
	if _, _, err := Pack(everything, Options{}); err == nil || !strings.Contains(err.Error(), `.helmignore line 2: "*"`) {
		t.Errorf("a .helmignore of everything: %v", err)
	}
}

// Links are followed, out of the directory too; Helm says so in its log.
func TestLinksAsHelmPacksThem(t *testing.T) {
	root := writeTree(t, map[string]string{"LICENSE": "free", "more/a.txt": "a", "chart/Chart.yaml": chartYAML("c", "1.0.0"), "chart/in.txt": "in"})
	chart := filepath.Join(root, "chart")
	for name, target := range map[string]string{"LICENSE": "../LICENSE", "files": "../more", "same.txt": "in.txt"} {
		if err := os.Symlink(target, filepath.Join(chart, name)); err != nil {
			t.Fatal(err)
		}
	}
	p := packedAsHelm(t, chart)
	if p == nil || len(p.Links) != 2 || p.Links[0] != `"LICENSE" is a link out of the chart, to "../LICENSE": what is there was packed` {
		t.Fatalf("the links are %+v", p)
	}
	for name, target := range map[string]string{"nowhere": "../absent", "loop": "."} {
		if err := os.Symlink(target, filepath.Join(chart, name)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Pack(chart, Options{}); !errors.Is(err, ErrRefused) {
			t.Errorf("a link that leads %s: %v", name, err)
		}
		if err := os.Remove(filepath.Join(chart, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Two links back are 2³² ways to the limit of depth, without a file on any.
func TestLinksThatLeadBackEnd(t *testing.T) {
	dir := writeTree(t, map[string]string{"Chart.yaml": chartYAML("c", "1.0.0")})
	for _, name := range []string{"a", "b"} {
		if err := os.Symlink(".", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Pack(dir, Options{}); !errors.Is(err, ErrRefused) {
		t.Errorf("packed: %v", err)
	}
}

// packedAsHelm packs a directory with Helm and with Pack; the content is the same.
func packedAsHelm(t *testing.T, dir string) *Package {
	t.Helper()
	_, p, err := Pack(dir, Options{})
	if err != nil {
		t.Error(err)
		return nil
	}
	c, err := loader.LoadDir(dir)
	if err != nil {
		t.Errorf("Helm: %v", err)
		return nil
	}
	file, err := chartutil.Save(c, t.TempDir())
	if err != nil {
		t.Errorf("Helm: %v", err)
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	helms, err := Read(data, Options{Lenient: true})
	if err != nil || helms.Content != p.Content {
		t.Errorf("%s: the content is not that of helm package: %v", dir, err)
	}
	return p
}

// YAML takes these tags for numbers and words; what is rendered is in no registry.
func TestUnquotedTags(t *testing.T) {
	for name, remark := range map[string]string{
		"pkg-tag-bigint.tgz": "the tag 29111998 is not quoted, and Helm reads 2.9111998e+07: quote the tag",
		"pkg-tag-yes.tgz":    "the tag yes is not quoted, and Helm reads true: quote the tag",
		"pkg-tag-under.tgz":  "the tag 1_000 is not quoted, and Helm reads 1000: quote the tag",
	} {
		data, err := os.ReadFile(filepath.Join(shared(t), "inputs", name))
		if err != nil {
			t.Fatal(err)
		}
		sameAsHelm(t, name, data, remark)
	}
	for tag, reads := range map[string]string{
		"1e3": "1000", "1.10": "1.1", "on": "true", "0x10": "16", "2001-01-01": "", "12": "12",
		`"yes"`: "quoted", `'1e3'`: "quoted", "v1": "quoted", "1.2.3": "quoted", "!!str 12": "quoted", "|\n      yes": "quoted",
	} {
		for _, more := range []string{"", "more: &a {b: c}\n"} { // for each of the two readers
			values := more + "# a comment\nhub:\n  image:\n    name: a/b\n    tag: " + tag + "\n"
			p, err := Read(with(t, map[string]string{"values.yaml": values}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			line := 5 + strings.Count(more, "\n")
			want := fmt.Sprintf("values.yaml line %d: the tag %s is not quoted, and Helm reads %s", line, tag, reads)
			if got := strings.Join(p.Warnings, "\n"); reads == "quoted" && strings.Contains(got, "quote") || reads != "quoted" && !strings.Contains(got, want) {
				t.Errorf("tag: %s: warnings %q, want %q", tag, got, want)
			}
		}
	}
}
