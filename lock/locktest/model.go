package locktest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// reference is the model: maps without any cleverness.
type reference struct {
	revision uint64
	buckets  map[string]map[string]string
}

func (r reference) clone() reference {
	next := reference{r.revision, make(map[string]map[string]string)}
	for name, b := range r.buckets {
		next.buckets[name] = maps.Clone(b)
	}
	return next
}

func (r reference) scan(bucket string, o store.ScanOptions) []string {
	var found []string
	for _, key := range slices.Sorted(maps.Keys(r.buckets[bucket])) {
		in := o.From == "" || key >= o.From
		if o.Reverse {
			in = o.From == "" || key < o.From
		}
		if in && strings.HasPrefix(key, o.Prefix) {
			found = append(found, key+"="+r.buckets[bucket][key])
		}
	}
	if o.Reverse {
		slices.Reverse(found)
	}
	return found
}

// agree compares all that a transaction shows with the model.
func (r reference) agree(tx store.Tx, o store.ScanOptions) error {
	if tx.Revision() != r.revision {
		return fmt.Errorf("revision %d, want %d", tx.Revision(), r.revision)
	}
	for _, bucket := range modelBuckets {
		for _, o := range []store.ScanOptions{{}, {Reverse: true}, o} {
			var got []string
			err := tx.Scan(bucket, o, func(key string, value []byte) error {
				got = append(got, key+"="+string(value))
				return nil
			})
			if want := r.scan(bucket, o); err != nil || !slices.Equal(got, want) {
				return fmt.Errorf("scan of %s with %+v: %q, %v, want %q", bucket, o, got, err, want)
			}
		}
		if n, err := tx.Count(bucket); err != nil || n != uint64(len(r.buckets[bucket])) {
			return fmt.Errorf("count of %s: %d, %v, want %d", bucket, n, err, len(r.buckets[bucket]))
		}
		key := o.From
		want, ok := r.buckets[bucket][key]
		if got, err := tx.Get(bucket, key); ok && (err != nil || string(got) != want) || !ok && !errors.Is(err, store.ErrNoKey) {
			return fmt.Errorf("get %s/%q: %q, %v, want %q", bucket, key, got, err, want)
		}
	}
	return nil
}

var (
	modelBuckets = []string{"a", "ab", "b"}
	modelKeys    = rapid.StringMatching(`[ab/\x{ff}]{1,3}`)
	modelOptions = rapid.Custom(func(t *rapid.T) store.ScanOptions {
		return store.ScanOptions{
			Prefix:  rapid.StringMatching(`[ab/]{0,2}`).Draw(t, "prefix"),
			From:    rapid.StringMatching(`[ab/]{0,3}`).Draw(t, "from"),
			Reverse: rapid.Bool().Draw(t, "reverse"),
		}
	})
)

// model runs random transactions on a store and on the model.
func model(t *testing.T, k Kind) {
	rapid.Check(t, func(rt *rapid.T) {
		s := k.Open(t)
		defer s.Close()
		ref := reference{buckets: make(map[string]map[string]string)}
		rt.Repeat(map[string]func(*rapid.T){
			"update": func(rt *rapid.T) {
				next, fail := ref.clone(), rapid.IntRange(0, 3).Draw(rt, "fail") == 0
				steps, o := drawWrites(rt), modelOptions.Draw(rt, "options")
				err := s.Update(t.Context(), func(tx store.Txn) error {
					next = ref.clone() // a store may run this again
					for _, w := range steps {
						if err := next.apply(tx, w); err != nil {
							return err
						}
						if err := next.agree(tx, o); err != nil {
							return err
						}
					}
					if fail {
						return store.ErrStop
					}
					return nil
				})
				if fail != errors.Is(err, store.ErrStop) || !fail && err != nil {
					rt.Fatalf("Update: %v", err)
				}
				if !fail && len(steps) > 0 {
					next.revision++
					ref = next
				}
			},
			"reopen": func(rt *rapid.T) {
				if k.Reopen != nil && rapid.IntRange(0, 9).Draw(rt, "seldom") == 0 {
					s = k.Reopen(t, s)
				}
			},
			"": func(rt *rapid.T) {
				o := modelOptions.Draw(rt, "options")
				if err := s.View(t.Context(), func(tx store.Tx) error { return ref.agree(tx, o) }); err != nil {
					rt.Fatalf("View: %v", err)
				}
			},
		})
	})
}

func drawWrites(rt *rapid.T) []overlay.Write {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) overlay.Write {
		return overlay.Write{
			Bucket: rapid.SampledFrom(modelBuckets).Draw(t, "bucket"), Key: modelKeys.Draw(t, "key"),
			Value: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value"), Delete: rapid.Bool().Draw(t, "delete"),
		}
	}), 0, 6).Draw(rt, "writes")
}

func (r reference) apply(tx store.Txn, w overlay.Write) error {
	if w.Delete {
		delete(r.buckets[w.Bucket], w.Key)
		return tx.Delete(w.Bucket, w.Key)
	}
	if r.buckets[w.Bucket] == nil {
		r.buckets[w.Bucket] = make(map[string]string)
	}
	r.buckets[w.Bucket][w.Key] = string(w.Value)
	return tx.Put(w.Bucket, w.Key, w.Value)
}

// group runs random transactions from many goroutines, each of which logs
// what it wrote under its revision. Replaying the log must give the store.
func group(t *testing.T, k Kind) {
	s := k.Open(t)
	type applied struct {
		revision uint64
		writes   []overlay.Write
	}
	var mu sync.Mutex
	var log []applied
	scripts := rapid.SliceOfN(rapid.Custom(drawWrites), 200, 200).Example(1)
	var wg sync.WaitGroup
	for worker := range 20 {
		wg.Go(func() {
			for _, writes := range scripts[worker*10 : worker*10+10] {
				var at uint64
				err := s.Update(t.Context(), func(tx store.Txn) error {
					at = tx.Revision()
					scratch := reference{buckets: make(map[string]map[string]string)}
					for _, w := range writes {
						if err := scratch.apply(tx, w); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
				mu.Lock()
				if len(writes) > 0 {
					log = append(log, applied{at, writes})
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(log, func(a, b applied) int { return int(a.revision) - int(b.revision) })
	ref := reference{buckets: make(map[string]map[string]string)}
	for i, a := range log {
		if a.revision != uint64(i) {
			t.Fatalf("update %d saw revision %d", i, a.revision)
		}
		for _, w := range a.writes {
			if err := ref.apply(discard{}, w); err != nil {
				t.Fatal(err)
			}
		}
		ref.revision++
	}
	if k.Reopen != nil {
		s = k.Reopen(t, s)
	}
	view(t, s, func(tx store.Tx) error { return ref.agree(tx, store.ScanOptions{Prefix: "a"}) })
}

// discard is a transaction that keeps nothing.
type discard struct{ store.Tx }

func (discard) Put(string, string, []byte) error { return nil }
func (discard) Delete(string, string) error      { return nil }
