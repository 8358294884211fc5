// Package repo is a chart repository: packages and provenance files in a blob
// store, everything that is known of them in the lock file, and the index and
// the environment repositories derived from both.
//
// Invariants: a package is validated before anything is stored; its blobs are
// durable before the one transaction that publishes it, which is the commit
// point; the index is a pure function of the lock file's index generation, and
// shows a change before the answer to that change is sent.
package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/recent"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/storage"
)

var (
	// ErrBlobMissing says that the bytes of a published object are not in the
	// blob store, or damaged there.
	ErrBlobMissing = errors.New("blob is missing")
	// ErrUnavailable says that a registry did not answer; trying again later
	// may help. A Resolver wraps it for such failures.
	ErrUnavailable = errors.New("registry is unavailable")
	// ErrProvenance says that a provenance file is not one, or not of this
	// package.
	ErrProvenance = errors.New("provenance file is refused")
	// ErrMetadata says that Helm itself would not take the chart.
	ErrMetadata = errors.New("chart is refused by Helm's rules")
)

// Resolver asks a container registry: a reference by tag gives the digest
// behind it today, one by digest gives that image. Failures that may pass wrap
// ErrUnavailable.
type Resolver interface {
	Resolve(ctx context.Context, r ref.Reference) (lock.Image, error)
}

// How many answers are kept for the next who asks: a page has a few kB, what
// is known of a file half of one, and what they were made from as much again.
const (
	keptPages = 1 << 10
	keptFiles = 2 << 10
)

// Config of a Repository.
type Config struct {
	Blobs       storage.Store
	Lock        *lock.Lockfile
	Resolver    Resolver // nil: no registry, new charts stay unbound
	Archive     archive.Limits
	Keyring     []byte        // OpenPGP public keys; nil: signatures are not checked, digests are
	BindTimeout time.Duration // how long a publish waits for a registry; default 5 s

	Renderer      Renderer      // nil: no chart is rendered
	Engine        string        // of the Renderer: traces of another are not used
	RenderTimeout time.Duration // how long a publish waits for a trace; default 10 s

	ContextPath string // path of the repository below its host, "" or "/org/repo"
	Format      IndexFormat
	Snapshot    *Snapshot // keeps the index over a restart; nil: none
	Now         func() time.Time
}

// Repository is the chart repository. Its methods may be called concurrently.
type Repository struct {
	Config
	keys    keyring
	leases  leases
	names   keyedMutex
	index   indexer
	charts  recent.Map[string, chartIndex]
	traces  recent.Map[ref.Digest, lock.Rendering] // by package
	pages   *kept.Memo[*lock.Lockfile, Page]
	files   *kept.Memo[*lock.Lockfile, Blob]
	backing sync.RWMutex // held for reading by a sweep's deletions, for writing by a backup
}

// Open builds the index from the lock file.
func Open(ctx context.Context, c Config) (*Repository, error) {
	if c.BindTimeout == 0 {
		c.BindTimeout = 5 * time.Second
	}
	if c.RenderTimeout == 0 {
		c.RenderTimeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Archive == (archive.Limits{}) {
		c.Archive = archive.DefaultLimits()
	}
	r := &Repository{Config: c, charts: recent.Map[string, chartIndex]{Size: keptChartIndexes}, traces: recent.Map[ref.Digest, lock.Rendering]{Size: keptTraces}, pages: kept.NewMemo[*lock.Lockfile, Page](keptPages), files: kept.NewMemo[*lock.Lockfile, Blob](keptFiles)}
	var err error
	if r.keys, err = readKeyring(c.Keyring); err != nil {
		return nil, fmt.Errorf("read keyring: %w", err)
	}
	if _, err := r.Index(ctx); err != nil {
		return nil, fmt.Errorf("build index: %w", err)
	}
	return r, nil
}

// Blob is a stored file under the name that it is served by.
type Blob struct {
	Chart   string // that it is a package of
	Digest  ref.Digest
	Size    int64
	Name    string
	Created time.Time
}

// Package finds a package or, with the suffix ".prov", its provenance file by
// file name. Yanked versions are found, purged ones are not.
func (r *Repository) Package(ctx context.Context, name string) (Blob, error) {
	return r.files.Get(ctx, r.Lock, name, func(l *lock.Lockfile) (Blob, error) {
		file, prov := strings.CutSuffix(name, ".prov")
		v, err := l.ByFile(ctx, file)
		if err != nil {
			return Blob{}, err
		}
		return r.packageBlob(ctx, v, prov)
	})
}

func (r *Repository) packageBlob(ctx context.Context, v lock.ChartVersion, prov bool) (Blob, error) {
	b := Blob{Chart: v.Chart.Name(), Digest: v.Package, Size: v.Size, Name: v.Chart.FileName(), Created: v.Created}
	if v.State == model.Purged {
		return Blob{}, fmt.Errorf("%w: %s was purged: %s", lock.ErrNotFound, v.Chart, v.Why)
	}
	if !prov {
		return b, nil
	}
	if v.Provenance.IsZero() {
		return Blob{}, fmt.Errorf("%w: %s has no provenance file", lock.ErrNotFound, v.Chart)
	}
	info, err := r.Blobs.Stat(ctx, v.Provenance)
	if err != nil {
		return Blob{}, r.missing(err, v.Provenance)
	}
	b.Digest, b.Size, b.Name = v.Provenance, info.Size, b.Name+".prov"
	return b, nil
}

// Open opens length bytes of a blob from off; length < 0 means to its end.
func (r *Repository) Open(ctx context.Context, b Blob, off, length int64) (io.ReadCloser, error) {
	rc, err := r.Blobs.Get(ctx, b.Digest, off, length)
	return rc, r.missing(err, b.Digest)
}

// OpenFile opens a blob as a file that was verified. It is nil where blobs are
// no files: use Open.
func (r *Repository) OpenFile(ctx context.Context, b Blob) (*os.File, error) {
	files, ok := r.Blobs.(storage.Files)
	if !ok {
		return nil, nil
	}
	f, err := files.File(ctx, b.Digest)
	return f, r.missing(err, b.Digest)
}

func (r *Repository) missing(err error, d ref.Digest) error {
	if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrMismatch) {
		return fmt.Errorf("%w: %s: publish the same package again to mend it, or restore a backup", ErrBlobMissing, d)
	}
	return err
}

// read returns a whole blob, verified.
func (r *Repository) read(ctx context.Context, d ref.Digest) ([]byte, error) {
	rc, err := r.Blobs.Get(ctx, d, 0, -1)
	if err != nil {
		return nil, r.missing(err, d)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return data, r.missing(err, d)
}

// File returns a file of a chart that is served by itself: values.yaml,
// Chart.yaml.
func (r *Repository) File(ctx context.Context, chart ref.ChartVersion, name string) ([]byte, error) {
	p, _, err := r.load(ctx, chart)
	if err != nil {
		return nil, err
	}
	data, ok := p.File(name)
	if !ok {
		return nil, fmt.Errorf("%w: %s has no file %s", lock.ErrNotFound, chart, name)
	}
	return data, nil
}

// Templates hands the template files of a chart to each, as they are unpacked,
// and ends with its error.
func (r *Repository) Templates(ctx context.Context, chart ref.ChartVersion, each func(archive.File) error) error {
	v, err := r.Lock.ChartVersion(ctx, chart)
	if err != nil {
		return err
	}
	if _, err := r.packageBlob(ctx, v, false); err != nil {
		return err
	}
	data, err := r.read(ctx, v.Package)
	if err != nil {
		return err
	}
	return archive.EachTemplate(data, r.archiveOptions(v.Imported), each)
}

// load reads a published package again.
func (r *Repository) load(ctx context.Context, chart ref.ChartVersion) (*archive.Package, []byte, error) {
	return r.loadFrom(ctx, r.Lock, chart)
}

func (r *Repository) loadFrom(ctx context.Context, l *lock.Lockfile, chart ref.ChartVersion) (*archive.Package, []byte, error) {
	v, err := l.ChartVersion(ctx, chart)
	if err != nil {
		return nil, nil, err
	}
	if _, err := r.packageBlob(ctx, v, false); err != nil {
		return nil, nil, err
	}
	data, err := r.read(ctx, v.Package)
	if err != nil {
		return nil, nil, err
	}
	p, err := archive.Read(data, r.archiveOptions(v.Imported))
	return p, data, err
}

func (r *Repository) archiveOptions(lenient bool) archive.Options {
	return archive.Options{Limits: r.Archive, Lenient: lenient}
}
