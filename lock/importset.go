package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// importSet is the detail of a journal line that stands for several imported
// versions.
type importSet struct {
	Versions []Published `json:"versions"`
}

// Outcome is what became of one version of an import.
type Outcome struct {
	Published
	Err error // of this version alone: the others do not mind it
}

// setReserve is what a transaction of several versions keeps for its journal
// line and the mark of a new store: keys, and bytes beside the line's detail.
const (
	setReserveWrites = 2
	setReserveBytes  = 4 << 10
)

// Import makes the first of the given versions public, in order and in one
// transaction with one journal line: as many of them as a transaction takes.
// It returns their outcomes, at least one; the caller goes on with the rest. A
// version that is refused leaves nothing. There is no idempotency key: a
// version that is there already is known by its content.
func (l *Lockfile) Import(ctx context.Context, op Op, list []NewVersion) ([]Outcome, error) {
	if len(list) == 0 {
		return nil, fail(ErrInvalid, "an import names no chart version: send at least one")
	}
	op.Key = ""
	var out []Outcome
	err := l.store.Update(ctx, func(t store.Txn) error {
		s := &setWriter{change: change{Txn: t, op: op, now: l.time()}}
		if err := s.stillHolds(); err != nil {
			return err
		}
		out = nil
		for _, nv := range list {
			nv.Import = true
			o, more, err := s.add(nv)
			if err != nil {
				return err
			}
			if !more {
				break
			}
			out = append(out, o)
		}
		return s.end()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// setWriter writes versions into one transaction, each through an overlay of
// its own, so that one that is refused leaves nothing.
type setWriter struct {
	change
	details       []json.RawMessage
	writes, bytes int
	full          bool
}

// add takes one version in. Without more it did not, and the transaction ends
// before it.
func (s *setWriter) add(nv NewVersion) (out Outcome, more bool, err error) {
	if s.full {
		return out, false, nil
	}
	o := overlay.New(s.Txn)
	c := &change{Txn: o, op: s.op, now: s.now}
	err = o.Run(func(store.Txn) error {
		out.Published, err = publish(c, nv)
		return err
	})
	switch {
	case errors.Is(err, store.ErrTooLarge), errors.Is(err, ErrExists), errors.Is(err, ErrRefused), errors.Is(err, ErrInvalid):
		return Outcome{Err: err}, true, nil
	case err != nil || c.line == nil: // failed, or nothing changed
		return out, err == nil, err
	}
	first := s.line == nil
	writes, bytes := o.Size()
	writes, bytes = s.writes+writes, s.bytes+bytes+len(c.line.Detail)
	fits := writes+setReserveWrites <= store.MaxWrites && bytes+setReserveBytes <= store.MaxBytes
	alone := c.line.Verb != verbImport // a provenance file that an older version lacked
	switch {
	case first && !fits:
		return Outcome{Err: fmt.Errorf("import %s: %w", nv.Version.Chart, store.ErrTooLarge)}, true, nil
	case !first && (!fits || alone):
		return out, false, nil
	}
	for _, w := range o.Writes() {
		if w.Delete {
			err = s.Delete(w.Bucket, w.Key)
		} else {
			err = s.Put(w.Bucket, w.Key, w.Value)
		}
		if err != nil {
			return out, false, err
		}
	}
	s.line, s.writes, s.bytes, s.full = c.line, writes, bytes, alone
	s.details = append(s.details, c.line.Detail)
	return out, true, nil
}

// end writes the line: of a single version the one that it would have alone.
func (s *setWriter) end() error {
	if s.line == nil {
		return nil
	}
	if n := len(s.details); n > 1 {
		set := struct {
			Versions []json.RawMessage `json:"versions"`
		}{s.details}
		if err := s.journal(verbImportSet, fmt.Sprintf("%d chart versions", n), set); err != nil {
			return err
		}
	}
	if err := s.writeLine(); err != nil {
		return err
	}
	return stamp(s)
}
