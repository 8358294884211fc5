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
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/storage"
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

const (
	// mostAtOnce is more versions than one transaction ever takes.
	mostAtOnce = 32
	// mostSynced is how many packages become durable together at most, where
	// the disk is slower than what reads them.
	mostSynced = 4 * mostAtOnce
)

// Importer imports packages: it reads several at once, makes what was read
// durable together, and commits it in the order in which it was added, many
// packages in one transaction. While that waits for the disk, the next ones are
// read. The bytes of a package are held until they are written, so as many
// packages are in memory as there are workers.
type Importer struct {
	r    *Repository
	op   lock.Op
	ctx  context.Context
	stop context.CancelCauseFunc

	blobs   storage.Batch
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
		workers: make(chan struct{}, max(workers, 1)), queue: make(chan *importing, mostSynced), done: make(chan struct{}),
	}
	var err error
	if im.blobs, err = r.Blobs.Batch(); err != nil {
		stop(err)
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
				i.failed = fmt.Errorf("%w: %v\n%s", store.ErrPanic, v, debug.Stack())
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
	end, err := r.storeNew(im.ctx, u, &nv, im.blobs.Add)
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
		select {
		case <-i.prepared:
		default:
			if len(ready) >= mostAtOnce {
				ready = im.publish(ready) // meanwhile this one is read
			}
			<-i.prepared
		}
		if i.failed != nil {
			ready = im.publish(ready) // what came before it
			im.stop(i.failed)
			continue
		}
		if ready = append(ready, i); len(ready) >= mostSynced {
			ready = im.publish(ready)
		}
	}
	im.publish(ready)
	if im.blobs != nil {
		_ = im.blobs.Close() // what it has left nobody wants
	}
	// One refresh for all: a reader who comes before it makes it himself.
	if err := im.r.refresh(im.ctx); err != nil {
		im.stop(err)
	}
}

// publish makes the blobs of packages durable, and then settles them. It
// returns an empty list.
func (im *Importer) publish(ready []*importing) []*importing {
	if len(ready) > 0 && im.ctx.Err() == nil {
		if err := im.blobs.Commit(im.ctx); err != nil {
			im.stop(err)
		}
	}
	for left := ready; len(left) > 0; {
		left = im.settle(left)
	}
	return ready[:0]
}

// settle settles the first of the packages that are ready, and returns the
// rest.
func (im *Importer) settle(ready []*importing) []*importing {
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
		if i.end == nil || len(list) == mostAtOnce {
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
