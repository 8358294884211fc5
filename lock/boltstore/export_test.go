package boltstore

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// Seal returns the stored form of a value.
func Seal(bucket, key, value string) []byte { return seal(bucket, []byte(key), []byte(value)) }

// Small returns the options with a log that is flushed after a few updates, and
// full after a few more.
func Small(o Options) Options {
	o.tuning = tuning{
		flushBytes: 2 << 10, flushAfter: time.Millisecond, logFull: 6 * logPage, logGrowth: 4 * logPage,
		groupUpdates: 7, groupBytes: 8 << 10,
	}
	return o
}

// Unflushed returns the options with a log that is not flushed before Close.
func Unflushed(o Options) Options {
	o.tuning = defaultTuning
	o.tuning.flushAfter = time.Hour
	return o
}

// SmallUnflushed is Unflushed with small files.
func SmallUnflushed(o Options) Options {
	o = Unflushed(o)
	o.tuning.logGrowth = 4 * logPage
	return o
}

// FormatOf returns the format that a database file says it has.
func FormatOf(t testing.TB, path string) string {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, _, err := inspect(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(c.own[formatKey])
}

// Length returns how much of a database file is in use.
func Length(t testing.TB, b []byte) int64 {
	m, _, err := readMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return int64(m.high * m.pageSize)
}

// Marked waits until the last update is marked.
func (s *Store) Marked(t testing.TB) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for i := range 2 {
			b, err := readLog(s.path, i)
			if err != nil {
				return err
			}
			if confirmed(b, s.log.epoch) == s.state.Load().revision {
				return nil
			}
		}
	}
	return errors.New("the last update is not marked")
}

// HoldFlush keeps flushes waiting until release.
func (s *Store) HoldFlush(t testing.TB) (release func()) {
	b, err := s.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	return func() { s.rollback(b) }
}

// Rotated reports whether a sealed layer waits for a flush.
func (s *Store) Rotated() bool {
	f := s.state.Load().frozen
	return f != nil && !f.flushed()
}
