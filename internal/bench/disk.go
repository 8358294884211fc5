package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// measureDisk is the limit of what a durable write can cost: nothing but an
// append and its sync.
func measureDisk(_ context.Context, b *bench) error {
	one, stop, err := appends(b.dir)
	if err != nil {
		return err
	}
	defer stop()
	all, err := times(2_000, one)
	if err != nil {
		return err
	}
	b.fsync = median(all)
	b.add(result{what: "the disk: a plain loop of 512 bytes appended and synced", measured: fmt.Sprintf("%.2f ms", ms(b.fsync)),
		beside: fmt.Sprintf("%.0f/s; p99 %.2f ms", 1/b.fsync.Seconds(), ms(quantile(all, 0.99)))})
	return nil
}

// besideDisk says what the plain loop took, where it was measured.
func (b *bench) besideDisk() string {
	if b.fsync == 0 {
		return ""
	}
	return fmt.Sprintf("; a plain append and sync %.2f ms", ms(b.fsync))
}

func times(n int, one func() error) ([]time.Duration, error) {
	var all []time.Duration
	for range n {
		start := time.Now()
		if err := one(); err != nil {
			return nil, err
		}
		all = append(all, time.Since(start))
	}
	return all, nil
}

func appends(dir string) (one func() error, stop func(), err error) {
	f, err := os.Create(filepath.Join(dir, "plain.log"))
	if err != nil {
		return nil, nil, err
	}
	record := make([]byte, 512)
	one = func() error {
		if _, err := f.Write(record); err != nil {
			return err
		}
		return unix.Fdatasync(int(f.Fd()))
	}
	return one, func() { f.Close() }, nil
}

// boltTransactions writes a small value in a synced transaction of its own.
func boltTransactions(dir string) (one func() error, stop func(), err error) {
	db, err := bolt.Open(filepath.Join(dir, "plain.db"), 0o600, nil)
	if err != nil {
		return nil, nil, err
	}
	n := 0
	one = func() error {
		n++
		return db.Update(func(tx *bolt.Tx) error {
			k, err := tx.CreateBucketIfNotExists([]byte("pins"))
			if err != nil {
				return err
			}
			return k.Put(fmt.Appendf(nil, "%016d", n), make([]byte, 500))
		})
	}
	return one, func() { _ = db.Close() }, nil
}
