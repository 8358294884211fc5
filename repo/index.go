package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Masterminds/semver/v3"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/kept"
)

// Index is the index of one generation. It is immutable: a reader may take as
// long as it likes, and shares with the next generation all but what changed.
type Index struct {
	generation uint64
	at         time.Time
	context    string
	format     IndexFormat
	segments   []*segment

	names  func() []string
	etag   func() string
	bodies [encodings]lazyBody
}

// indexer keeps the index of the newest generation.
type indexer struct {
	mu      sync.Mutex // serialises refreshes
	current atomic.Pointer[Index]
	newest  atomic.Pointer[kept.Basis] // of current being the newest; nil: not known
	saved   atomic.Uint64              // generation of the snapshot on disk
}

// Index returns the index of the newest generation whose change was answered,
// or of a later one. Changes refresh it before they are answered, so a reader
// waits for nobody; where a refresh failed, the next reader makes up for it.
func (r *Repository) Index(ctx context.Context) (*Index, error) {
	if b := r.index.newest.Load(); b != nil && b.Holds(ctx) {
		return r.index.current.Load(), nil
	}
	var gen uint64
	basis, err := r.Lock.Watch(func(l *lock.Lockfile) (err error) {
		gen, err = l.IndexGeneration(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	now := r.index.current.Load()
	if now != nil && now.generation >= gen {
		r.index.newest.Store(basis)
		return now, nil
	}
	if now != nil && !r.index.mu.TryLock() {
		return now, nil // somebody is at it, and has not answered yet
	}
	if now == nil {
		r.index.mu.Lock()
	}
	defer r.index.mu.Unlock()
	if err := r.refreshLocked(ctx); err != nil {
		return nil, err
	}
	return r.index.current.Load(), nil
}

// refresh brings the index to the newest committed generation. It runs after
// a commit, so it is not given up when the request is.
func (r *Repository) refresh(ctx context.Context) error {
	r.index.mu.Lock()
	defer r.index.mu.Unlock()
	return r.refreshLocked(ctx)
}

func (r *Repository) refreshLocked(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	old := r.index.current.Load()
	if old == nil {
		old = r.loadSnapshot(ctx)
	}
	next, err := r.follow(ctx, old)
	if err != nil {
		return fmt.Errorf("refresh index: %w", err)
	}
	r.index.current.Store(next)
	return nil
}

// follow applies what the lock file changed since the generation of old.
func (r *Repository) follow(ctx context.Context, old *Index) (*Index, error) {
	if old.generation == 0 {
		return r.rebuild(ctx)
	}
	var edits []edit
	c, err := r.Lock.IndexSince(ctx, old.generation, func() { edits = nil }, func(l lock.IndexLine) error {
		e, err := newEdit(l)
		edits = append(edits, e)
		return err
	})
	if err != nil || c.Generation == old.generation {
		return old, err
	}
	next := r.newIndex(c.Generation, c.At)
	next.segments, err = amend(old.segments, edits)
	return next, err
}

func (r *Repository) newIndex(generation uint64, at time.Time) *Index {
	return newIndex(generation, at, r.ContextPath, r.Format)
}

func newIndex(generation uint64, at time.Time, contextPath string, format IndexFormat) *Index {
	x := &Index{generation: generation, at: at, context: contextPath, format: format}
	x.etag = sync.OnceValue(x.digest)
	x.names = sync.OnceValue(x.allNames)
	return x
}

// Generation is the index generation.
func (x *Index) Generation() uint64 { return x.generation }

// Generated is when the generation came about.
func (x *Index) Generated() time.Time { return x.at }

// Names returns the names of the charts, in order.
func (x *Index) Names() []string { return x.names() }

func (x *Index) allNames() []string {
	var out []string
	for _, s := range x.segments {
		if len(out) > 0 && out[len(out)-1] == s.last() {
			continue // all of it is of that chart
		}
		for i := range s.spans {
			if n, _ := s.key(i); len(out) == 0 || out[len(out)-1] != n {
				out = append(out, n)
			}
		}
	}
	return out
}

// from calls each with the lines from p on, until it returns false.
func (x *Index) from(p place, each func(line) bool) {
	for i := max(find(x.segments, p), 0); i < len(x.segments); i++ {
		s := x.segments[i]
		for j := range s.spans {
			if !each(s.line(j)) {
				return
			}
		}
	}
}

// ofChart calls each with the lines of one chart, in index order.
func (x *Index) ofChart(name string, each func(line) bool) {
	for _, s := range x.around(name) {
		for j := range s.spans {
			if l := s.line(j); l.name == name && !each(l) {
				return
			}
		}
	}
}

// Entries returns the lines of a chart in index order.
func (x *Index) Entries(name string) []json.RawMessage {
	var out []json.RawMessage
	x.ofChart(name, func(l line) bool { out = append(out, l.json); return true })
	return out
}

// Entry returns one line. The version "latest", or none, is the newest stable
// one, or the newest of all where there is no stable one.
func (x *Index) Entry(name, version string) (found json.RawMessage, ok bool) {
	if version == "" || version == "latest" {
		x.ofChart(name, func(l line) bool {
			if !ok || stable(l.version) {
				found, ok = l.json, true
			}
			return !stable(l.version)
		})
		return found, ok
	}
	order, err := semver.NewVersion(version)
	if err != nil {
		return nil, false
	}
	x.from(place{name, order, ^uint64(0)}, func(l line) bool {
		if l.name == name && l.version == version {
			found, ok = l.json, true
			return false
		}
		p, err := l.place()
		return err == nil && p.compare(place{name, order, 0}) <= 0
	})
	return found, ok
}

// digest identifies the content of the index by the digests of its segments.
func (x *Index) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", x.context, x.format, stampTime(x.at))
	for _, s := range x.segments {
		h.Write(s.sum[:])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

const head = `{"apiVersion":"v1","entries":{`

// tail closes the entries and the index.
func (x *Index) tail() []byte {
	var b bytes.Buffer
	if len(x.segments) > 0 {
		b.WriteByte(']')
	}
	writeTail(&b, x.context, x.at)
	return b.Bytes()
}

// writeTail closes the entries and the index.
func writeTail(b *bytes.Buffer, contextPath string, at time.Time) {
	fmt.Fprintf(b, `},"generated":%q,"serverInfo":{`, stampTime(at))
	if contextPath != "" {
		raw, _ := json.Marshal(contextPath) // a string always encodes
		b.WriteString(`"contextPath":`)
		b.Write(readable(raw))
	}
	b.WriteString("}}\n")
}

func stampTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
