//go:build !race

package renderer

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/rendertest"
	"chartd.dev/chartd/internal/sealing"
	"sigs.k8s.io/yaml"
)

// The proof accepts a sealed package if and only if a look at both renderings
// does that knows nothing of traces. CHARTD_PROOFS is how many charts are made,
// CHARTD_PROOFS_SEED which.
func TestProofProperty(t *testing.T) {
	charts, first := 10_000, uint64(1)
	if testing.Short() {
		charts = 500
	}
	if s := os.Getenv("CHARTD_PROOFS"); s != "" {
		charts = must(strconv.Atoi(s))
	}
	if s := os.Getenv("CHARTD_PROOFS_SEED"); s != "" {
		first = must(strconv.ParseUint(s, 10, 64))
	}
	said := map[bool]int{}
	for seed := first; seed < first+uint64(charts); seed++ {
		r := rand.New(rand.NewPCG(seed, 0))
		m := makeChart(r)
		original, sealed, bound := m.sealed(t, r)
		if bound == nil {
			continue
		}
		p := proofOf(render.Request{Packages: [][]byte{original, sealed}, Bound: bound}, generous)
		want, why := m.look(original, sealed, bound)
		said[p.OK]++
		if p.OK != want {
			t.Fatalf("seed %d: the proof says %v, and a look at both renderings %v (%s)\n%s%v", seed, p.OK, want, why, proven(p, nil), m.files(m.asWritten(), 1))
		}
	}
	if said[true] < charts/20 || said[false] < charts/20 {
		t.Errorf("of %d charts %d are accepted and %d are not: that shows little", charts, said[true], said[false])
	}
	t.Logf("%d charts from seed %d: %d accepted, %d refused", charts, first, said[true], said[false])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (m made) asWritten() []map[string]string {
	var out []map[string]string
	for _, i := range m.images {
		out = append(out, i.values())
	}
	return out
}

// sealed makes the chart, and seals some of its images, not always well. Bound
// is nil where the tracer finds none of them.
func (m made) sealed(t testing.TB, r *rand.Rand) (original, sealed []byte, bound []render.Bound) {
	values := m.asWritten()
	original = rendertest.Package(t, m.files(values, 1))
	tr := traceOf(original, nil, generous)
	note := 1
	if r.IntN(12) == 0 {
		note = 2
	}
	for n, i := range m.images {
		if n > 0 && r.IntN(2) == 0 {
			continue
		}
		k := slices.IndexFunc(tr.Images, func(o render.Image) bool { return o.Role != "" && o.Text == i.text() })
		if k < 0 {
			t.Fatalf("the image %s is not traced: %s%v", i.text(), written(tr), m.files(values, 1))
		}
		bound = append(bound, tr.Images[k].Bind(i.repository(), i.digest))
		values[n] = i.seals(r)
	}
	return original, rendertest.Package(t, m.files(values, note)), bound
}

// look decides by what both packages render to.
func (m made) look(original, sealed []byte, bound []render.Bound) (ok bool, why string) {
	a, err := texts(original)
	if err != nil {
		return false, "the original: " + err.Error()
	}
	b, err := texts(sealed)
	if err != nil {
		return false, err.Error()
	}
	if len(a) != len(b) {
		return false, fmt.Sprintf("%d documents become %d", len(a), len(b))
	}
	for i := range a {
		var x, y any
		if err := yaml.Unmarshal([]byte(a[i]), &x); err != nil {
			return false, err.Error()
		}
		if err := yaml.Unmarshal([]byte(b[i]), &y); err != nil {
			return false, err.Error()
		}
		if why := m.differ(bound, "", x, y); why != "" {
			return false, why
		}
	}
	return true, ""
}

func texts(pkg []byte) ([]string, error) {
	docs, err := renderOnce(pkg, nil, generous)
	var out []string
	for _, d := range docs {
		out = append(out, d.Text)
	}
	return out, err
}

// differ says how two values differ that may not; "" where they may.
func (m made) differ(bound []render.Bound, path string, a, b any) string {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return path + " comes or goes"
		}
		for k, v := range x {
			w, ok := y[k]
			if !ok {
				return path + "." + k + " goes"
			}
			if why := m.differ(bound, path+"."+k, v, w); why != "" {
				return why
			}
		}
		return ""
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return path + " comes or goes"
		}
		for k := range x {
			if why := m.differ(bound, fmt.Sprint(path, ".", k), x[k], y[k]); why != "" {
				return why
			}
		}
		return ""
	case string:
		if y, ok := b.(string); ok {
			return m.differText(bound, path, x, y)
		}
	}
	if a != b {
		return path + " is another value"
	}
	return ""
}

var sum64 = regexp.MustCompile(`^[0-9a-f]{12}([0-9a-f]{52})?$`)

// differText decides on one text.
func (m made) differText(bound []render.Bound, path, a, b string) string {
	shown := a
	for _, o := range bound {
		i := m.images[slices.IndexFunc(m.images, func(i madeImage) bool { return i.digest == o.Digest })]
		if want := regexp.MustCompile(regexp.QuoteMeta(i.text()) + `(["\s]|$)`); want.MatchString(a) {
			shown = want.ReplaceAllString(shown, i.repository()+"PINNED@"+i.digest+"$1")
		}
	}
	pinned := regexp.MustCompile(`(quay\.io/example/app[0-9])(:[A-Za-z0-9._-]+)?@`).ReplaceAllString(b, "${1}PINNED@")
	switch {
	case shown != a && pinned == shown:
		return ""
	case shown != a:
		return fmt.Sprintf("%s is %q, not a pinned %q", path, b, a)
	case a == b:
		return ""
	case strings.HasPrefix(path, ".metadata.annotations.") || strings.Contains(path, "checksum/"):
		if sum64.MatchString(a) && sum64.MatchString(b) && len(a) == len(b) {
			return ""
		}
	case path == ".data.values.yaml":
		return m.differValues(bound, a, b)
	}
	return fmt.Sprintf("%s is %q, not %q", path, b, a)
}

// differValues decides on a copy of all values.
func (m made) differValues(bound []render.Bound, a, b string) string {
	var x, y map[string]any
	for text, into := range map[string]*map[string]any{a: &x, b: &y} {
		data, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			err = yaml.Unmarshal(data, into)
		}
		if err != nil {
			return err.Error()
		}
	}
	for _, i := range m.images {
		if slices.ContainsFunc(bound, func(o render.Bound) bool { return o.Digest == i.digest }) {
			delete(x, i.key) // right where its containers are
			delete(y, i.key)
		}
	}
	if fmt.Sprint(x) != fmt.Sprint(y) {
		return fmt.Sprintf("the copy of the values is %v, not %v", y, x)
	}
	return ""
}

// What is offered as sealed passes a look at both renderings too, and a chart
// whose images stand only where a digest may stand is sealed.
func TestSealProperty(t *testing.T) {
	charts := 500
	if s := os.Getenv("CHARTD_PROOFS"); s != "" {
		charts = must(strconv.Atoi(s)) / 20
	}
	prove := func(_ context.Context, _ string, q render.ProveRequest) (render.Proof, error) {
		return proofOf(render.Request{Packages: [][]byte{q.Original, q.Sealed}, Values: q.Values, Bound: q.Bound}, generous), nil
	}
	said := map[bool]int{}
	for seed := range uint64(charts) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := makeChart(r)
		original, _, bound := m.sealed(t, r)
		q := sealing.Request{Package: original, Trace: traceOf(original, nil, generous), Images: map[ref.Role]archive.SealImage{}}
		for _, b := range bound {
			i := m.images[slices.IndexFunc(m.images, func(i madeImage) bool { return i.digest == b.Digest })]
			q.Images[ref.Role(b.Role)] = archive.SealImage{Repository: must(ref.ParseRepository(i.repository())), Tag: strings.TrimPrefix(i.text(), i.repository()+":"), Digest: must(ref.ParseDigest(i.digest))}
		}
		s, err := sealing.Make(t.Context(), prove, q)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		said[s.Package != nil]++
		if s.Package == nil {
			if m.easy() {
				t.Errorf("seed %d: not sealed: %s\n%v", seed, s.Reason, m.files(m.asWritten(), 1))
			}
			continue
		}
		if ok, why := m.look(original, s.Package, bound); !ok || s.Record.Unguarded != "" {
			t.Errorf("seed %d: sealed, and %s; unguarded: %s\n%v", seed, why, s.Record.Unguarded, m.files(m.asWritten(), 1))
		}
	}
	if said[true] < charts/10 || said[false] < charts/10 {
		t.Errorf("of %d charts %d are sealed and %d are not: that shows little", charts, said[true], said[false])
	}
	t.Logf("%d charts: %d sealed, %d not", charts, said[true], said[false])
}

// easy: each image is shown in containers, texts and copies of all values alone.
func (m made) easy() bool {
	return !slices.ContainsFunc(m.places, func(p string) bool {
		for _, hard := range []string{"labels:", "semverCompare", "VERSION", "  tag:", "replicas:", "hostNetwork"} {
			if strings.Contains(p, hard) {
				return true
			}
		}
		return false
	})
}

// Each of these faults in the tracer or in the proof is found by the property.
func TestSeededFaultsAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the tests of this room anew for each fault")
	}
	for name, c := range map[string]struct{ file, from, to string }{
		"an image counts as pinned by any digest": {"prove.go", "r.Digest == j.bound[i].Digest &&", `r.Digest != "" &&`},
		"a label may follow its image":            {"prove.go", "case use == render.Checksum, j.copied(", "case use == render.Checksum, use == render.Label, j.copied("},
		"a reference ends before its digest":      {"trace.go", `strings.IndexByte("._/:@-", c)`, `strings.IndexByte("._/:-", c)`},
		"a copy may hold other values":            {"copied.go", "!hex && !j.partOfCopy(b, d) &&", "!hex && false &&"},
		"what comes or goes is overlooked":        {"compare.go", "out = append(out, difference{doc: a, index: index, from: &x[0]})\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(source), c.from); n != 1 {
				t.Fatalf("%s has %q %d times: name the fault anew", c.file, c.from, n)
			}
			dir := t.TempDir()
			faulty, overlay := filepath.Join(dir, c.file), filepath.Join(dir, "overlay.json")
			here := must(filepath.Abs(c.file))
			for path, text := range map[string]string{
				faulty:  strings.Replace(string(source), c.from, c.to, 1),
				overlay: fmt.Sprintf(`{"Replace": {%q: %q}}`, here, faulty),
			} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("go", "test", "-count=1", "-overlay", overlay, "-run", "TestProofProperty$", ".")
			cmd.Env = append(os.Environ(), "CHARTD_PROOFS=2000")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "the proof says") {
				t.Errorf("not found (%v): %s", err, out)
			}
		})
	}
}
