package imports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// item is a package that was read once: who it is, and where it goes in the order.
type item struct {
	candidate
	chart   ref.ChartVersion
	digest  ref.Digest
	created time.Time // in the index; zero for none
	date    time.Time // that, else the newest file's; zero for none
	already bool      // the server has these bytes
	kept    string    // file that keeps a fetched package
	data    []byte    // the package, where there is room for it until it is sent
	judged  bool      // read in full
	follows bool      // another package of this version comes before it

	unproven error // why its provenance file can't be read
}

// scan reads all packages, o.Jobs at once, and returns those that can be
// imported. Only what is known of them stays in memory.
type scan struct {
	o      Options
	have   map[ref.Digest]api.Chart
	dir    string // for fetched packages
	mu     sync.Mutex
	items  []*item
	report *Report
	done   int
	held   int64 // bytes of packages in memory
}

// mostHeld is how many bytes of packages are held from their first reading to
// their import; those beyond it are read again.
const mostHeld = 32 << 20

// hold keeps the bytes of a package, if there is room.
func (s *scan) hold(it *item, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.o.DryRun && s.held+int64(cap(data)) <= mostHeld {
		s.held += int64(cap(data))
		it.data = data
	}
}

func (s *scan) run(ctx context.Context, list []candidate) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.o.Jobs)
	for n, c := range list {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			it, err := s.one(ctx, n, c)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.done++
			s.o.Progress(Progress{Phase: "reading", Done: s.done, Total: len(list), Current: c.file})
			if it != nil {
				s.items = append(s.items, it)
			}
			return err
		})
	}
	return g.Wait()
}

func (s *scan) find(f Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Findings = append(s.report.Findings, f)
}

// one reads a package. No item and no error: it can't be imported, and a
// finding says why. An error ends the import.
func (s *scan) one(ctx context.Context, n int, c candidate) (*item, error) {
	it := &item{candidate: c}
	if c.fetched && c.entry != nil {
		// What the server has need not be fetched again.
		if ch, ok := s.have[c.entry.digest()]; ok && ch.Name == c.entry.Name && ch.Version == c.entry.Version {
			return s.known(it, ch)
		}
	}
	data, err := c.read(ctx)
	if err != nil {
		return nil, s.unread(ctx, c, err)
	}
	it.digest = ref.DigestOf(data)
	if ch, ok := s.have[it.digest]; ok {
		if it, err = s.known(it, ch); it != nil {
			s.compare(it)
		}
		return it, err
	}
	if err := s.judge(it, data); err != nil {
		s.find(Finding{Kind: Unreadable, Chart: c.chartName(), File: c.file, Message: err.Error(), Got: it.digest})
		return nil, nil
	}
	if it.date.IsZero() {
		s.find(Finding{Kind: Undated, Chart: it.chart.String(), File: c.file, Message: "neither the index nor the archive holds a date: its place in the order is not known"})
	}
	if c.fetched {
		it.kept = filepath.Join(s.dir, fmt.Sprintf("%d.tgz", n))
		if err := os.WriteFile(it.kept, data, 0o600); err != nil {
			return nil, fail(api.CodeLocalIO, "keep %q: %v", c.file, err)
		}
	}
	s.hold(it, data)
	return it, nil
}

// known is an item that the server has, byte for byte.
func (s *scan) known(it *item, ch api.Chart) (*item, error) {
	v, err := ref.ParseImported(ch.Name, ch.Version)
	it.chart, it.digest, it.already = v, ch.Package, true
	return it, err
}

func (c candidate) chartName() string {
	if c.entry == nil {
		return ""
	}
	return c.entry.String()
}

// unread turns a read error into a finding, unless it would hit every package.
func (s *scan) unread(ctx context.Context, c candidate, err error) error {
	var e *api.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNone):
		s.find(Finding{Kind: NoFile, Chart: c.chartName(), File: c.file, Message: "the index names a file that is not there"})
		return nil
	case errors.As(err, &e):
		return e
	}
	s.find(Finding{Kind: Unreadable, Chart: c.chartName(), File: c.file, Message: err.Error()})
	return nil
}

// compare checks a package against the index entry that names its file.
func (s *scan) compare(it *item) {
	e := it.entry
	if e == nil {
		return
	}
	if e.Name != it.chart.Name() || e.Version != it.chart.Version() {
		s.find(Finding{Kind: Identity, Chart: it.chart.String(), File: it.file,
			Message: fmt.Sprintf("the index calls this package %s", e)})
		return
	}
	it.created = e.created()
	if want := e.digest(); !want.IsZero() && want != it.digest {
		s.find(Finding{Kind: Digest, Chart: it.chart.String(), File: it.file, Want: want, Got: it.digest,
			Message: "the digest in the index is not that of the file"})
	}
}

// order sorts by date and then name, undated ones first. Of several packages
// of one version the one that the index means goes first, and the others last
// of all: the server says whether they are the same.
func order(items []*item) []*item {
	groups := map[ref.ChartVersion][]*item{}
	for _, it := range items {
		groups[it.chart] = append(groups[it.chart], it)
	}
	for _, g := range groups {
		slices.SortFunc(g, func(a, b *item) int {
			return cmp.Or(compareBool(b.meant(), a.meant()), compareBool(b.already, a.already), compareItems(a, b))
		})
		for _, it := range g[1:] {
			it.follows = true
		}
	}
	slices.SortFunc(items, func(a, b *item) int {
		return cmp.Or(compareBool(a.follows, b.follows), compareItems(a, b))
	})
	return items
}

// meant reports whether the index names exactly these bytes.
func (it *item) meant() bool { return it.entry != nil && it.entry.digest() == it.digest }

func compareItems(a, b *item) int {
	return cmp.Or(a.date.Compare(b.date), strings.Compare(a.chart.String(), b.chart.String()), strings.Compare(a.file, b.file))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// repeats removes packages that are there twice, byte for byte.
func (s *scan) repeats(items []*item) []*item {
	first := map[ref.Digest]*item{}
	return slices.DeleteFunc(items, func(it *item) bool {
		if other := first[it.digest]; other != nil {
			if it.file != other.file {
				s.find(Finding{Kind: Duplicate, Chart: it.chart.String(), File: it.file, Got: it.digest,
					Message: fmt.Sprintf("the same package as %q", other.file)})
			}
			return true
		}
		first[it.digest] = it
		return false
	})
}
