// Package imports takes over other people's chart repositories: a directory of
// packages, a checkout of a pages branch, a ChartMuseum store, or whatever
// serves an index.yaml.
//
// Packages are read in parallel and committed one after another in the order
// in which they were published, because publication sequence is the order that
// pins lean on. The server is asked first what it has, so an import that was
// broken off goes on where it stopped. A directory is read without any network.
package imports

import (
	"context"
	"errors"
	"os"
	"slices"
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

// commit writes to the server, in order.
type commit struct {
	c       *client.Client
	o       Options
	report  *Report
	unbound []ref.ChartVersion
}

func (m *commit) run(ctx context.Context, items []*item, have map[ref.Digest]api.Chart) error {
	for n, it := range items {
		m.o.Progress(Progress{Phase: "importing", Done: n, Total: len(items), Current: it.chart.String()})
		if it.already {
			m.report.Existed++
			m.note(have[it.digest])
			continue
		}
		if err := m.one(ctx, it); err != nil {
			return err
		}
	}
	m.o.Progress(Progress{Phase: "importing", Done: len(items), Total: len(items)})
	return nil
}

// note remembers what is still to be bound.
func (m *commit) note(ch api.Chart) {
	if ch.Binding != nil || ch.State != "listed" {
		return
	}
	if v, err := ref.ParseImported(ch.Name, ch.Version); err == nil && !slices.Contains(m.unbound, v) {
		m.unbound = append(m.unbound, v)
	}
}

func (m *commit) find(k Kind, it *item, why string) {
	m.report.Findings = append(m.report.Findings, Finding{Kind: k, Chart: it.chart.String(), File: it.file, Message: why, Got: it.digest})
}

// one imports one package. Its own faults become findings.
func (m *commit) one(ctx context.Context, it *item) error {
	data, err := it.again(ctx)
	if err == nil && ref.DigestOf(data) != it.digest {
		err = fail(api.CodeLocalIO, "%q changed while it was being imported", it.file)
	}
	if err != nil {
		return err
	}
	req := client.ImportRequest{
		Package: data, Created: it.date, OrderUnknown: it.date.IsZero(),
		BareRequirements: it.meant() && len(it.entry.Dependencies) == 0,
	}
	if req.Provenance, err = it.prov(ctx); err != nil && !errors.Is(err, errNone) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.find(Provenance, it, "the provenance file can't be read: "+err.Error())
	}
	res, err := m.c.Import(ctx, req)
	if bad(err) != "" && bad(err) != Conflict && req.Provenance != nil {
		why := err.Error()
		req.Provenance = nil
		if res, err = m.c.Import(ctx, req); err == nil {
			m.find(Provenance, it, "imported without its provenance file: "+why)
		}
	}
	switch kind := bad(err); {
	case kind != "":
		m.find(kind, it, err.Error())
		return nil
	case err != nil:
		return err
	case res.Existed:
		m.report.Existed++
	default:
		m.report.Imported++
	}
	m.note(res.Chart)
	return nil
}

// bad is the kind of finding for an error that is the package's own fault, ""
// for errors that would hit every other package too.
func bad(err error) Kind {
	var e *api.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code {
	case api.CodeExists:
		return Conflict
	case api.CodeInvalid, api.CodeRefused, api.CodeTooLarge, api.CodeMismatch, api.CodeMediaType:
		if e.Status != 0 {
			return Refused
		}
	}
	return ""
}

// again reads the package a second time, from disk.
func (it *item) again(ctx context.Context) ([]byte, error) {
	if it.kept == "" {
		b, err := it.read(ctx)
		if err != nil {
			return nil, fail(api.CodeLocalIO, "read package: %v", err)
		}
		return b, nil
	}
	b, err := os.ReadFile(it.kept)
	if err != nil {
		return nil, fail(api.CodeLocalIO, "read package: %v", err)
	}
	return b, nil
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
