package repo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
	helmrepo "helm.sh/helm/v3/pkg/repo"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// annotations of an index line.
const (
	annotationBinding  = "chartd.dev/binding"
	annotationEvidence = "chartd.dev/evidence"
	annotationImage    = "chartd.dev/image." // and the role
	annotationUnbound  = "chartd.dev/unbound"
	annotationEnv      = "chartd.dev/environment"
	annotationRevision = "chartd.dev/revision"
)

// fragment is one line of the index, encoded.
type fragment struct {
	chart ref.ChartVersion
	order *semver.Version
	seq   uint64
	json  []byte
	sum   [sha256.Size]byte
}

// Index is the index of one generation. It is immutable.
type Index struct {
	generation uint64
	at         time.Time
	context    string
	format     IndexFormat
	charts     map[string][]*fragment // in index order
	names      []string

	bodies [encodings]lazyBody
	etag   func() string
}

// indexer keeps the index of the newest generation.
type indexer struct {
	mu      sync.Mutex // serialises refreshes
	current atomic.Pointer[Index]
}

// Index returns the index of the newest generation that was committed when it
// was called, or of a later one.
func (r *Repository) Index(ctx context.Context) (*Index, error) {
	gen, err := r.Lock.IndexGeneration(ctx)
	if err != nil {
		return nil, err
	}
	if now := r.index.current.Load(); now != nil && now.generation >= gen {
		return now, nil
	}
	if err := r.refresh(ctx); err != nil {
		return nil, err
	}
	return r.index.current.Load(), nil
}

// refresh brings the index to the newest committed generation. It runs after
// a commit, so it is not given up when the request is.
func (r *Repository) refresh(ctx context.Context) error {
	r.index.mu.Lock()
	defer r.index.mu.Unlock()
	old := r.index.current.Load()
	if old == nil {
		old = r.newIndex(0, time.Time{})
	}
	changes, err := r.Lock.IndexSince(context.WithoutCancel(ctx), old.generation)
	if err != nil {
		return fmt.Errorf("refresh index: %w", err)
	}
	if changes.Generation == old.generation {
		r.index.current.CompareAndSwap(nil, old)
		return nil
	}
	next, err := r.apply(old, changes)
	if err != nil {
		return fmt.Errorf("refresh index: %w", err)
	}
	r.index.current.Store(next)
	return nil
}

func (r *Repository) newIndex(generation uint64, at time.Time) *Index {
	x := &Index{generation: generation, at: at, context: r.ContextPath, format: r.Format, charts: map[string][]*fragment{}}
	x.etag = sync.OnceValue(x.digest)
	return x
}

// apply makes the next index from the lines that changed; charts that did not
// change share their fragments with the old one.
func (r *Repository) apply(old *Index, c lock.IndexChanges) (*Index, error) {
	next := r.newIndex(c.Generation, c.At)
	next.charts = maps.Clone(old.charts)
	fresh := map[string]bool{}
	for _, line := range c.Lines {
		name := line.Chart.Chart.Name()
		list := next.charts[name]
		if !fresh[name] {
			list, fresh[name] = slices.Clone(list), true
		}
		list = slices.DeleteFunc(list, func(f *fragment) bool { return f.chart == line.Chart.Chart })
		if line.Chart.State == lock.Listed {
			f, err := newFragment(line, []string{"charts/" + line.Chart.Chart.FileName()})
			if err != nil {
				return nil, err
			}
			list = append(list, f)
		}
		next.charts[name] = list
	}
	for name := range fresh {
		if len(next.charts[name]) == 0 {
			delete(next.charts, name)
			continue
		}
		slices.SortFunc(next.charts[name], func(a, b *fragment) int {
			return cmp.Or(b.order.Compare(a.order), cmp.Compare(b.seq, a.seq))
		})
	}
	next.names = slices.Sorted(maps.Keys(next.charts))
	return next, nil
}

func newFragment(line lock.IndexLine, urls []string) (*fragment, error) {
	order, err := semver.NewVersion(line.Chart.Chart.Version())
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", line.Chart.Chart, err)
	}
	raw, err := entry(line, urls, nil)
	if err != nil {
		return nil, err
	}
	return &fragment{line.Chart.Chart, order, line.Chart.Seq, raw, sha256.Sum256(raw)}, nil
}

// entry encodes one line of an index: what Helm would write, with the binding
// as annotations.
func entry(line lock.IndexLine, urls []string, more map[string]string) ([]byte, error) {
	var m chart.Metadata
	if err := json.Unmarshal(line.Chart.Metadata, &m); err != nil {
		return nil, fmt.Errorf("%w: decode metadata of %s: %v", lock.ErrDamaged, line.Chart.Chart, err)
	}
	notes := map[string]string{}
	maps.Copy(notes, m.Annotations)
	maps.DeleteFunc(notes, func(k, _ string) bool { return len(k) > 11 && k[:11] == "chartd.dev/" })
	if b := line.Binding; b != nil {
		notes[annotationBinding] = b.ID.String()
		notes[annotationEvidence] = string(b.Evidence)
		for _, i := range b.Images {
			notes[annotationImage+string(i.Role)] = i.Image.String()
		}
	} else {
		notes[annotationUnbound] = "true"
	}
	maps.Copy(notes, more)
	m.Annotations = notes
	return json.Marshal(&helmrepo.ChartVersion{Metadata: &m, URLs: urls, Created: line.Chart.Created, Digest: line.Chart.Package.Hex()})
}

// Generation is the index generation.
func (x *Index) Generation() uint64 { return x.generation }

// Generated is when the generation came about.
func (x *Index) Generated() time.Time { return x.at }

// Names returns the names of the charts, in order.
func (x *Index) Names() []string { return x.names }

// Entries returns the lines of a chart in index order.
func (x *Index) Entries(name string) []json.RawMessage {
	var out []json.RawMessage
	for _, f := range x.charts[name] {
		out = append(out, f.json)
	}
	return out
}

// Entry returns one line. The version "latest", or none, is the newest stable
// one, or the newest of all where there is no stable one.
func (x *Index) Entry(name, version string) (json.RawMessage, bool) {
	list := x.charts[name]
	if len(list) == 0 {
		return nil, false
	}
	if version == "" || version == "latest" {
		for _, f := range list {
			if f.order.Prerelease() == "" {
				return f.json, true
			}
		}
		return list[0].json, true
	}
	for _, f := range list {
		if f.chart.Version() == version {
			return f.json, true
		}
	}
	return nil, false
}

// digest identifies the content of the index by the digests of its lines.
func (x *Index) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", x.context, x.format, stampTime(x.at))
	for _, name := range x.names {
		for _, f := range x.charts[name] {
			h.Write(f.sum[:])
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// plain writes the index as JSON, line by line.
func (x *Index) plain() []byte {
	size := 256
	for _, name := range x.names {
		size += len(name) + 8
		for _, f := range x.charts[name] {
			size += len(f.json) + 1
		}
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.WriteString(`{"apiVersion":"v1","entries":{`)
	for i, name := range x.names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%q:[", name)
		for j, f := range x.charts[name] {
			if j > 0 {
				b.WriteByte(',')
			}
			b.Write(f.json)
		}
		b.WriteByte(']')
	}
	writeTail(b, x.context, x.at)
	return b.Bytes()
}

// writeTail closes the entries and the index.
func writeTail(b *bytes.Buffer, contextPath string, at time.Time) {
	fmt.Fprintf(b, `},"generated":%q,"serverInfo":{`, stampTime(at))
	if contextPath != "" {
		raw, _ := json.Marshal(contextPath) // a string always encodes
		b.WriteString(`"contextPath":`)
		b.Write(raw)
	}
	b.WriteString("}}\n")
}

func stampTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
