package imports

import (
	"context"
	"errors"
	"os"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// A batch is sent in one request. Two of them are in memory at most, the one
// that is sent and the next.
const (
	batchPackages = client.MostImports
	batchBytes    = 8 << 20 // or one package, if that is larger
)

// commit writes to the server, in order.
type commit struct {
	c       *client.Client
	o       Options
	report  *Report
	unbound []ref.ChartVersion
	noted   map[ref.ChartVersion]bool // those in unbound
	done    int
	total   int
	single  bool // the server takes one package at a time
}

// batch is packages in order, with what is sent of those that the server lacks.
type batch struct {
	items    []*item
	requests []client.ImportRequest
	size     int
	err      error // instead of another one
}

func (m *commit) run(ctx context.Context, items []*item, have map[ref.Digest]api.Chart) error {
	m.total, m.noted = len(items), map[ref.ChartVersion]bool{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan batch)
	go func() {
		defer close(batches)
		m.load(ctx, items, batches)
	}()
	for b := range batches {
		if b.err != nil {
			return b.err
		}
		if err := m.send(ctx, b, have); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.o.Progress(Progress{Phase: "importing", Done: m.total, Total: m.total})
	return nil
}

// load reads the packages again and puts them into batches.
func (m *commit) load(ctx context.Context, items []*item, out chan<- batch) {
	var b batch
	flush := func() bool {
		select {
		case out <- b:
			b = batch{}
			return true
		case <-ctx.Done():
			return false
		}
	}
	for _, it := range items {
		var req client.ImportRequest
		if !it.already {
			var err error
			if req, err = m.request(ctx, it); err != nil {
				if flush() {
					b.err = err
					flush()
				}
				return
			}
		}
		size := len(req.Package) + len(req.Provenance)
		full := len(b.requests) >= batchPackages || len(b.requests) > 0 && b.size+size > batchBytes
		if full && !flush() {
			return
		}
		b.items = append(b.items, it)
		if !it.already {
			b.requests, b.size = append(b.requests, req), b.size+size
		}
	}
	flush()
}

// request reads a package and its provenance file.
func (m *commit) request(ctx context.Context, it *item) (client.ImportRequest, error) {
	data := it.data
	it.data = nil // the batch has it now
	if data == nil {
		var err error
		if data, err = it.again(ctx); err != nil {
			return client.ImportRequest{}, err
		}
		if ref.DigestOf(data) != it.digest {
			return client.ImportRequest{}, fail(api.CodeLocalIO, "%q changed while it was being imported", it.file)
		}
	}
	req := client.ImportRequest{
		Package: data, Created: it.date, OrderUnknown: it.date.IsZero(),
		BareRequirements: it.meant() && len(it.entry.Dependencies) == 0, ProvenanceOptional: true,
	}
	req.Provenance, it.unproven = it.prov(ctx)
	if errors.Is(it.unproven, errNone) {
		it.unproven = nil
	}
	return req, ctx.Err()
}

// send imports a batch and takes down what became of each package.
func (m *commit) send(ctx context.Context, b batch, have map[ref.Digest]api.Chart) error {
	results, err := m.all(ctx, b.requests)
	next := 0
	for _, it := range b.items {
		if !it.already && next == len(results) {
			break // the error says why
		}
		m.o.Progress(Progress{Phase: "importing", Done: m.done, Total: m.total, Current: it.chart.String()})
		m.done++
		if it.already {
			ch := have[it.digest]
			m.report.Existed++
			m.note(ch.Name, ch.Version, ch.State == model.Listed && ch.Binding == nil)
			continue
		}
		if it.unproven != nil {
			m.find(Provenance, it, "the provenance file can't be read: "+it.unproven.Error())
		}
		m.outcome(it, b.requests[next].Package, results[next])
		next++
	}
	return err
}

// all sends packages, to an older server one by one. It returns the results
// that there are, also with an error.
func (m *commit) all(ctx context.Context, list []client.ImportRequest) ([]api.ImportResult, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if !m.single {
		results, err := m.c.ImportAll(ctx, list)
		var e *api.Error
		if m.single = errors.As(err, &e) && e.Code == api.CodeNotFound; !m.single {
			return results, err
		}
	}
	var out []api.ImportResult
	for _, req := range list {
		r, err := m.one(ctx, req)
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

// one imports one package, without a provenance file that does not fit.
func (m *commit) one(ctx context.Context, req client.ImportRequest) (api.ImportResult, error) {
	var out api.ImportResult
	res, err := m.c.Import(ctx, req)
	if bad(err) != "" && bad(err) != Conflict && req.Provenance != nil {
		why := err.Error()
		req.Provenance = nil
		if res, err = m.c.Import(ctx, req); err == nil {
			out.Provenance = why
		}
	}
	if bad(err) != "" {
		var e *api.Error
		errors.As(err, &e)
		return api.ImportResult{Status: e.Status, Error: e}, nil
	}
	out.Existed, out.Name, out.Version, out.State, out.Warnings = res.Existed, res.Chart.Name, res.Chart.Version, res.Chart.State.String(), res.Chart.Warnings
	if res.Chart.Binding != nil {
		out.Binding = res.Chart.Binding.ID
	}
	return out, err
}

// outcome takes down what became of a package. Its own faults become findings.
func (m *commit) outcome(it *item, data []byte, r api.ImportResult) {
	if r.Error != nil {
		kind, why := Refused, r.Error.Message
		if r.Error.Code == api.CodeExists {
			kind = Conflict
		} else if _, err := archive.Read(data, archive.Options{Limits: m.o.Limits, Lenient: true}); err != nil {
			kind, why = Unreadable, err.Error()
		}
		m.find(kind, it, why)
		return
	}
	if r.Provenance != "" {
		m.find(Provenance, it, "imported without its provenance file: "+r.Provenance)
	}
	if r.Existed {
		m.report.Existed++
	} else {
		m.report.Imported++
		for _, w := range r.Warnings {
			m.find(Unusual, it, w)
		}
	}
	m.note(r.Name, r.Version, r.State == model.Listed.String() && r.Binding.IsZero())
}

// note remembers what is still to be bound.
func (m *commit) note(name, version string, unbound bool) {
	if !unbound {
		return
	}
	if v, err := ref.ParseImported(name, version); err == nil && !m.noted[v] {
		m.noted[v] = true
		m.unbound = append(m.unbound, v)
	}
}

func (m *commit) find(k Kind, it *item, why string) {
	m.report.Findings = append(m.report.Findings, Finding{Kind: k, Chart: it.chart.String(), File: it.file, Message: why, Got: it.digest})
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
