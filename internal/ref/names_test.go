package ref_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"github.com/Masterminds/semver/v3"
)

func TestChartName(t *testing.T) {
	for _, name := range []string{"a", "0", "jupyterhub", "k8s-hub", strings.Repeat("a", 63)} {
		if c, err := ref.ParseChartVersion(name, "1.0.0"); err != nil || c.Name() != name || c.FileName() != name+"-1.0.0.tgz" {
			t.Errorf("%q: %q, %v", name, c, err)
		}
	}
	for _, name := range []string{
		"../../other/evil", ".", "..", "...", "-", "--help", "-rf", "a-", "a/b", `a\b`, "a%2fb", "a%00b", "a\x00b", "a\tb", "a b", "a\n",
		"A", "a_b", "a.b", "a@b", "foo\u200bbar", "foo\u00adbar", "\u0430", "\uff41", "\u202ea",
		"", strings.Repeat("a", 64), strings.Repeat("a", 256), strings.Repeat("a", 1<<20),
		"index", "index.yaml", "api", "healthz", "metrics", "log",
	} {
		if err := ref.CheckChartName(name); !errors.Is(err, ref.ErrInvalid) || len(err.Error()) > 1000 {
			t.Errorf("CheckChartName(%.20q): %v", name, err)
		}
		if _, err := ref.ParseChartVersion(name, "1.0.0"); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseChartVersion(%.20q): %v", name, err)
		}
	}
}

func TestVersion(t *testing.T) {
	imported := map[string]bool{"1.0": true, "v1.0": true, "1": true, "01.0.0": true, "0.7-92ccb36": true, "v0.7-92ccb36": true, "1-2.0.0": true}
	for version := range imported {
		if c, err := ref.ParseImported("foo", version); err != nil || c.Version() != version {
			t.Errorf("ParseImported(%q) is %q, %v", version, c, err)
		}
	}
	refused := []string{
		"", "1.0.0-", "1.0.0+", "../1.0.0", "1.0.0/..", "latest", "*", ">=1", "1.x", "1.0.0-01", "1.0.0-rc..1", "1.0.0+a_b", " 1.0.0", "1.0.0\n",
		"99999999999999999999.0.0", strings.Repeat("1", 1e5), "1.0.0-" + strings.Repeat("a", 123), "1.0.0-é", "1.0.0@2", "vv1.0.0",
	}
	for _, version := range refused {
		if c, err := ref.ParseImported("foo", version); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseImported(%.20q) is %q, %v", version, c, err)
		}
	}
	for version := range imported {
		refused = append(refused, version)
	}
	for _, version := range refused {
		if c, err := ref.ParseChartVersion("foo", version); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseChartVersion(%.20q) is %q, %v", version, c, err)
		}
	}
	for _, version := range []string{"0.0.0", "1.2.3", "v1.2.3", "v0.5.0-37b565e", "103.0.1+up0.4.0", "1.0.0-rc.1+b.2", "1.0.0-0.3.7", "3.3.8-0.dev.git.6623.hf4bdf3eb"} {
		if c, err := ref.ParseChartVersion("foo", version); err != nil || c.Version() != version {
			t.Errorf("ParseChartVersion(%q) is %q, %v", version, c, err)
		}
	}
}

func TestImportedName(t *testing.T) {
	for _, name := range []string{"A", "a_b", "a.b", "Foo-1"} {
		if _, err := ref.ParseImported(name, "1.0.0"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", ".a", "-a", "a/b", `a\b`, "a%2fb", "a b", "index.yaml", "api", "\u0430", strings.Repeat("a", 129)} {
		if _, err := ref.ParseImported(name, "1.0.0"); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	// A sealed package's file name, the longest, is a file name everywhere.
	name, version := strings.Repeat("n", 128), "1.0.0-"+strings.Repeat("v", 86)
	c, err := ref.ParseImported(name, version)
	if err != nil || len(c.FileName())+len(".sealed-0123456789abcdef") > 255 {
		t.Errorf("%d bytes of file name: %v", len(c.FileName()), err)
	}
	if _, err := ref.ParseImported(name, version+"v"); !errors.Is(err, ref.ErrInvalid) {
		t.Errorf("one more: %v", err)
	}
}

// Versions are compared by Masterminds/semver everywhere; what the parsers
// let in must be what it reads, in the order of SemVer 2.
func TestOrderOfVersions(t *testing.T) {
	ordered := []string{
		"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
		"1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-0", "2.0.0",
	}
	for i := range ordered {
		c, err := ref.ParseChartVersion("foo", ordered[i])
		if err != nil {
			t.Fatal(err)
		}
		for j := range ordered {
			a, b := semver.MustParse(c.Version()), semver.MustParse(ordered[j])
			if got := a.Compare(b); got != compare(i, j) {
				t.Errorf("%s and %s compare as %d", a, b, got)
			}
		}
	}
}

func compare(i, j int) int {
	switch {
	case i < j:
		return -1
	case i > j:
		return 1
	}
	return 0
}

func TestEnv(t *testing.T) {
	e, err := ref.ParseEnv("data8/prod")
	if err != nil || e.Hub() != "data8" || e.Stage() != "prod" || e.String() != "data8/prod" || e.IsZero() {
		t.Errorf("data8/prod is %q, %v", e, err)
	}
	for _, s := range []string{
		"", "/", "prod", "data8/", "/prod", "data8/prod/x", "data8/prod ", " data8/prod", "data8/PROD", "data8/prod%2f..%2fdev", "data8/..", "../prod",
		"data8/prod\n", "data8/-prod", "data8/pröd", "data_8/prod", "data8/" + strings.Repeat("p", 64), "data8#1/prod", "data8\x00/prod",
	} {
		if e, err := ref.ParseEnv(s); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseEnv(%q) is %q, %v", s, e, err)
		}
	}
}

func TestRole(t *testing.T) {
	for _, s := range []string{"hub", "main", "proxy.chp", "a_b.C-9"} {
		if r, err := ref.ParseRole(s); err != nil || string(r) != s {
			t.Errorf("ParseRole(%q) is %q, %v", s, r, err)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", "a b", "a/b", "a\n", "é", strings.Repeat("a", 256)} {
		if r, err := ref.ParseRole(s); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseRole(%q) is %q, %v", s, r, err)
		}
	}
}

func TestBindingID(t *testing.T) {
	a := ref.Image{Repository: parse(t, "a.io/x").Repository, Digest: ref.DigestOf([]byte("a"))}
	b := ref.Image{Repository: parse(t, "b.io/x").Repository, Digest: ref.DigestOf([]byte("a"))}
	pkg := ref.DigestOf([]byte("package"))
	ids := map[ref.BindingID]bool{}
	for _, images := range []map[ref.Role]ref.Image{nil, {"hub": a}, {"hub": b}, {"main": a}, {"hub": a, "main": b}, {"hub": b, "main": a}} {
		id := ref.BindingIDOf(pkg, images)
		again, err := ref.ParseBindingID(id.String())
		if ids[id] || err != nil || again != id || id != ref.BindingIDOf(pkg, images) {
			t.Errorf("the identity of %v is %s, %v", images, id, err)
		}
		ids[id] = true
	}
	if ids[ref.BindingIDOf(ref.DigestOf([]byte("other")), nil)] {
		t.Error("another package has the same identity")
	}
	// Stored identities must stay what they are.
	if id := ref.BindingIDOf(pkg, map[ref.Role]ref.Image{"hub": a}); id.String() != goldenID {
		t.Errorf("the identity of the fixture is %s, was %s", id, goldenID)
	}
	for _, s := range []string{
		"", "b1:", "b2" + goldenID[2:], goldenID[3:], goldenID + "A", goldenID[:45], goldenID[:45] + "=", goldenID[:45] + "\n", goldenID[:45] + "B",
		"B1" + goldenID[2:], "b1:" + strings.Repeat("+", 43), strings.Repeat("b1:", 20),
	} {
		if id, err := ref.ParseBindingID(s); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseBindingID(%q) is %q, %v", s, id, err)
		}
	}
}

const goldenID = "b1:6hLC4IMyHoYqwrr8KrQVPUv4XcP4nlNT2S-FGesanWs"

func parse(t *testing.T, s string) ref.Reference {
	t.Helper()
	r, err := ref.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestText(t *testing.T) {
	type names struct {
		Digest  ref.Digest       `json:"digest"`
		Chart   ref.ChartVersion `json:"chart"`
		Env     ref.Env          `json:"env"`
		Repo    ref.Repository   `json:"repo"`
		Image   ref.Image        `json:"image"`
		Binding ref.BindingID    `json:"binding"`
	}
	for _, in := range []string{
		`{"digest":"","chart":"","env":"","repo":"","image":"","binding":""}`,
		`{"digest":"` + sum + `","chart":"foo@v1","env":"a/b","repo":"a.io/x","image":"a.io/x@` + sum + `","binding":"` + goldenID + `"}`,
	} {
		var n names
		if err := json.Unmarshal([]byte(in), &n); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if out, err := json.Marshal(n); err != nil || string(out) != in {
			t.Errorf("%s is written as %s, %v", in, out, err)
		}
		zero := in[11] == '"'
		for _, is := range []bool{n.Digest.IsZero(), n.Chart.IsZero(), n.Env.IsZero(), n.Repo.IsZero(), n.Image.IsZero(), n.Binding.IsZero()} {
			if is != zero {
				t.Errorf("%s: IsZero is %v", in, is)
			}
		}
	}
	for _, in := range []string{
		`{"digest":"x"}`, `{"chart":"foo"}`, `{"chart":"foo@x"}`, `{"env":"x"}`, `{"repo":"a.io/x:t"}`, `{"image":"a.io/x"}`, `{"binding":"x"}`,
	} {
		var n names
		if err := json.Unmarshal([]byte(in), &n); !errors.Is(err, ref.ErrInvalid) || n != (names{}) {
			t.Errorf("%s is %+v, %v", in, n, err)
		}
	}
}

func FuzzParseChartVersion(f *testing.F) {
	for _, s := range [][2]string{{"jupyterhub", "3.3.7"}, {"Foo_1", "v0.5"}, {"foo", "1-2.0.0"}, {"a", "1.0.0-rc.1+b"}, {"..", "1"}, {"index", "1.0.0"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, name, version string) {
		strict, err := ref.ParseChartVersion(name, version)
		lenient, e := ref.ParseImported(name, version)
		if err == nil && (e != nil || strict != lenient) {
			t.Fatalf("%q %q is strict and not lenient: %v", name, version, e)
		}
		if e != nil {
			return
		}
		var again ref.ChartVersion
		if err := again.UnmarshalText([]byte(lenient.String())); err != nil || again != lenient {
			t.Fatalf("%q is read as %q, %v", lenient, again, err)
		}
		if strings.ContainsAny(lenient.FileName(), "/\\\x00%") || len(lenient.FileName()) > 231 {
			t.Fatalf("the file name is %q", lenient.FileName())
		}
		if _, err := semver.NewVersion(lenient.Version()); err != nil {
			t.Fatalf("Helm cannot read %q: %v", lenient, err)
		}
	})
}

func TestParseStage(t *testing.T) {
	prod, err := ref.ParseEnv("data8/prod")
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]string{"staging": "data8/staging", "r/dev": "r/dev", "": "", "a/b/c": "", "NO": "", "/dev": ""} {
		if e, err := prod.ParseStage(s); e.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", s, e, err)
		}
	}
}

func FuzzParseEnv(f *testing.F) {
	for _, s := range []string{"data8/prod", "a/b/c", "a/", "A/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := ref.ParseEnv(s); err == nil && (e.String() != s || e.Hub()+"/"+e.Stage() != s) {
			t.Fatalf("%q is %q", s, e)
		}
	})
}

func FuzzParseBindingID(f *testing.F) {
	for _, s := range []string{goldenID, "b1:" + strings.Repeat("A", 43), "b1:" + strings.Repeat("A", 42) + "\n", "b1:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ref.ParseBindingID(s); err == nil && (id.String() != s || len(s) != 46) {
			t.Fatalf("%q is %q", s, id)
		}
	})
}
