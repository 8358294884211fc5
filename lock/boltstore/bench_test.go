package boltstore_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/lock/store"
)

func BenchmarkUpdate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "lock.db"))
			value := make([]byte, 500)
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0)))
			one := func() {
				key := fmt.Sprintf("%09d", n.Add(1))
				if err := s.Update(b.Context(), func(tx store.Txn) error { return tx.Put("pins", key, value) }); err != nil {
					b.Error(err)
				}
			}
			if clients == 1 {
				for b.Loop() {
					one()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					one()
				}
			})
		})
	}
}

// BenchmarkBolt is a plain transaction of bbolt, beside which an update alone is
// to be read.
func BenchmarkBolt(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	value, n := make([]byte, 500), 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("pins"))
			if err != nil {
				return err
			}
			return bucket.Put(fmt.Appendf(nil, "%09d", n), value)
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "lock.db"))
	for i := range 200 {
		if err := s.Update(b.Context(), func(tx store.Txn) error {
			for j := range 100 {
				if err := tx.Put("pins", fmt.Sprintf("%04d/%04d", i, j), make([]byte, 500)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.View(b.Context(), func(tx store.Tx) error {
			_, err := tx.Get("pins", fmt.Sprintf("%04d/%04d", i%200, i%100))
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
