package boltstore

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"chartd.dev/chartd/lock/store"
)

// guardFaults makes a fault on the mapped file, such as that of a file which
// somebody truncated, an error of the running function instead of the sudden
// end of the process. Use: defer s.guardFaults(&err)(). Other panics, which
// are those of a caller's closure, go on.
func (s *Store) guardFaults(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if v := recover(); v != nil {
			if !isFault(v) {
				panic(v)
			}
			s.abandon()
			*err = s.broke(s.damaged(v))
		}
	}
}

// guard turns every panic of bbolt into an error. It is used around calls of
// bbolt alone.
func (s *Store) guard(err *error) {
	if v := recover(); v != nil {
		s.abandon()
		*err = s.broke(s.damaged(v))
	}
}

// abandon gives bbolt up: it panicked and may hold its own locks for ever, so
// that nothing may wait for it any more.
func (s *Store) abandon() { s.abandonOnce.Do(func() { close(s.abandoned) }) }

func (s *Store) damaged(v any) error {
	return fmt.Errorf("%w: %s: its pages cannot be read (%v); stop, then restore a backup with \"chartd restore\"", store.ErrBroken, s.path, v)
}

func isFault(v any) bool {
	err, ok := v.(runtime.Error)
	var fault interface{ Addr() uintptr }
	return ok && errors.As(err, &fault)
}
