// Package storagetest is the conformance suite of storage.Store.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

// Kind is a kind of store.
type Kind struct {
	// Open returns an empty store, closed by the test's cleanup.
	Open func(t *testing.T) storage.Store
	// Damage replaces the stored bytes of a blob behind the store's back.
	Damage func(t *testing.T, s storage.Store, d ref.Digest, data []byte)
}

// Run tests a kind of store against the contract.
func Run(t *testing.T, k Kind) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Kind)
	}{
		{"PutGet", putGet}, {"Missing", missing}, {"Mismatch", mismatch}, {"Ranges", ranges},
		{"Damage", damage}, {"Mend", mend}, {"List", list}, {"Delete", remove},
		{"Reader", brokenReader}, {"Context", cancelled}, {"Concurrent", concurrent},
		{"Batch", batch}, {"BatchBroken", batchBroken}, {"BatchConcurrent", batchConcurrent},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, k) })
	}
}

func put(t *testing.T, s storage.Store, data []byte) ref.Digest {
	t.Helper()
	d := ref.DigestOf(data)
	if err := s.Put(t.Context(), d, bytes.NewReader(data)); err != nil {
		t.Fatalf("Put: %v", err)
	}
	return d
}

func get(t *testing.T, s storage.Store, d ref.Digest, off, n int64) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), d, off, n)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if closeErr := r.Close(); closeErr != nil {
		t.Errorf("Close: %v", closeErr)
	}
	return data, err
}

func digests(t *testing.T, s storage.Store) []ref.Digest {
	t.Helper()
	var out []ref.Digest
	if err := s.List(t.Context(), func(i storage.Info) error {
		out = append(out, i.Digest)
		return nil
	}); err != nil {
		t.Fatalf("List: %v", err)
	}
	return out
}

func putGet(t *testing.T, k Kind) {
	s := k.Open(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 511, 4096, 1<<20 + 7} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		d := put(t, s, data)
		put(t, s, data) // the same again
		got, err := get(t, s, d, 0, -1)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("Get of %d bytes: %d bytes, %v", size, len(got), err)
		}
		if info, err := s.Stat(t.Context(), d); err != nil || info != (storage.Info{Digest: d, Size: int64(size)}) {
			t.Errorf("Stat of %d bytes: %+v, %v", size, info, err)
		}
	}
}

func missing(t *testing.T, k Kind) {
	s := k.Open(t)
	put(t, s, []byte("another"))
	for _, d := range []ref.Digest{ref.DigestOf([]byte("never stored")), {}} {
		if _, err := get(t, s, d, 0, -1); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Get %q: %v", d, err)
		}
		if _, err := s.Stat(t.Context(), d); !errors.Is(err, storage.ErrNotExist) {
			t.Errorf("Stat %q: %v", d, err)
		}
		if err := s.Delete(t.Context(), d); err != nil {
			t.Errorf("Delete %q: %v", d, err)
		}
	}
}

func mismatch(t *testing.T, k Kind) {
	s := k.Open(t)
	d := ref.DigestOf([]byte("right"))
	for _, wrong := range []string{"wrong", "", "right and more", "righ"} {
		if err := s.Put(t.Context(), d, strings.NewReader(wrong)); !errors.Is(err, storage.ErrMismatch) {
			t.Errorf("Put of %q: %v", wrong, err)
		}
	}
	if err := s.Put(t.Context(), ref.Digest{}, strings.NewReader("x")); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("Put under no digest: %v", err)
	}
	if all := digests(t, s); len(all) != 0 {
		t.Errorf("a refused put stored %v", all)
	}
	put(t, s, []byte("right"))
	if err := s.Put(t.Context(), d, strings.NewReader("wrong")); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("Put of wrong bytes over right ones: %v", err)
	}
	if got, err := get(t, s, d, 0, -1); err != nil || string(got) != "right" {
		t.Errorf("Get after it: %q, %v", got, err)
	}
}

func ranges(t *testing.T, k Kind) {
	s := k.Open(t)
	data := []byte("0123456789")
	d := put(t, s, data)
	for off := int64(0); off <= 12; off++ {
		for n := int64(-1); n <= 12; n++ {
			want := data[min(off, 10):]
			if n >= 0 {
				want = want[:min(n, int64(len(want)))]
			}
			got, err := get(t, s, d, off, n)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("Get %d+%d: %q, %v, want %q", off, n, got, err, want)
			}
		}
	}
	if r, err := s.Get(t.Context(), d, -1, 5); err == nil || errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Get from -1: %v, %v", r, err)
	}
}

func damage(t *testing.T, k Kind) {
	s := k.Open(t)
	data := bytes.Repeat([]byte("chart"), 2000)
	flipped := bytes.Clone(data)
	flipped[5000] ^= 1
	d := put(t, s, data)
	for name, bad := range map[string][]byte{
		"flipped": flipped, "truncated": data[:9999], "longer": append(bytes.Clone(data), 0),
		"empty": nil, "swapped": []byte("another blob"),
	} {
		k.Damage(t, s, d, bad)
		for _, n := range []int64{-1, int64(len(bad)), 1 << 40} {
			if got, err := get(t, s, d, 0, n); !errors.Is(err, storage.ErrMismatch) {
				t.Errorf("%s, length %d: read %d bytes, %v", name, n, len(got), err)
			}
		}
	}
}

func mend(t *testing.T, k Kind) {
	s := k.Open(t)
	data := []byte("the same length")
	d := put(t, s, data)
	for _, bad := range []string{"THE same length", "", "short", "far longer than it should be"} {
		k.Damage(t, s, d, []byte(bad))
		put(t, s, data)
		if got, err := get(t, s, d, 0, -1); err != nil || !bytes.Equal(got, data) {
			t.Errorf("after %q was mended: %q, %v", bad, got, err)
		}
	}
}

func list(t *testing.T, k Kind) {
	s := k.Open(t)
	var want []ref.Digest
	for i := range 300 {
		want = append(want, put(t, s, fmt.Appendf(nil, "blob %d", i)))
	}
	slices.SortFunc(want, func(a, b ref.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	if got := digests(t, s); !slices.Equal(got, want) {
		t.Errorf("List: %d digests, want %d in order", len(got), len(want))
	}
	stop, n := errors.New("stop here"), 0
	err := s.List(t.Context(), func(storage.Info) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 3 {
		t.Errorf("List with an error: %v after %d", err, n)
	}
}

func remove(t *testing.T, k Kind) {
	s := k.Open(t)
	kept, gone := put(t, s, []byte("kept")), put(t, s, []byte("gone"))
	for range 2 {
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	if _, err := s.Stat(t.Context(), gone); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("Stat after Delete: %v", err)
	}
	if got := digests(t, s); !slices.Equal(got, []ref.Digest{kept}) {
		t.Errorf("List after Delete: %v", got)
	}
	put(t, s, []byte("gone"))
	if _, err := get(t, s, gone, 0, -1); err != nil {
		t.Errorf("Get after Put after Delete: %v", err)
	}
}

func brokenReader(t *testing.T, k Kind) {
	s := k.Open(t)
	cut := errors.New("connection cut")
	r := io.MultiReader(strings.NewReader("the first half"), failing{cut})
	if err := s.Put(t.Context(), ref.DigestOf([]byte("the first half")), r); !errors.Is(err, cut) {
		t.Errorf("Put: %v", err)
	}
	if all := digests(t, s); len(all) != 0 {
		t.Errorf("a put that was cut off stored %v", all)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func cancelled(t *testing.T, k Kind) {
	s := k.Open(t)
	d := put(t, s, []byte("here"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := []byte("not here")
	_, getErr := s.Get(ctx, d, 0, -1)
	_, statErr := s.Stat(ctx, d)
	for name, err := range map[string]error{
		"Put": s.Put(ctx, ref.DigestOf(other), bytes.NewReader(other)), "Get": getErr, "Stat": statErr,
		"List": s.List(ctx, func(storage.Info) error { return nil }), "Delete": s.Delete(ctx, d),
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, storage.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := digests(t, s); !slices.Equal(got, []ref.Digest{d}) {
		t.Errorf("List: %v", got)
	}
}

// concurrent puts, reads and deletes few blobs from many goroutines: a read
// finds nothing or the right bytes.
func concurrent(t *testing.T, k Kind) {
	s := k.Open(t)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(worker)))
			for range 40 {
				data := bytes.Repeat([]byte{byte(random.IntN(4))}, 10_000)
				d := ref.DigestOf(data)
				var err error
				switch random.IntN(4) {
				case 0:
					err = s.Delete(t.Context(), d)
				case 1:
					_, err = get(t, s, d, 0, -1)
				default:
					err = s.Put(t.Context(), d, bytes.NewReader(data))
				}
				if err != nil && !errors.Is(err, storage.ErrNotExist) {
					t.Errorf("worker %d: %v", worker, err)
				}
			}
		})
	}
	wg.Wait()
	for b := range 4 {
		data := bytes.Repeat([]byte{byte(b)}, 10_000)
		if got, err := get(t, s, put(t, s, data), 0, -1); err != nil || !bytes.Equal(got, data) {
			t.Errorf("blob %d at the end: %d bytes, %v", b, len(got), err)
		}
	}
}
