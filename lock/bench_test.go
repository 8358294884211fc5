package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// table is a store without order: what is left of an update in it is the
// rules and their records.
type table struct {
	keys     map[string]map[string][]byte
	revision uint64
}

func (s *table) View(_ context.Context, fn func(store.Tx) error) error { return fn(s) }

func (s *table) Update(_ context.Context, fn func(store.Txn) error) error {
	o := overlay.New(s)
	if err := o.Run(fn); err != nil {
		return err
	}
	for _, w := range o.Writes() {
		b := s.keys[w.Bucket]
		if b == nil {
			b = map[string][]byte{}
			s.keys[w.Bucket] = b
		}
		if b[w.Key] = w.Value; w.Delete {
			delete(b, w.Key)
		}
	}
	s.revision++
	return nil
}

func (s *table) Close() error     { return nil }
func (s *table) Revision() uint64 { return s.revision }

func (s *table) Get(bucket, key string) ([]byte, error) {
	if v, ok := s.keys[bucket][key]; ok {
		return v, nil
	}
	return nil, store.NoKey(bucket, key)
}

func (s *table) Count(bucket string) (uint64, error) { return uint64(len(s.keys[bucket])), nil }

func (s *table) Scan(bucket string, _ store.ScanOptions, _ func(string, []byte) error) error {
	if len(s.keys[bucket]) > 0 {
		return errors.New("a scan of " + bucket + " where none is expected")
	}
	return nil
}

// BenchmarkPinRules is what a pin costs above the store: the gate, the records
// and their encoding.
func BenchmarkPinRules(b *testing.B) {
	s := &table{keys: map[string]map[string][]byte{}}
	r := open(b, s)
	pinned := r.publish("0.0.1")
	r.create("data8/prod")
	r.bump("data8/prod", pinned)
	np := lock.NewPin{Env: env("data8/prod"), Base: 1, Binding: pinned.ID, Reason: "bench"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := r.MakePin(r.ctx, keyed(fmt.Sprint("key-", i), "pin data8/prod", "body"), np); err != nil {
			b.Fatal(err)
		}
		np.Base++
	}
}
