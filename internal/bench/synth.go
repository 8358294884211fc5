package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage/dirstore"
)

// spec is a synthetic repository. The same one gives the same versions.
type spec struct {
	Versions     int
	Environments int // each pinned to a version of the chart "pinned"
	Pins         int // revisions of the first environment
}

const (
	charts    = 100  // that the versions are spread over
	someSeed  = 2017 // of descriptions and digests
	inFlight  = 64   // writers while a repository is made
	pinsChart = "pinned"
)

// chartYAML is about what a line of a real index holds: 600 bytes with its
// digest and dates.
func chartYAML(name, version string, rng *rand.Rand) []byte {
	words := make([]byte, 120)
	for i := range words {
		words[i] = "abcdefghijklmnopqrstuvwxyz     "[rng.IntN(31)]
	}
	return fmt.Appendf(nil, `{"apiVersion":"v2","appVersion":%q,"description":%q,"home":"https://charts.example.org/%s","icon":"https://charts.example.org/%s/icon.svg","keywords":["notebooks","hub"],"kubeVersion":">=1.28.0-0","maintainers":[{"email":"team@example.org","name":"The %s team"}],"name":%q,"sources":["https://git.example.org/%s"],"version":%q}`,
		version, words, name, name, name, name, name, version)
}

// makePackage is a small chart that names no image.
func makePackage(name, version string, rng *rand.Rand) ([]byte, error) {
	return pack(name,
		file{"Chart.yaml", chartYAML(name, version, rng)},
		file{"values.yaml", []byte("replicas: 1\n")},
		file{"templates/configmap.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n")})
}

// largePackage has 45 kB, as JupyterHub's have.
func largePackage() ([]byte, error) {
	rng := rand.New(rand.NewPCG(someSeed, 45))
	noise := make([]byte, 45<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	return pack("large", file{"Chart.yaml", chartYAML("large", "1.0.0", rng)}, file{"files/noise", noise})
}

type file struct {
	name string
	data []byte
}

func pack(name string, files ...file) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: name + "/" + f.name, Mode: 0o644, Size: int64(len(f.data)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// synthesize fills a data directory as chartd would, but straight through the
// lock file's rules. Only the versions of the chart "pinned" have packages on
// disk: nothing that is measured reads the others'.
func synthesize(ctx context.Context, dir string, s spec) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := boltstore.Open(filepath.Join(dir, "lock.db"), boltstore.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := lock.Open(ctx, db, time.Now)
	if err != nil {
		return err
	}
	var next atomic.Int64
	err = each(inFlight, func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= s.Versions {
				return nil
			}
			if err := record(ctx, l, i); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return pinned(ctx, l, dir, s)
}

// each runs fn in n goroutines and returns the first error.
func each(n int, fn func() error) error {
	errs := make(chan error, n)
	for range n {
		go func() { errs <- fn() }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func nameOf(i int) (name, version string) {
	n := i / charts
	return fmt.Sprintf("chart-%02d", i%charts), fmt.Sprintf("%d.%d.%d", 1+n/400, n/20%20, n%20)
}

func record(ctx context.Context, l *lock.Lockfile, i int) error {
	name, version := nameOf(i)
	chart, err := ref.ParseChartVersion(name, version)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(someSeed, uint64(i)))
	meta := chartYAML(name, version, rng)
	nv := lock.NewVersion{Version: lock.ChartVersion{
		Chart: chart, Package: ref.DigestOf(meta), Content: ref.DigestOf(append(meta, '!')), Size: 2048, Metadata: json.RawMessage(meta),
	}, Binding: &lock.NewBinding{Chart: chart, Package: ref.DigestOf(meta)}}
	_, err = l.Publish(ctx, benchOp("publish"), nv)
	return err
}

func benchOp(route string) lock.Op { return lock.Op{Actor: lock.Actor{Name: "bench"}, Route: route} }

// pinned publishes the chart that environments run, through the whole of
// package repo, and pins them.
func pinned(ctx context.Context, l *lock.Lockfile, dir string, s spec) error {
	blobs, err := dirstore.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		return err
	}
	r, err := repo.Open(ctx, repo.Config{Blobs: blobs, Lock: l, Snapshot: repo.ReadSnapshot(filepath.Join(dir, "index.snapshot"))})
	if err != nil {
		return err
	}
	pkg, err := makePackage(pinsChart, "1.0.0", rand.New(rand.NewPCG(someSeed, 0)))
	if err != nil {
		return err
	}
	out, err := r.Publish(ctx, benchOp("publish"), repo.Upload{Package: pkg, RequireBinding: true})
	if err != nil {
		return err
	}
	for i := range s.Environments {
		env, err := environment(i)
		if err != nil {
			return err
		}
		if _, err := l.CreateEnvironment(ctx, benchOp("env"), lock.NewEnvironment{Env: env, Chart: pinsChart}); err != nil {
			return err
		}
		revisions := 1
		if i == 0 {
			revisions = max(s.Pins, 1)
		}
		for base := range revisions {
			if _, err := l.MakePin(ctx, benchOp("pin"), lock.NewPin{Env: env, Base: uint64(base), Binding: out.Binding.ID}); err != nil {
				return err
			}
		}
	}
	return r.SaveIndex(ctx)
}

func environment(i int) (ref.Env, error) { return ref.ParseEnv(fmt.Sprintf("hub%02d/prod", i)) }

// keepVariable names a directory in which repositories stay from one run to
// the next: the large ones take minutes to make.
const keepVariable = "CHARTD_BENCH_KEEP"

// cached makes a repository once and gives each measurement a copy.
type cached struct {
	dir  string
	mu   sync.Mutex
	made map[spec]string
}

func (c *cached) copyOf(ctx context.Context, s spec) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, ok := c.made[s]
	if !ok {
		var err error
		if from, err = c.find(ctx, s); err != nil {
			return "", fmt.Errorf("make a repository of %d versions: %w", s.Versions, err)
		}
		c.made[s] = from
	}
	to, err := os.MkdirTemp(c.dir, "data-")
	if err != nil {
		return "", err
	}
	to = filepath.Join(to, "data")
	return to, os.CopyFS(to, os.DirFS(from))
}

// find returns a kept repository, or makes one.
func (c *cached) find(ctx context.Context, s spec) (string, error) {
	name := fmt.Sprintf("of-%d-%d-%d", s.Versions, s.Environments, s.Pins)
	keep := os.Getenv(keepVariable)
	if keep == "" {
		path := filepath.Join(c.dir, name)
		return path, c.make(ctx, path, s)
	}
	// Another program may write other records.
	program, err := digestOfProgram()
	if err != nil {
		return "", err
	}
	path := filepath.Join(keep, name+"-"+program)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	old, _ := filepath.Glob(filepath.Join(keep, name+"-*")) // the pattern is well-formed
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", err
		}
	}
	unfinished := path + ".unfinished"
	if err := c.make(ctx, unfinished, s); err != nil {
		return "", err
	}
	return path, os.Rename(unfinished, path)
}

func (c *cached) make(ctx context.Context, path string, s spec) error {
	start := time.Now()
	err := synthesize(ctx, path, s)
	if err == nil {
		progress("made a repository of %d versions and %d pins in %v", s.Versions, s.Pins, time.Since(start).Round(time.Second))
	}
	return err
}

func digestOfProgram() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	sum, err := testtools.FileSum(path)
	return sum[:min(12, len(sum))], err
}

// writePackages writes n packages of different versions into a directory.
func writePackages(dir string, n int) error {
	for i := range n {
		name, version := nameOf(i)
		pkg, err := makePackage(name, version, rand.New(rand.NewPCG(someSeed, uint64(i))))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+"-"+version+".tgz"), pkg, 0o644); err != nil {
			return err
		}
	}
	return nil
}
