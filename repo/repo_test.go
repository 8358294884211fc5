package repo_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/indextest"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/renderer"
	"chartd.dev/chartd/internal/testtools"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// registry is a container registry in memory, with a hook for faults.
type registry struct {
	mu     sync.Mutex
	images map[string]lock.Image // by "repository:tag" and "repository@digest"
	fault  func(ctx context.Context, r ref.Reference) error
	asked  int
}

func (g *registry) Resolve(ctx context.Context, r ref.Reference) (lock.Image, error) {
	g.mu.Lock()
	g.asked++
	fault := g.fault
	key := r.Repository.String() + ":" + r.Tag
	if !r.Digest.IsZero() {
		key = r.Repository.String() + "@" + r.Digest.String()
	}
	image, ok := g.images[key]
	g.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, r); err != nil {
			return lock.Image{}, err
		}
	}
	if !ok {
		return lock.Image{}, fmt.Errorf("%w: the registry has no %s", lock.ErrNotFound, r)
	}
	return image, nil
}

// push makes an image from its layers; the digest follows from them.
func (g *registry) push(t *testing.T, name string, layers ...string) lock.Image {
	t.Helper()
	r, err := ref.ParseReference(name)
	if err != nil {
		t.Fatal(err)
	}
	p := lock.Platform{Platform: "linux/amd64", Config: ref.DigestOf([]byte(fmt.Sprint("config", layers)))}
	for _, l := range layers {
		p.DiffIDs = append(p.DiffIDs, ref.DigestOf([]byte(l)))
	}
	image := lock.Image{
		Image:     ref.Image{Repository: r.Repository, Digest: ref.DigestOf([]byte(fmt.Sprint("manifest", layers)))},
		MediaType: "application/vnd.oci.image.manifest.v1+json", Platforms: []lock.Platform{p},
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.images[r.Repository.String()+":"+r.Tag] = image
	g.images[image.Image.String()] = image
	return image
}

// rig is a repository in memory. Every test ends with a full check.
type rig struct {
	*repo.Repository
	registry *registry
	blobs    *storage.Memory
	lockfile *lock.Lockfile
	clock    time.Time
}

var ctx = context.Background()

func newRig(t *testing.T, change ...func(*repo.Config)) *rig {
	t.Helper()
	g := &rig{
		registry: &registry{images: map[string]lock.Image{}}, blobs: storage.NewMemory(),
		clock: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
	}
	var mu sync.Mutex
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		g.clock = g.clock.Add(time.Second)
		return g.clock
	}
	var err error
	if g.lockfile, err = lock.Open(ctx, memstore.New(), now); err != nil {
		t.Fatal(err)
	}
	c := repo.Config{Blobs: g.blobs, Lock: g.lockfile, Resolver: g.registry, Now: now, Renderer: pool(t), Engine: renderer.EngineVersion()}
	for _, f := range change {
		f(&c)
	}
	if g.Repository, err = repo.Open(ctx, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.check(t)
		g.readIndexes(t)
	})
	return g
}

func TestMain(m *testing.M) { os.Exit(indextest.Run(m)) }

// readIndexes has every reader read the index, and those of the environments.
func (g *rig) readIndexes(t *testing.T) {
	t.Helper()
	x, err := g.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := x.Body(repo.Identity)
	if err != nil {
		t.Fatal(err)
	}
	indextest.Read(t, body.Bytes())
	list, err := g.lockfile.Environments(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if page, err := g.EnvironmentIndex(ctx, e.Env); err == nil {
			indextest.Read(t, page.Body)
		}
	}
}

// pool renders with the real program.
func pool(t *testing.T) *render.Pool {
	t.Helper()
	p, err := render.New(render.Config{Program: testtools.Chartd(t), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (g *rig) check(t *testing.T) {
	t.Helper()
	rep, err := g.Check(ctx, repo.CheckOptions{Blobs: true})
	if err != nil {
		t.Errorf("check: %v", err)
	}
	for _, p := range rep.Problems {
		t.Errorf("check: %s", p)
	}
	if rep.Unused > 0 {
		t.Errorf("check: %d blobs that nothing names", rep.Unused)
	}
}

func op(route string) lock.Op { return lock.Op{Actor: lock.Actor{Name: "tester"}, Route: route} }

// hub is a small chart with a hub image.
func hub(t testing.TB, version, tag string, more ...string) []byte {
	t.Helper()
	values := "# how the hub runs\nhub:\n  image:\n    name: quay.io/jupyterhub/k8s-hub\n    tag: \"" + tag + "\" # moved by every release\n  replicas: 1\nproxy:\n  chp:\n    image:\n      name: quay.io/jupyterhub/chp\n      tag: 4.6.2\n"
	files := map[string]string{
		"jupyterhub/Chart.yaml":         "apiVersion: v2\nname: jupyterhub\nversion: " + version + "\nappVersion: \"5\"\ndescription: Many notebooks for many people\n",
		"jupyterhub/values.yaml":        values,
		"jupyterhub/templates/hub.yaml": "image: {{ .Values.hub.image.name }}:{{ .Values.hub.image.tag }}\n",
	}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	return pack(t, files)
}

func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg, ModTime: time.Unix(1700000000, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (g *rig) publish(t *testing.T, pkg []byte) repo.Published {
	t.Helper()
	p, err := g.Publish(ctx, op("publish"), repo.Upload{Package: pkg})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
