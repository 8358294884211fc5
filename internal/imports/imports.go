// Package imports takes over other people's chart repositories: a directory of
// packages, a checkout of a pages branch, a ChartMuseum store, or whatever
// serves an index.yaml.
//
// Of each package is read what it takes to put them in the order in which they
// were published, because publication sequence is the order that pins lean on;
// the server judges them and commits them in that order, many in one request.
// It is asked first what it has, so an import that was broken off goes on where
// it stopped. A directory is read without any network.
package imports

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// Options of an import. Location is required.
type Options struct {
	Location  string // directory or URL
	Index     string // file or URL of the index, where it lies elsewhere
	Fetch     bool   // a directory's missing packages are fetched from the index's URLs
	DryRun    bool   // read and compare, change nothing
	Bind      bool   // bind what was imported unbound
	Jobs      int    // packages read at once; 0 is 4
	Limits    archive.Limits
	UserAgent string
	Backoff   time.Duration // before a fetch is tried again, doubled each time; 0 is 250 ms
	TempDir   string        // for fetched packages; "" is the system's
	// Progress is called after each step, not concurrently. It may be nil.
	Progress func(Progress)
}

// Progress says how far a phase has come: reading, importing or binding.
type Progress struct {
	Phase       string
	Done, Total int
	Current     string
}

// Run imports a repository. The report is valid also with an error, as far as
// the import came; an error is what stopped it, such as an unreachable server,
// never a fault of a single package.
func Run(ctx context.Context, c *client.Client, o Options) (*Report, error) {
	if o.Jobs < 1 {
		o.Jobs = 4
	}
	if o.Limits == (archive.Limits{}) {
		o.Limits = archive.DefaultLimits()
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	r := &Report{Source: o.Location, DryRun: o.DryRun, Findings: []Finding{}}
	err := run(ctx, c, o, r)
	r.finish()
	return r, err
}

func run(ctx context.Context, c *client.Client, o Options, r *Report) error {
	src, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer src.close()
	r.Source, r.Index, r.Packages = src.name, len(src.entries), len(src.packages)
	r.Findings = append(r.Findings, src.findings...)
	if err := src.empty(); err != nil {
		return err
	}
	have := map[ref.Digest]api.Chart{}
	for ch, err := range c.AllCharts(ctx, client.ChartQuery{All: true}) {
		if err != nil {
			return err
		}
		have[ch.Package] = ch
	}
	dir, err := os.MkdirTemp(o.TempDir, "chartctl-import-")
	if err != nil {
		return fail(api.CodeLocalIO, "import: %v", err)
	}
	defer os.RemoveAll(dir)
	s := &scan{o: o, have: have, dir: dir, report: r}
	if err := s.run(ctx, src.packages); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	items := s.repeats(order(s.items))
	if o.DryRun {
		for _, it := range items {
			if it.already {
				r.Existed++
			} else {
				r.Imported++
			}
		}
		return nil
	}
	m := &commit{c: c, o: o, report: r}
	if err := m.run(ctx, items, have); err != nil {
		return err
	}
	if o.Bind {
		return m.bind(ctx)
	}
	return nil
}

// bind binds what has no binding yet. A version that can't be bound is a
// finding: it stays, unbound.
func (m *commit) bind(ctx context.Context) error {
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.o.Jobs)
	for _, v := range m.unbound {
		g.Go(func() error {
			_, _, err := m.c.Bind(ctx, v, api.BindRequest{})
			mu.Lock()
			defer mu.Unlock()
			done++
			m.o.Progress(Progress{Phase: "binding", Done: done, Total: len(m.unbound), Current: v.String()})
			var e *api.Error
			switch {
			case err == nil:
				m.report.Bound++
			case errors.As(err, &e) && e.Status != 0 && e.Code != api.CodeUnauthorized && e.Code != api.CodeForbidden:
				m.report.Findings = append(m.report.Findings, Finding{Kind: Unbound, Chart: v.String(), Message: e.Error()})
			default:
				return err
			}
			return nil
		})
	}
	return g.Wait()
}
