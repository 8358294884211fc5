package storage_test

import (
	"bytes"
	"errors"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
	"chartd.dev/chartd/storage/storagetest"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, storagetest.Kind{
		Open: func(*testing.T) storage.Store { return storage.NewMemory() },
		Damage: func(_ *testing.T, s storage.Store, d ref.Digest, data []byte) {
			s.(*storage.Memory).Damage(d, data)
		},
	})
}

// Each step of a put fails once: what a failed put leaves is nothing, or all
// of it where only the answer was lost.
func TestMemoryFaults(t *testing.T) {
	data := []byte("blob")
	d := ref.DigestOf(data)
	for n := 1; ; n++ {
		s, step, last := storage.NewMemory(), 0, ""
		fault := errors.New("fault")
		s.SetFault(func(name string) error {
			if step++; step == n {
				last = name
				return fault
			}
			return nil
		})
		err := s.Put(t.Context(), d, bytes.NewReader(data))
		if last == "" {
			if n != 4 || err != nil {
				t.Fatalf("Put took %d steps: %v", n-1, err)
			}
			return
		}
		if !errors.Is(err, fault) {
			t.Fatalf("fault at %s: %v", last, err)
		}
		s.SetFault(nil)
		_, err = s.Stat(t.Context(), d)
		if stored := err == nil; stored != (last == "put-done") {
			t.Errorf("fault at %s: stored %t", last, stored)
		}
	}
}
