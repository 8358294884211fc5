package dirstore

import (
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

const MaxVerified = maxVerified

// Age lets all files look as if they had been left alone for a minute.
func (s *Store) Age() { s.ahead = time.Minute }

// Known reports whether a file would be opened without being read through.
func (s *Store) Known(d ref.Digest) bool {
	_, ok := s.verified.Find(d)
	return ok
}

func (s *Store) Remember(d ref.Digest) { s.verified.Put(d, stamp{}) }

func (s *Store) Remembered() int { return s.verified.Len() }

// EachFile makes batches sync each file, as on file systems that cannot be
// relied on as a whole.
func EachFile(b storage.Batch) { b.(*batch).forgetWhole() }

// SyncsWhole reports whether batches sync the file system of dir as a whole.
func SyncsWhole(dir string) bool { return syncsWhole(dir) }

var FromVersion = fromVersion

func (b *batch) forgetWhole() {
	if b.whole != nil {
		_ = b.whole.Close()
		b.whole = nil
	}
}
