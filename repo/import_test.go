package repo_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// old is a package of another repository, of the nth day.
func old(pkg []byte, n int) repo.ImportItem {
	return repo.ImportItem{Upload: repo.Upload{Package: pkg, Import: &repo.Import{Created: time.Date(2020, 1, 1+n, 0, 0, 0, 0, time.UTC)}}}
}

func (g *rig) importAll(t *testing.T, workers int, items ...repo.ImportItem) ([]repo.Imported, error) {
	t.Helper()
	im := g.Import(ctx, op("import"), workers)
	for _, item := range items {
		if im.Add(item, nil) != nil {
			break
		}
	}
	return im.Wait()
}

// Packages are read side by side and published in the order that they came in.
// What is refused stores nothing, and the index shows the rest.
func TestImportKeepsTheOrder(t *testing.T) {
	g := newRig(t)
	var items []repo.ImportItem
	for n := range 50 {
		items = append(items, old(hub(t, fmt.Sprintf("1.%d.0", n), "1"), n))
	}
	items[10] = old([]byte("not a package"), 10)
	items[30] = old(hub(t, "1.3.0", "another image"), 30) // in conflict
	items[31] = items[4]
	items[40].Prov, items[40].ProvOptional = []byte("stale"), true
	items[41].Prov = []byte("stale")
	out, err := g.importAll(t, 4, items...)
	if err != nil || len(out) != len(items) {
		t.Fatalf("%d results, %v", len(out), err)
	}
	seq := uint64(0)
	for n, o := range out {
		want := map[int]error{10: archive.ErrMalformed, 30: lock.ErrExists, 41: repo.ErrProvenance}[n]
		switch {
		case want != nil:
			if !errors.Is(o.Err, want) {
				t.Errorf("%d: the error is %v, want %v", n, o.Err, want)
			}
		case n == 31:
			if !o.Existed || o.Err != nil {
				t.Errorf("%d: %+v", n, o)
			}
		case o.Err != nil || o.Chart.Seq <= seq || o.Chart.OrderUnknown:
			t.Errorf("%d: %+v after %d", n, o, seq)
		default:
			seq = o.Chart.Seq
		}
		if (o.Provenance != nil) != (n == 40) {
			t.Errorf("%d: the provenance file was left out for %v", n, o.Provenance)
		}
	}
	if got := names(t, g); len(got) != 46 || got[0] != "jupyterhub@1.49.0" {
		t.Errorf("the index has %d versions, the first is %q", len(got), got[0])
	}
	again, err := g.importAll(t, 4, items[:3]...)
	if err != nil || !again[0].Existed || !again[2].Existed || again[1].Chart.Seq != out[1].Chart.Seq {
		t.Errorf("imported again: %+v, %v", again, err)
	}
}

// No more packages are in hand at once than there are workers.
func TestImportHoldsAsManyPackagesAsWorkers(t *testing.T) {
	g := newRig(t)
	var mu sync.Mutex
	running, most := 0, 0
	full := make(chan struct{})
	g.blobs.SetFault(func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		switch step {
		case "put":
			if running++; running == 3 && most < 3 {
				close(full)
			}
			most = max(most, running)
			mu.Unlock()
			<-full // so that the workers come together here
			mu.Lock()
		case "put-done":
			running--
		}
		return nil
	})
	t.Cleanup(func() { g.blobs.SetFault(nil) })
	var items []repo.ImportItem
	for n := range 40 {
		items = append(items, old(hub(t, fmt.Sprintf("1.%d.0", n), "1"), n))
	}
	if out, err := g.importAll(t, 3, items...); err != nil || len(out) != 40 || most != 3 {
		t.Errorf("%d results, %d packages in hand at once, %v", len(out), most, err)
	}
}

// Where the store fails, what came before is published, and nothing after it.
func TestImportStopsAtAFault(t *testing.T) {
	g := newRig(t)
	puts := 0
	g.blobs.SetFault(func(step string) error {
		if step == "put" {
			if puts++; puts > 3 {
				return storage.ErrNoSpace
			}
		}
		return nil
	})
	t.Cleanup(func() { g.blobs.SetFault(nil) })
	var items []repo.ImportItem
	for n := range 10 {
		items = append(items, old(hub(t, fmt.Sprintf("1.%d.0", n), "1"), n))
	}
	out, err := g.importAll(t, 1, items...)
	if !errors.Is(err, storage.ErrNoSpace) || len(out) != 3 {
		t.Fatalf("%d results, %v", len(out), err)
	}
	g.blobs.SetFault(nil)
	if got := names(t, g); len(got) != 3 || got[0] != "jupyterhub@1.2.0" {
		t.Errorf("published are %q", got)
	}
	out, err = g.importAll(t, 1, items...)
	if err != nil || len(out) != 10 || !out[2].Existed || out[3].Existed {
		t.Errorf("the next import: %d results, %v", len(out), err)
	}
}

// The blobs of a transaction are durable before it is made: where the answer to
// the first one is lost, and all ends there, what it names is in the store.
func TestImportIsDurableBeforeItIsPublished(t *testing.T) {
	store := memstore.New()
	g := newRig(t, func(c *repo.Config) {
		l, err := lock.Open(ctx, store, c.Now)
		if err != nil {
			t.Fatal(err)
		}
		c.Lock = l
	})
	var items []repo.ImportItem
	for n := range 50 {
		items = append(items, old(hub(t, fmt.Sprintf("1.%d.0", n), "1"), n))
	}
	lost := errors.New("the answer is lost")
	store.SetFault(func(step string) error {
		if step == "committed" {
			return lost
		}
		return nil
	})
	_, err := g.importAll(t, 4, items...)
	store.SetFault(nil)
	if !errors.Is(err, lost) {
		t.Fatalf("the import ends with %v", err)
	}
	there := 0
	for _, item := range items {
		d := ref.DigestOf(item.Package)
		used, err := g.Lock.BlobUsed(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		if !used {
			continue
		}
		there++
		if _, err := g.blobs.Stat(ctx, d); err != nil {
			t.Errorf("a version is published without its package: %v", err)
		}
	}
	if there == 0 {
		t.Error("nothing was committed")
	}
	if _, err := g.Sweep(ctx); err != nil { // as the next start does
		t.Error(err)
	}
}

// What cannot be made durable is not published, and leaves nothing.
func TestImportThatCannotBeSynced(t *testing.T) {
	g := newRig(t)
	g.blobs.SetFault(func(step string) error {
		if step == "batch-commit" {
			return storage.ErrNoSpace
		}
		return nil
	})
	out, err := g.importAll(t, 2, old(hub(t, "1.0.0", "1"), 1), old(hub(t, "2.0.0", "1"), 2))
	g.blobs.SetFault(nil)
	if !errors.Is(err, storage.ErrNoSpace) || len(out) != 0 {
		t.Fatalf("%d results, %v", len(out), err)
	}
	if got := names(t, g); len(got) != 0 {
		t.Errorf("published are %q", got)
	}
	if err := g.blobs.List(ctx, func(i storage.Info) error { return fmt.Errorf("%s is left", i.Digest) }); err != nil {
		t.Error(err)
	}
}
