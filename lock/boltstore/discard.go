package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock/overlay"
)

// ErrLogWhole is the error of Options.DiscardLog where nothing needs it.
var ErrLogWhole = errors.New("the log is whole: start chartd, which takes it in; nothing was given up")

// discard takes in the good updates that go on from the file without a gap,
// and moves the log out of the way.
func (s *Store) discard(c contents) (warning string, err error) {
	cause := s.takeIn(c)
	if cause == nil {
		return "", fmt.Errorf("%q: %w", s.path, ErrLogWhole)
	}
	t := salvage(s.path, c)
	known := max(t.last(), t.marked)
	t.cut(c.number(revisionKey))
	st, err := s.replay(c, t)
	if err != nil {
		return "", err
	}
	s.state.Store(st)
	s.clean = false
	if err := s.settle(); err != nil {
		return "", err
	}
	warning = fmt.Sprintf("%v: kept updates up to %d; what came after it is given up", cause, st.revision)
	if known > st.revision {
		warning += fmt.Sprintf(", up to update %d at least", known)
	}
	moved, err := moveAway(s.path)
	if err != nil {
		return "", fmt.Errorf("%s; its log cannot be moved away: %w", warning, err)
	}
	if len(moved) > 0 {
		warning += "; the log is kept as " + strings.Join(moved, " and ")
	}
	return warning, nil
}

// takeIn reports what is wrong with a log.
func (s *Store) takeIn(c contents) error {
	t, err := readTail(s.path, c)
	if err == nil {
		_, err = s.replay(c, t)
	}
	return err
}

// salvage returns every good frame of a damaged log, in order.
func salvage(path string, c contents) (t tail) {
	for i := range 2 {
		b, err := readLog(path, i)
		if err != nil {
			continue // nothing of it can be had
		}
		t.marked = max(t.marked, confirmed(b, c.number(epochKey)))
		for at := 0; at < len(b); at += logPage {
			f, ok := parseFrame(b[at:])
			if ok && f.epoch == c.number(epochKey) && f.last() > c.number(revisionKey) {
				t.frames = append(t.frames, f)
			}
		}
	}
	t.sort()
	return t
}

// cut keeps the frames that go on from a revision without a gap.
func (t *tail) cut(revision uint64) {
	for i, f := range t.frames {
		readable, _ := f.updates(func([]overlay.Write) error { return nil })
		if f.first != revision+1 || !readable {
			t.frames = t.frames[:i]
			return
		}
		revision = f.last()
	}
}

// moveAway gives the log's files names that nothing reads.
func moveAway(path string) (moved []string, err error) {
	for i := range 2 {
		from := LogPath(path, i)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		to, err := freeName(from + ".discarded")
		if err != nil {
			return moved, err
		}
		if err := os.Rename(from, to); err != nil {
			return moved, err
		}
		moved = append(moved, filepath.Base(to))
	}
	return moved, durable.SyncDir(filepath.Dir(path))
}

// freeName returns a name that is not taken: name, or name with a number.
func freeName(name string) (string, error) {
	for n, try := 2, name; ; n++ {
		_, err := os.Lstat(try)
		if errors.Is(err, fs.ErrNotExist) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
		try = fmt.Sprintf("%s.%d", name, n)
	}
}
