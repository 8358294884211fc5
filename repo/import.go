package repo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// ImportItem is one package of an import of several.
type ImportItem struct {
	Upload
	// ProvOptional imports the package without its provenance file where that
	// does not fit.
	ProvOptional bool
	// Done is called when nobody reads the package's bytes any more. It may be
	// nil.
	Done func()
}

// Imported is what became of one package.
type Imported struct {
	Published
	Err        error // why it was refused; the others do not mind it
	Provenance error // why its provenance file was left out
}

// errAbandoned is the outcome of a package that no transaction will name.
var errAbandoned = errors.New("import was given up")

// mostAtOnce is more versions than one transaction ever takes.
const mostAtOnce = 32

// Importer imports packages: it reads and stores several at once, and commits
// them in the order in which they were added, many in one transaction. What
// Add returned for is held until it is stored, so as many packages are in
// memory as there are workers.
type Importer struct {
	r    *Repository
	op   lock.Op
	ctx  context.Context
	stop context.CancelCauseFunc

	workers chan struct{}
	queue   chan *importing // in order
	done    chan struct{}
	results []Imported
	running sync.WaitGroup
}

// importing is one package on its way.
type importing struct {
	prepared chan struct{} // closed when the rest is set
	nv       lock.NewVersion
	end      func(error) // of what was stored for it; nil: it is settled
	result   Imported
	failed   error // what would hit every other package too
}

// Import begins to import. Wait has to be called.
func (r *Repository) Import(ctx context.Context, op lock.Op, workers int) *Importer {
	ctx, stop := context.WithCancelCause(ctx)
	op.Key = ""
	im := &Importer{
		r: r, op: op, ctx: ctx, stop: stop,
		workers: make(chan struct{}, max(workers, 1)), queue: make(chan *importing, 4*mostAtOnce), done: make(chan struct{}),
	}
	go im.commit()
	return im
}

// Add takes a package in, or notes why there is none. It waits for a worker.
// An error says that the import has failed; Wait returns the same.
func (im *Importer) Add(item ImportItem, refused error) error {
	i := &importing{prepared: make(chan struct{})}
	if item.Done == nil {
		item.Done = func() {}
	}
	select {
	case im.workers <- struct{}{}:
	case <-im.ctx.Done():
		return context.Cause(im.ctx)
	}
	select {
	case im.queue <- i:
	case <-im.ctx.Done():
		<-im.workers
		return context.Cause(im.ctx)
	}
	im.running.Add(1)
	go func() {
		defer im.running.Done()
		defer close(i.prepared)
		defer func() { <-im.workers }()
		defer item.Done()
		defer func() {
			if v := recover(); v != nil {
				i.failed = fmt.Errorf("%w: %v\n%s", lock.ErrPanic, v, debug.Stack())
			}
		}()
		if refused != nil {
			i.result.Err = refused
			return
		}
		i.prepare(im, item)
	}()
	return nil
}

// Wait returns what became of each package, in order. With an error it is that
// of the first ones; of the others nothing is published.
func (im *Importer) Wait() ([]Imported, error) {
	close(im.queue)
	<-im.done
	im.running.Wait()
	err := context.Cause(im.ctx)
	im.stop(nil)
	return im.results, err
}

// prepare reads, judges and stores a package.
func (i *importing) prepare(im *Importer, item ImportItem) {
	err := i.try(im, item.Upload)
	if err != nil && item.Prov != nil && item.ProvOptional && !errors.Is(err, lock.ErrExists) && ownFault(err) {
		why := err
		item.Prov = nil
		if err = i.try(im, item.Upload); err == nil {
			i.result.Provenance = why
		}
	}
	switch {
	case err == nil:
	case ownFault(err):
		i.result.Err = err
	default:
		i.failed = err
	}
}

func (i *importing) try(im *Importer, u Upload) error {
	r := im.r
	nv, err := r.inspect(u)
	if err != nil {
		return err
	}
	old, err := r.Lock.ChartVersion(im.ctx, nv.Version.Chart)
	if err == nil {
		i.result.Published, err = r.republish(im.ctx, im.op, u, nv, old)
		return err
	}
	if !errors.Is(err, lock.ErrNotFound) {
		return err
	}
	end, err := r.storeNew(im.ctx, u, &nv)
	if err != nil {
		end(err)
		return err
	}
	i.nv, i.end = nv, end
	return nil
}

// ownFault says that an error is of the package, and not of the server.
func ownFault(err error) bool {
	for _, own := range []error{
		archive.ErrMalformed, archive.ErrTooLarge, archive.ErrRefused, ErrMetadata, ErrProvenance,
		ref.ErrInvalid, lock.ErrExists, lock.ErrRefused, lock.ErrInvalid,
	} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}

// commit publishes what is prepared, in order.
func (im *Importer) commit() {
	defer close(im.done)
	var ready []*importing
	for i := range im.queue {
		<-i.prepared
		if i.failed != nil {
			for len(ready) > 0 {
				ready = im.publish(ready) // what came before it
			}
			im.stop(i.failed)
			continue
		}
		ready = append(ready, i)
		if len(ready) >= mostAtOnce {
			ready = im.publish(ready)
		}
	}
	for len(ready) > 0 {
		ready = im.publish(ready)
	}
	// One refresh for all: a reader who comes before it makes it himself.
	if err := im.r.refresh(im.ctx); err != nil {
		im.stop(err)
	}
}

// publish settles the first of the packages that are ready, and returns the
// rest.
func (im *Importer) publish(ready []*importing) []*importing {
	if im.ctx.Err() != nil {
		for _, i := range ready {
			if i.end != nil {
				i.end(errAbandoned)
			}
		}
		return nil
	}
	n := 0
	for ; n < len(ready) && ready[n].end == nil; n++ {
		im.results = append(im.results, ready[n].result)
	}
	ready = ready[n:]
	var list []lock.NewVersion
	for _, i := range ready {
		if i.end == nil {
			break
		}
		list = append(list, i.nv)
	}
	if len(list) == 0 {
		return ready
	}
	out, err := im.r.Lock.Import(im.ctx, im.op, list)
	if err != nil {
		im.stop(err)
		for _, i := range ready {
			if i.end != nil {
				i.end(err)
			}
		}
		return nil
	}
	for n, o := range out {
		i := ready[n]
		i.end(o.Err)
		i.result.Published, i.result.Err = o.Published, o.Err
		im.results = append(im.results, i.result)
	}
	return ready[len(out):]
}
