package archive

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"
)

const imageValues = "image:\n  repository: quay.io/example/app\n  tag: \"1.0.0\"\n"

// unusual packages are read by both Helms. An import takes them and says what
// is unusual; a publish can be made again, and is refused.
func unusual(t *testing.T) map[string][]byte {
	whole := func(r *raw) []byte { return r.file("c/values.yaml", imageValues).end() }
	ok := whole(good())
	open := ok[:len(ok)-2*block]
	last := bytes.TrimRight(open, "\x00") // without the last file's padding
	half := len(ok) / 2
	pax := func(records string) []byte {
		return gz(whole(good().block("PaxHeaders/x", 'x', records).file("c/x", "x")))
	}
	global := good().block("g", 'g', paxRecord("comment", strings.Repeat("a", 40))+paxRecord("mtime", "1"))
	twice := good().file("c/templates/a.yaml", "a: 1").file("c/templates/a.yaml", "a: 1").block("c/d", '5', "").block("c/d", '5', "")
	sub := string(gz(new(raw).file("elsewhere/Chart.yaml", chartYAML("s", "1.0.0")).Bytes()))
	return map[string][]byte{
		"no end":              gz(open),
		"one block of end":    gz(ok[:len(ok)-block]),
		"no padding":          gz(last),
		"zeros behind":        append(gz(ok), make([]byte, 1000)...),
		"two members":         append(gz(ok[:half]), gz(ok[half:])...),
		"a member behind":     append(gz(ok), gz(nil)...),
		"link":                gz(whole(good().block("c/l", '2', "", func(r []byte) { copy(r[157:], "../../etc/passwd") }))),
		"hard link":           gz(whole(good().block("c/l", '1', "", func(r []byte) { copy(r[157:], "c/Chart.yaml") }))),
		"case":                gz(whole(good().file("c/README.md", "a").file("c/readme.md", "b").file("c/Templates/x", "").file("c/templates/x", ""))),
		"colon":               gz(whole(good().file("c/files/a:b*.json", "{}"))),
		"device name":         gz(whole(good().file("c/aux.yaml", "a: 1").file("c/a.", ""))),
		"twice":               gz(whole(twice)),
		"top directory":       gz(whole(new(raw).file("c/Chart.yaml", chartYAML("other", "1.0.0")))),
		"macOS":               pax(paxRecord("LIBARCHIVE.creationtime", "1700000000.5") + paxRecord("SCHILY.fflags", "arch") + paxRecord("SCHILY.xattr.com.apple.provenance", "\x01\x00\x02")),
		"of another packer":   pax(paxRecord("VENDOR.note", "x")),
		"global":              gz(whole(global)),
		"in a nested package": gz(whole(good().file("c/charts/s-1.0.0.tgz", sub))),
		"nested twice":        gz(whole(good().file("c/charts/s-1.0.0.tgz", sub).file("c/charts/s-1.0.0.tgz", sub))),
	}
}

func TestUnusualPackages(t *testing.T) {
	for name, data := range unusual(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(data, Options{}); err == nil {
				t.Error("a publish takes it")
			}
			p, top, err := read(data, Options{Lenient: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Warnings) == 0 {
				t.Error("there is no warning")
			}
			c, err := loader.LoadArchive(bytes.NewReader(data))
			if err != nil {
				t.Fatalf("Helm: %v", err)
			}
			if p.Chart.Name() != c.Name() || p.Chart.Version() != c.Metadata.Version {
				t.Errorf("we read %s, Helm %s@%s", p.Chart, c.Name(), c.Metadata.Version)
			}
			ours, theirs := map[string]bool{}, map[string]bool{}
			for _, f := range top.files {
				if ours[f.name] {
					t.Errorf("%s counts twice", f.name)
				}
				ours[f.name] = true
			}
			for _, f := range c.Raw {
				if !strings.HasPrefix(f.Name, "charts/") {
					theirs[f.Name] = true
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(theirs)), slices.Sorted(maps.Keys(ours))); diff != "" {
				t.Errorf("files (-Helm +we):\n%s", diff)
			}
			sealUnusual(t, data)
		})
	}
}

// A sealed package is made of an unusual one as of any: Helm reads it, with the
// digest and all else as it was.
func sealUnusual(t *testing.T, data []byte) {
	t.Helper()
	o := Options{Lenient: true}
	sealed, err := Rewrite(data, Plan{Edits: []Edit{{"values.yaml", []string{"image", "tag"}, "1.0.0@sha256:00"}}}, o)
	if err != nil {
		t.Fatalf("rewrite: %v", err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(sealed))
	if err != nil {
		t.Fatalf("Helm cannot read the sealed package: %v", err)
	}
	if tag := c.Values["image"].(map[string]any)["tag"]; tag != "1.0.0@sha256:00" {
		t.Errorf("the sealed package has the tag %v", tag)
	}
	if got, err := CompareSeal(data, sealed, o); err != nil || len(got) != 1 {
		t.Errorf("compare: %v, %v", got, err)
	}
}

// What two readers read as two things is refused at an import, too.
func TestUnusualAndAmbiguous(t *testing.T) {
	for name, data := range map[string][]byte{
		"twice, differently":        gz(good().file("c/a", "1").file("c/a", "2").end()),
		"Chart.yaml twice":          gz(good().file("c/Chart.yaml", chartYAML("c", "1.0.1")).end()),
		"nested twice, differently": gz(good().file("c/charts/s-1.0.0.tgz", string(gz(new(raw).file("s/Chart.yaml", chartYAML("s", "1.0.0")).end()))).file("c/charts/s-1.0.0.tgz", string(gz(new(raw).file("s/Chart.yaml", chartYAML("s", "1.0.1")).end()))).end()),
		"drive letter":              gz(good().file("c/C:/x", "").end()),
		"backslash":                 gz(good().file(`c/a\b`, "").end()),
		"text behind":               append(gz(good().end()), "text"...),
		"zeros and text behind":     append(gz(good().end()), "\x00\x00text"...),
		"device":                    gz(good().block("c/x", '3', "").end()),
		"link with data":            gz(good().block("c/x", '2', "data").end()),
		"too many members":          append(gz(good().end()), bytes.Repeat(gz(nil), maxMembers+1)...),
		"sparse file":               gz(good().block("p", 'x', paxRecord("GNU.sparse.major", "1")).file("c/x", "").end()),
	} {
		if _, err := Read(data, Options{Lenient: true}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One warning for each rule says how many there are.
func TestOdditiesAreCounted(t *testing.T) {
	r := good()
	for _, name := range []string{"a:b", "a*", "a?"} {
		r.file("c/"+name, "")
	}
	p, err := Read(gz(r.end()), Options{Lenient: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) != 1 || !strings.HasSuffix(p.Warnings[0], "(and 2 more)") {
		t.Errorf("warnings %q", p.Warnings)
	}
}
