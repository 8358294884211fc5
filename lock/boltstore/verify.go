package boltstore

import (
	"context"
	"fmt"

	"chartd.dev/chartd/lock/store"
)

// verifyLog reads the frames that bbolt does not have yet, from disk.
func (s *Store) verifyLog(ctx context.Context) error {
	leave, err := s.enter(ctx, "verify")
	if err != nil {
		return err
	}
	defer leave()
	for {
		st := s.state.Load()
		spans := []span{{st.file, st.end, st.active.since, st.revision}}
		if f := st.frozen; f != nil && f.file != none && !f.flushed() {
			spans = append(spans, span{f.file, f.end, f.since, f.revision})
		}
		again := false
		for _, p := range spans {
			err := s.verifySpan(p)
			// What was flushed meanwhile may have been overwritten.
			if again = err != nil && s.recycled.Load() >= p.revision; again {
				break
			}
			if err != nil {
				return fmt.Errorf("%w: %s: %w", store.ErrBroken, LogPath(s.path, p.file), err)
			}
		}
		if !again {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
}

// span is the part of a log file that a state needs.
type span struct {
	file            int
	end             int64
	since, revision uint64
}

func (s *Store) verifySpan(p span) error {
	if p.end == logPage {
		return nil
	}
	b := make([]byte, p.end-logPage)
	if _, err := s.log.files[p.file].ReadAt(b, logPage); err != nil {
		return err
	}
	for revision := p.since; revision < p.revision; {
		f, ok := parseFrame(b)
		if !ok || f.epoch != s.log.epoch || f.first != revision+1 {
			return fmt.Errorf("update %d is damaged", revision+1)
		}
		revision, b = f.last(), b[f.size:]
	}
	return nil
}
