package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/storage"
)

// twice is a store that runs each closure that reads a second time, as it may.
type twice struct{ store.Store }

func (s twice) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := s.Store.View(ctx, fn); err != nil {
		return err
	}
	return s.Store.View(ctx, fn)
}

func record(t *testing.T, l *lock.Lockfile, name, version, metadata string) ref.ChartVersion {
	t.Helper()
	c, err := ref.ParseChartVersion(name, version)
	if err != nil {
		t.Fatal(err)
	}
	d := ref.DigestOf([]byte(name + version))
	nv := lock.NewVersion{Version: lock.ChartVersion{Chart: c, Package: d, Content: d, Size: 1, Metadata: []byte(metadata)}}
	if _, err := l.Publish(t.Context(), lock.Op{Actor: lock.Actor{Name: "t"}}, nv); err != nil {
		t.Fatal(err)
	}
	return c
}

// The index made from all records is the one that followed each change.
func TestRebuild(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	l, err := lock.Open(t.Context(), twice{memstore.New()}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), Config{Blobs: storage.NewMemory(), Lock: l})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1500 {
		name := []string{"hub", "hub-a", "huba", "zone"}[rng.IntN(4)]
		version := fmt.Sprintf("%d.%d.%d", rng.IntN(12), rng.IntN(12), i)
		c := record(t, l, name, version, fmt.Sprintf(`{"apiVersion":"v2","name":%q,"version":%q}`, name, version))
		if rng.IntN(10) == 0 {
			if _, err := l.Yank(t.Context(), lock.Op{Actor: lock.Actor{Name: "t"}}, c, "test"); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(20) == 0 {
			if err := r.refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	followed, err := r.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.rebuild(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if made.generation != followed.generation || !made.at.Equal(followed.at) || len(made.segments) != len(followed.segments) || made.etag() != followed.etag() || !bytes.Equal(plain(t, made), plain(t, followed)) {
		t.Errorf("made from the records, generation %d has %d segments and %d bytes; followed, %d has %d and %d",
			made.generation, len(made.segments), len(plain(t, made)), followed.generation, len(followed.segments), len(plain(t, followed)))
	}
	if len(made.segments) < 5 {
		t.Errorf("%d segments", len(made.segments))
	}
}

func TestRebuildOfDamagedRecords(t *testing.T) {
	l, err := lock.Open(t.Context(), memstore.New(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		metadata := `{"name":"hub"}`
		if i == 100 {
			metadata = `{"name":[]}`
		}
		record(t, l, "hub", fmt.Sprintf("1.0.%d", i), metadata)
	}
	r := &Repository{Config: Config{Lock: l}}
	if _, err := r.Index(t.Context()); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("index of a damaged record: %v", err)
	}
}
