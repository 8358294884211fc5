package archive

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"testing"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// FuzzRead feeds any tar stream: what we accept, Helm reads under the same
// name and version.
func FuzzRead(f *testing.F) {
	f.Add(good().end())
	f.Add(good().file("c/values.yaml", "image: {name: a/b, tag: }\n").file("c/charts/s/Chart.yaml", chartYAML("s", "1.0.0")).end())
	f.Add(good().block("x", 'x', paxRecord("path", "c/ü")).file("c/", "x").end())
	f.Add(good().file("c/requirements.yaml", "dependencies: [{name: a, version: \"1\", alias: b}]\n").file("c/charts/a.tgz", string(gz(good().end()))).end())
	f.Fuzz(func(t *testing.T, tarball []byte) {
		// Right checksums, or no change of a header would get past them.
		for at := 0; at+block <= len(tarball); at += block {
			if rec := tarball[at : at+block]; string(rec[257:262]) == "ustar" {
				tarball = bytes.Clone(tarball)
				sum(tarball[at : at+block])
			}
		}
		agree(t, gz(tarball))
	})
}

// FuzzChartYAML does the same with the text of Chart.yaml alone.
func FuzzChartYAML(f *testing.F) {
	f.Add(chartYAML("c", "1.0.0"), "a: 1\n")
	f.Add("name: \"c\"\nversion: '1.0.0'\nappVersion: 1.10\nmaintainers:\n- name: x\n", "x: &a {<<: {b: c}}\ny: *a\n")
	f.Add("apiVersion: v1\nname: c\nversion: 1.0.0-rc.1+b\ndeprecated: true\nannotations: {a: b}\n", "")
	f.Fuzz(func(t *testing.T, text, values string) {
		tarball := new(raw).file("c/Chart.yaml", text).file("c/values.yaml", values).end()
		agree(t, gz(tarball))
	})
}

func agree(t *testing.T, data []byte) {
	if p, err := Read(data, Options{Lenient: true}); err == nil {
		compareWithHelm(t, p, data)
		samePeek(t, p, data)
	}
	p, err := Read(data, Options{})
	if err != nil {
		if !own(err) {
			t.Fatalf("an error of no kind: %v", err)
		}
		return
	}
	compareWithHelm(t, p, data)
}

// samePeek: a glance at a package that we read shows what reading it does, or
// nothing.
func samePeek(t *testing.T, p *Package, data []byte) {
	t.Helper()
	for _, dated := range []bool{false, true} {
		g, err := Peek(data, Options{Lenient: true}, dated)
		if err == nil && (g.Chart != p.Chart || dated && !g.NewestFile.Equal(p.NewestFile)) {
			t.Fatalf("we read %s of %s, and a glance says %s of %s", p.Chart, p.NewestFile, g.Chart, g.NewestFile)
		}
		if err != nil && !dated {
			t.Fatalf("we read %s, and a glance says %v", p.Chart, err)
		}
	}
}

func compareWithHelm(t *testing.T, p *Package, data []byte) {
	c, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("we read %s, Helm: %v", p.Chart, err)
	}
	if c.Name() != p.Chart.Name() || c.Metadata.Version != p.Chart.Version() {
		t.Fatalf("we read %s, Helm %s@%s", p.Chart, c.Name(), c.Metadata.Version)
	}
	sameMetadata(t, p, c.Metadata)
}

// sameMetadata: what Helm makes of its own reading, it makes of ours.
func sameMetadata(t *testing.T, p *Package, want *helm.Metadata) {
	t.Helper()
	raw, err := p.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	got := new(helm.Metadata)
	if err := json.Unmarshal(raw, got); err != nil {
		t.Fatal(err)
	}
	if want.APIVersion == "" {
		want.APIVersion = helm.APIVersionV1
	}
	wantErr, gotErr := want.Validate(), got.Validate()
	if (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("%s: Helm says %v, and of our reading %v", p.Chart, wantErr, gotErr)
	}
	if wantErr != nil {
		return
	}
	a, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := json.Marshal(got); err != nil || !bytes.Equal(a, b) {
		t.Fatalf("%s: Helm reads %s, we %s (%v)", p.Chart, a, b, err)
	}
}

// FuzzGzip compares the framing with Go's reader: what we unpack, it unpacks
// to the same bytes, as one member with nothing behind it.
func FuzzGzip(f *testing.F) {
	f.Add(gz([]byte("abc")))
	f.Add(append(gz(nil), gz([]byte("x"))...))
	f.Add(gz(bytes.Repeat([]byte("a"), 100_000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := DefaultLimits()
		m, err := openMember(&source{buf: data}, &budget{l: l, packed: int64(len(data))}, Options{}.tolerance())
		if err != nil {
			return
		}
		ours, err := io.ReadAll(m)
		if err != nil {
			if !own(err) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		src := bytes.NewReader(data)
		z, err := gzip.NewReader(src)
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false)
		theirs, err := io.ReadAll(z)
		if err != nil || !bytes.Equal(ours, theirs) || src.Len() != 0 {
			t.Fatalf("Go reads %d bytes, we %d, %d left (%v)", len(theirs), len(ours), src.Len(), err)
		}
	})
}
