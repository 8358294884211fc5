package dirstore

import (
	"os"
	"sync"

	"chartd.dev/chartd/internal/ref"
)

// maxKept is how many verified files stay open.
const maxKept = 128

// shelf keeps the verified files that were read last open. A file that was
// unlinked, replaced or written to shows that in its stamp, through the open
// descriptor too: its change time moves.
type shelf struct {
	mu    sync.Mutex
	clock uint64
	files map[ref.Digest]*kept
}

// kept is a file that several may read at once. It is closed when it is off
// the shelf and the last of them has given it back.
type kept struct {
	shelf   *shelf
	f       *os.File
	stamp   stamp
	release func()

	readers int
	off     bool   // the shelf
	used    uint64 // by the shelf's clock
}

// take returns the file of d for one more reader, or nil.
func (s *shelf) take(d ref.Digest) *kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.files[d]
	if k != nil {
		s.clock++
		k.used = s.clock
		k.readers++
	}
	return k
}

// add keeps f, whose first reader is the caller, in place of what was there.
func (s *shelf) add(d ref.Digest, f *os.File, st stamp) *kept {
	k := &kept{shelf: s, f: f, stamp: st, readers: 1}
	k.release = k.giveBack
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = make(map[ref.Digest]*kept)
	}
	s.remove(d)
	if len(s.files) >= maxKept {
		s.remove(s.oldest())
	}
	s.clock++
	k.used = s.clock
	s.files[d] = k
	return k
}

// drop takes the file of d off the shelf: the one given, or with nil any.
func (s *shelf) drop(d ref.Digest, one *kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one == nil || s.files[d] == one {
		s.remove(d)
	}
}

func (s *shelf) remove(d ref.Digest) {
	k := s.files[d]
	if k == nil {
		return
	}
	delete(s.files, d)
	if k.off = true; k.readers == 0 {
		_ = k.f.Close() // only read
	}
}

func (s *shelf) oldest() ref.Digest {
	var d ref.Digest
	least := ^uint64(0)
	for at, k := range s.files {
		if k.used < least {
			d, least = at, k.used
		}
	}
	return d
}

func (k *kept) giveBack() {
	k.shelf.mu.Lock()
	defer k.shelf.mu.Unlock()
	if k.readers--; k.off && k.readers == 0 {
		_ = k.f.Close() // only read
	}
}
