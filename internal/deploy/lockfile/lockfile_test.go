package lockfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
)

// chart is a chart version whose package digest follows from its name.
func chart(name, version string) Chart {
	return Chart{name, version, ref.DigestOf([]byte(name + version))}
}

func image(role ref.Role, name, tag string) Image {
	r, err := ref.ParseRepository(name)
	if err != nil {
		panic(err)
	}
	return Image{role, r, tag, ref.DigestOf([]byte(name + tag))}
}

// bound gives the entry the binding of its chart and images.
func bound(e Entry) Entry {
	images := map[ref.Role]ref.Image{}
	for _, i := range e.Images {
		images[i.Role] = ref.Image{Repository: i.Repository, Digest: i.Digest}
	}
	e.Binding = ref.BindingIDOf(e.Chart.Digest, images)
	return e
}

const source = "https://charts.example.edu"

// sample has every kind of line.
func sample() File {
	hub := image("hub", "quay.io/berkeley/jupyterhub-hub", "2024.4.9")
	next := chart("jupyterhub", "3.3.8")
	return File{}.With(
		bound(Entry{Key: "data8/prod", Chart: chart("jupyterhub", "3.3.7"), Source: source,
			Images: []Image{hub}, Bases: []Image{image("hub", "quay.io/jupyterhub/k8s-hub", "3.3.7")}}),
		bound(Entry{Key: "data8/staging", Chart: chart("jupyterhub", "3.3.7"), Source: source,
			Images: []Image{hub, image("singleuser", "quay.io/jupyterhub/k8s-singleuser-sample", "")},
			Bases:  []Image{image("hub", "quay.io/jupyterhub/k8s-hub", "3.3.7")}, Prepare: &next}),
		Entry{Key: "new-hub/staging", Source: source, Prepare: &next},
		bound(Entry{Key: "support", Chart: chart("support", "v0.1"), Source: source + "/sub/"}),
	)
}

// The fixture was written by the first chartctl that wrote lock files; every
// later one has to open it.
func TestFixture(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "v1.lock"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, sample()) || !bytes.Equal(f.Bytes(), data) {
		t.Errorf("the fixture is read as\n%s", f.Bytes())
	}
	if none, err := Parse(File{}.Bytes()); err != nil || len(none.Entries) != 0 {
		t.Errorf("the file without entries: %v, %v", none, err)
	}
}

func TestGetWithWithout(t *testing.T) {
	f := sample()
	before := f.Bytes()
	e, ok := f.Get("data8/prod")
	if !ok || e.Key != "data8/prod" || !e.Pinned() {
		t.Fatalf("Get is %+v, %v", e, ok)
	}
	if e, ok := f.Get("new-hub/staging"); !ok || e.Pinned() {
		t.Errorf("what is only prepared is pinned: %+v, %v", e, ok)
	}
	if e, ok := f.Get("data8"); ok {
		t.Errorf("Get of an absent key is %+v", e)
	}
	e.Chart = chart("jupyterhub", "4.0.0")
	e.Images = []Image{image("singleuser", "quay.io/x/y", "1"), image("hub", "quay.io/x/z", "1")}
	e.Bases = nil
	e = bound(e)
	other := bound(Entry{Key: "a/b", Chart: chart("x", "1.0.0"), Source: source})
	g := f.With(e, other)
	if !bytes.Equal(f.Bytes(), before) || e.Images[0].Role != "singleuser" {
		t.Error("With changed what it was given")
	}
	if again, err := Parse(g.Bytes()); err != nil || !reflect.DeepEqual(again, g) || len(g.Entries) != 5 || g.Entries[0].Key != "a/b" {
		t.Errorf("With: %v\n%s", err, g.Bytes())
	}
	h := g.Without("a/b").Without("nobody")
	if got, _ := h.Get("data8/prod"); len(h.Entries) != 4 || got.Chart.Version != "4.0.0" || len(g.Entries) != 5 {
		t.Errorf("Without: %+v", h)
	}
	if got := sample().With(sample().Entries...).Bytes(); !bytes.Equal(got, before) {
		t.Error("the same entries make other bytes")
	}
}

// What an entry holds must not become a line of its own.
func TestLineEndInValue(t *testing.T) {
	e := sample().Entries[0]
	images := e.Images
	for _, evil := range []string{"\n", "\n" + e.Key + " image.hub: " + images[0].text(), "\n\n# end\n"} {
		e.Images, e.Bases, e.Source = nil, nil, source+evil
		if f, err := Parse(File{[]Entry{e}}.Bytes()); err == nil {
			t.Errorf("%q made %+v", evil, f)
		}
	}
}

func TestSum(t *testing.T) {
	sums := map[string]string{}
	add := func(what string, e Entry) {
		s := e.Sum()
		if len(s) != 46 || !strings.HasPrefix(s, "s1:") {
			t.Errorf("%s: the sum is %q", what, s)
		}
		if other, taken := sums[s]; taken {
			t.Errorf("%s has the sum of %s", what, other)
		}
		sums[s] = what
	}
	e := sample().Entries[1]
	add("entry", e)
	for what, change := range map[string]func(*Entry){
		"key":       func(e *Entry) { e.Key = "data8/prod" },
		"version":   func(e *Entry) { e.Chart.Version = "3.3.6" },
		"source":    func(e *Entry) { e.Source += "/" },
		"tag":       func(e *Entry) { e.Images[0].Tag = "2024.4.10" },
		"role":      func(e *Entry) { e.Images[0].Role = "hub2" },
		"base":      func(e *Entry) { e.Bases = nil },
		"base tag":  func(e *Entry) { e.Bases[0].Tag = "3.3.6" },
		"no image":  func(e *Entry) { e.Images = e.Images[1:] },
		"prepare":   func(e *Entry) { e.Prepare = nil },
		"prepare 2": func(e *Entry) { c := chart("jupyterhub", "3.3.9"); e.Prepare = &c },
		"binding":   func(e *Entry) { *e = bound(*e); e.Binding = ref.BindingIDOf(e.Chart.Digest, nil) },
	} {
		x := e
		x.Images, x.Bases = slices.Clone(e.Images), slices.Clone(e.Bases)
		change(&x)
		add(what, x)
	}
	// Files out there carry such sums.
	const golden = "s1:bCb_t4Pkyo2XbUF1Am8lar3o4g4eEDvAAoJsoz2OX6M"
	if got := sample().Entries[0].Sum(); got != golden {
		t.Errorf("the sum of the fixture is %s, was %s", got, golden)
	}
}

// refused checks that a damaged file is refused with a line.
func refused(t *testing.T, what string, data []byte) {
	t.Helper()
	f, err := Parse(data)
	if err == nil {
		t.Errorf("%s: taken as\n%s", what, f.Bytes())
		return
	}
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("%s: %T %v", what, err, err)
	}
	lines := max(1, bytes.Count(data, []byte("\n"))+1)
	if syntax.Line < 1 || syntax.Line > lines || syntax.Text == "" || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\r\t") {
		t.Errorf("%s: line %d of %d: %v", what, syntax.Line, lines, err)
	}
}

func TestTruncatedAtEachByte(t *testing.T) {
	data := sample().Bytes()
	for n := range data {
		refused(t, "the first "+string(data[max(0, n-20):n]), data[:n])
		refused(t, "without the first", data[n+1:])
	}
}

func TestEachBitFlipped(t *testing.T) {
	data := sample().Bytes()
	for i := range data {
		for bit := range 8 {
			c := bytes.Clone(data)
			c[i] ^= 1 << bit
			refused(t, string(c[max(0, i-20):i+1]), c)
		}
	}
}

func TestEachLineLostDoubledSwapped(t *testing.T) {
	lines := strings.SplitAfter(string(sample().Bytes()), "\n")
	lines = lines[:len(lines)-1]
	for i, line := range lines {
		refused(t, "lost "+line, []byte(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")))
		refused(t, "doubled "+line, []byte(strings.Join(slices.Insert(slices.Clone(lines), i, line), "")))
		for j := range i {
			if lines[i] == lines[j] {
				continue
			}
			c := slices.Clone(lines)
			c[i], c[j] = c[j], c[i]
			refused(t, "swapped "+line, []byte(strings.Join(c, "")))
		}
	}
}
