package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

func begin(t *testing.T, s storage.Store) storage.Batch {
	t.Helper()
	b, err := s.Batch()
	if err != nil {
		t.Fatalf("Batch: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func add(t *testing.T, b storage.Batch, data string) ref.Digest {
	t.Helper()
	d := ref.DigestOf([]byte(data))
	if err := b.Add(t.Context(), d, strings.NewReader(data)); err != nil {
		t.Fatalf("Add: %v", err)
	}
	return d
}

func commit(t *testing.T, b storage.Batch) {
	t.Helper()
	if err := b.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// batch: what was added is there after Commit and not before it, again and
// again; what was there stays, and is mended; what was not committed is gone.
func batch(t *testing.T, k Kind) {
	s := k.Open(t)
	there, damaged := put(t, s, []byte("there")), put(t, s, []byte("damaged"))
	k.Damage(t, s, damaged, []byte("bad disk"))
	b := begin(t, s)
	commit(t, b) // of nothing
	want := []ref.Digest{there, damaged}
	for round := range 2 {
		var added []ref.Digest
		for n := range 5 {
			added = append(added, add(t, b, fmt.Sprintf("%d of round %d", n, round)))
		}
		add(t, b, "there")
		add(t, b, "damaged")
		add(t, b, fmt.Sprintf("0 of round %d", round)) // twice in one batch
		for _, d := range added {
			if _, err := s.Stat(t.Context(), d); !errors.Is(err, storage.ErrNotExist) {
				t.Errorf("%s before Commit: %v", d, err)
			}
		}
		commit(t, b)
		want = append(want, added...)
	}
	slices.SortFunc(want, func(a, b ref.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	if got := digests(t, s); !slices.Equal(got, want) {
		t.Errorf("the store has %v, want %v", got, want)
	}
	for _, d := range want {
		if _, err := get(t, s, d, 0, -1); err != nil {
			t.Errorf("Get %s: %v", d, err)
		}
	}
	dropped, err := s.Batch()
	if err != nil {
		t.Fatal(err)
	}
	d := add(t, dropped, "never committed")
	if err := dropped.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	commit(t, begin(t, s))
	if _, err := s.Stat(t.Context(), d); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("a batch that was given up: %v", err)
	}
}

// batchBroken: what cannot be added leaves the others alone.
func batchBroken(t *testing.T, k Kind) {
	s := k.Open(t)
	b := begin(t, s)
	good := add(t, b, "good")
	d := ref.DigestOf([]byte("right"))
	if err := b.Add(t.Context(), d, strings.NewReader("wrong")); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("Add of other bytes: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Add(ended, d, strings.NewReader("right")); !errors.Is(err, context.Canceled) {
		t.Errorf("Add after the end: %v", err)
	}
	commit(t, b)
	if got := digests(t, s); !slices.Equal(got, []ref.Digest{good}) {
		t.Errorf("the store has %v, want %v", got, good)
	}
	add(t, b, "too late")
	if err := b.Commit(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit after the end: %v", err)
	}
}

// batchConcurrent: many add while others commit; after the last Commit all of
// it is there.
func batchConcurrent(t *testing.T, k Kind) {
	s := k.Open(t)
	b := begin(t, s)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range 10 {
				data := fmt.Appendf(nil, "%d of %d", n%7, w%2) // the same ones, too
				if err := b.Add(t.Context(), ref.DigestOf(data), bytes.NewReader(data)); err != nil {
					t.Errorf("Add: %v", err)
				}
				if n%3 == w%3 {
					if err := b.Commit(t.Context()); err != nil {
						t.Errorf("Commit: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	commit(t, b)
	if got := digests(t, s); len(got) != 14 {
		t.Errorf("the store has %d blobs, want 14", len(got))
	}
}
