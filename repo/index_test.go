package repo_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	helmrepo "helm.sh/helm/v3/pkg/repo"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"

	"chartd.dev/chartd/internal/model"
)

func TestIndexOrderIsSemVerThenSequence(t *testing.T) {
	g := newRig(t)
	for _, v := range []string{"1.0.0-rc.1", "0.9.0", "1.10.0", "1.9.0", "1.0.0", "1.0.0-rc.2"} {
		g.publish(t, hub(t, v, "x"))
	}
	want := fmt.Sprint([]string{"1.10.0", "1.9.0", "1.0.0", "1.0.0-rc.2", "1.0.0-rc.1", "0.9.0"})
	x, err := g.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range x.Entries("jupyterhub") {
		var v struct{ Version string }
		if err := json.Unmarshal(e, &v); err != nil {
			t.Fatal(err)
		}
		got = append(got, v.Version)
	}
	if fmt.Sprint(got) != want {
		t.Errorf("the index has %v, want %v", got, want)
	}
	raw, _ := x.Entry("jupyterhub", "latest")
	if !bytes.Contains(raw, []byte(`"version":"1.10.0"`)) {
		t.Errorf("latest is %s", raw)
	}
}

func TestIndexEncodingsAgree(t *testing.T) {
	for _, format := range []repo.IndexFormat{repo.JSON, repo.YAML} {
		t.Run(string(format), func(t *testing.T) {
			g := newRig(t, func(c *repo.Config) { c.Format = format; c.ContextPath = "/org/charts" })
			for i := range 5 {
				g.publish(t, hub(t, fmt.Sprintf("1.%d.0", i), "x"))
			}
			x, err := g.Index(ctx)
			if err != nil {
				t.Fatal(err)
			}
			plain, tag, err := x.Body(repo.Identity)
			if err != nil {
				t.Fatal(err)
			}
			if json.Valid(plain.Bytes()) != (format == repo.JSON) {
				t.Errorf("the %s index is %.80s", format, plain.Bytes())
			}
			seen := map[string]bool{tag: true}
			for _, e := range []repo.Encoding{repo.Gzip, repo.Zstd} {
				body, tag, err := x.Body(e)
				if err != nil {
					t.Fatal(err)
				}
				if seen[tag] {
					t.Errorf("two encodings have the entity tag %s", tag)
				}
				seen[tag] = true
				if got := decompress(t, e, body.Bytes()); !bytes.Equal(got, plain.Bytes()) {
					t.Errorf("%s gives other bytes than the plain index", e)
				}
			}
			file := filepath.Join(t.TempDir(), "index.yaml")
			if err := os.WriteFile(file, plain.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			loaded, err := helmrepo.LoadIndexFile(file)
			if err != nil || len(loaded.Entries["jupyterhub"]) != 5 || loaded.ServerInfo["contextPath"] != "/org/charts" {
				t.Errorf("Helm reads %+v, %v", loaded, err)
			}
		})
	}
}

func decompress(t *testing.T, e repo.Encoding, body []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	if e == repo.Gzip {
		r, err = gzip.NewReader(bytes.NewReader(body))
	} else {
		r, err = zstd.NewReader(bytes.NewReader(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The same generation gives the same bytes, whether it was reached step by
// step or from scratch; a pin changes nothing.
func TestIndexIsAFunctionOfItsGeneration(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:a", "base", "hub a")
	rng := rand.New(rand.NewPCG(1, 2))
	if _, err := g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: env(t, "a/prod"), Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	var published []repo.Published
	revision := uint64(0)
	for i := range 60 {
		before, err := g.Index(ctx)
		if err != nil {
			t.Fatal(err)
		}
		moves := true
		switch n := rng.IntN(10); {
		case n < 5 || len(published) == 0:
			published = append(published, g.publish(t, hub(t, fmt.Sprintf("1.%d.0", i), "a")))
		case n < 7:
			v := published[rng.IntN(len(published))].Chart.Chart
			was, _ := g.lockfile.ChartVersion(ctx, v)
			moves = was.State == model.Listed
			if _, err := g.Yank(ctx, op("yank"), v, "test"); err != nil {
				t.Fatal(err)
			}
		default:
			moves = false
			b := published[rng.IntN(len(published))].Binding
			_, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: env(t, "a/prod"), Base: revision, Binding: b.ID})
			if err == nil {
				revision++
			}
		}
		after, err := g.Index(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if (after.Generation() != before.Generation()) != moves || (after.ETag(repo.Identity) != before.ETag(repo.Identity)) != moves {
			t.Fatalf("step %d: generation %d then %d, and it should have moved: %v", i, before.Generation(), after.Generation(), moves)
		}
		fresh, err := repo.Open(ctx, g.Config)
		if err != nil {
			t.Fatal(err)
		}
		x, err := fresh.Index(ctx)
		if err != nil {
			t.Fatal(err)
		}
		a, ta, _ := after.Body(repo.Identity)
		b, tb, _ := x.Body(repo.Identity)
		if !bytes.Equal(a.Bytes(), b.Bytes()) || ta != tb {
			t.Fatalf("step %d: the index from scratch differs:\n%s\n%s", i, a.Bytes(), b.Bytes())
		}
	}
}

func TestEmptyIndexLoads(t *testing.T) {
	g := newRig(t)
	x, err := g.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := x.Body(repo.Identity)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "index.yaml")
	if err := os.WriteFile(file, body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := helmrepo.LoadIndexFile(file); err != nil {
		t.Errorf("Helm refuses the empty index %s: %v", body.Bytes(), err)
	}
}
