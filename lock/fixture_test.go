package lock_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

var start = time.Date(2024, 4, 9, 12, 0, 0, 0, time.UTC)

var alice = lock.Op{Actor: lock.Actor{Name: "alice"}}

// rig is a lock file under test with a clock that the test moves.
type rig struct {
	*lock.Lockfile
	t     tb
	ctx   context.Context
	store store.Store
	ahead atomic.Int64 // of start, in nanoseconds
}

func (r *rig) pass(d time.Duration) { r.ahead.Add(int64(d)) }

func open(t tb, s store.Store) *rig {
	t.Helper()
	r := &rig{t: t, ctx: context.Background(), store: s}
	var err error
	r.Lockfile, err = lock.Open(r.ctx, s, func() time.Time { return start.Add(time.Duration(r.ahead.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checked opens a lock file in memory and checks it when the test ends.
func checked(t testing.TB) *rig { return checkedOn(t, memstore.New()) }

func checkedOn(t testing.TB, s store.Store) *rig {
	t.Helper()
	r := open(t, s)
	t.Cleanup(func() {
		t.Helper()
		for _, p := range r.problems() {
			t.Errorf("check: %s", p)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func (r *rig) problems() []string {
	r.t.Helper()
	out, err := r.Check(r.ctx)
	if err != nil {
		r.t.Fatalf("check: %v", err)
	}
	return out.Problems
}

// eachStore runs a test on every store.
func eachStore(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { fn(t, checked(t)) })
	t.Run("bolt", func(t *testing.T) { fn(t, checkedOn(t, bolt(t))) })
}

func bolt(t testing.TB) store.Store {
	t.Helper()
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "lock.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("unexpected error: %v", err))
	}
	return v
}

func digest(s string) ref.Digest              { return ref.DigestOf([]byte(s)) }
func chart(name, version string) chartName    { return must(ref.ParseImported(name, version)) }
func env(s string) ref.Env                    { return must(ref.ParseEnv(s)) }
func reference(s string) ref.Reference        { return must(ref.ParseReference(s)) }
func hub(version string) (c ref.ChartVersion) { return chart("jupyterhub", version) }

type chartName = ref.ChartVersion

// version is what a package says; content stands for its bytes.
func version(c ref.ChartVersion, content string) lock.NewVersion {
	return lock.NewVersion{Version: lock.ChartVersion{
		Chart: c, Package: digest("package " + c.String() + content), Content: digest("content " + c.String() + content), Size: 1000,
	}}
}

// image is an image of one platform with the given layers.
func image(repo string, layers ...string) lock.Image {
	return platforms(repo, map[string][]string{"linux/amd64": layers})
}

func platforms(repo string, layers map[string][]string) lock.Image {
	i := lock.Image{MediaType: "application/vnd.oci.image.index.v1+json"}
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		if layers[p] == nil {
			continue
		}
		platform := lock.Platform{Platform: p, Config: digest("config " + p + strings.Join(layers[p], " "))}
		for _, l := range layers[p] {
			platform.DiffIDs = append(platform.DiffIDs, digest("layer "+l))
		}
		i.Platforms = append(i.Platforms, platform)
	}
	i.Image = ref.Image{Repository: reference(repo).Repository, Digest: digest(fmt.Sprint("image ", repo, layers))}
	return i
}

const ownRepo = "quay.io/jupyterhub/k8s-hub"

// own is the hub image that the chart version names itself.
func own(version string) lock.Image { return image(ownRepo, "debian", "hub "+version) }

// built is an image of the users', built on a chart version's hub image.
func built(version, layer string) lock.Image {
	return image("quay.io/berkeley/hub", "debian", "hub "+version, layer)
}

// candidate proposes an image for a chart version's hub role.
func candidate(version string, i lock.Image) lock.Candidate {
	base := own(version)
	return lock.Candidate{
		Role: "hub", Required: true, Image: i, Tag: "t-" + i.Image.Digest.Hex()[:6],
		Own: &base, OwnRef: reference(ownRepo + ":" + version),
	}
}

func binding(version string, c ...lock.Candidate) lock.NewBinding {
	return lock.NewBinding{
		Chart: hub(version), Package: digest("package " + hub(version).String()), Images: c,
		Sealed: digest(fmt.Sprint("sealed ", version, c)), SealSize: 5,
	}
}

// publish publishes a version of the jupyterhub chart, bound to its own image.
func (r *rig) publish(v string) lock.Binding {
	r.t.Helper()
	nv := version(hub(v), "")
	nb := binding(v, candidate(v, own(v)))
	nb.Images[0].Tag = v
	nv.Binding = &nb
	out, err := r.Publish(r.ctx, alice, nv)
	if err != nil || out.Binding == nil {
		r.t.Fatalf("publish %s: %+v, %v", v, out, err)
	}
	return *out.Binding
}

func (r *rig) create(e string) {
	r.t.Helper()
	if _, err := r.CreateEnvironment(r.ctx, alice, lock.NewEnvironment{Env: env(e), Chart: "jupyterhub"}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) bind(nb lock.NewBinding) lock.Binding {
	r.t.Helper()
	b, _, err := r.Bind(r.ctx, alice, nb)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) pin(e string, base uint64, b lock.Binding) lock.Pin {
	r.t.Helper()
	p, err := r.MakePin(r.ctx, alice, lock.NewPin{Env: env(e), Base: base, Binding: b.ID, Downgrade: "as the test needs it"})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// lines is the whole journal.
func (r *rig) lines() []lock.Line {
	r.t.Helper()
	all, _, err := r.Journal(r.ctx, 0, 1_000_000)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

var buckets = []string{
	"meta", "charts", "files", "folds", "newest", "blobs", "generations", "images", "tags", "bases", "bindings",
	"environments", "pins", "pinsets", "reports", "summaries", "halts", "openhalts", "approvals", "journal", "keys", "keytimes", "tokens",
}

// dump is everything in the store but the named buckets.
func (r *rig) dump(without ...string) string {
	r.t.Helper()
	var out strings.Builder
	err := r.store.View(r.ctx, func(t store.Tx) error {
		for _, b := range buckets {
			if strings.Contains(strings.Join(without, " "), b) {
				continue
			}
			if err := t.Scan(b, store.ScanOptions{}, func(k string, v []byte) error {
				fmt.Fprintf(&out, "%s %q %s\n", b, k, v)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.String()
}

// refused holds that do fails with kind, names each of the words, and leaves
// no trace.
func (r *rig) refused(kind error, do func() error, words ...string) {
	r.t.Helper()
	before := r.dump()
	err := do()
	if !errors.Is(err, kind) {
		r.t.Errorf("the error is %v, want %v", err, kind)
		return
	}
	want, _ := advice.Of(lock.NeedOf(err))
	for _, w := range words {
		if !strings.Contains(err.Error()+": "+want, w) {
			r.t.Errorf("the error does not name %q: %v", w, err)
		}
	}
	if r.dump() != before {
		r.t.Errorf("refused with %v, and something was written", err)
	}
}

// tb is the part of testing.TB that a rig needs and that rapid has too.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}
