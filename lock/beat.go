package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// BeatInterval is how often Beat is called, and the most that one call counts.
const BeatInterval = 10 * time.Second

const (
	// beatGroup is how many environments one transaction counts for.
	beatGroup = 100
	// minCounted is how far a soak is counted where no policy asks for more:
	// what a status shows.
	minCounted = Duration(24 * time.Hour)
)

// beatActor raises the halts that nobody else raises.
var beatActor = Actor{Name: "chartd"}

// Beat counts elapsed, which is monotonic time since the last beat, for the
// binding that each environment is pinned to: as soak where it passed and
// nothing halts it, as waiting where a verdict is due. It never counts more
// than BeatInterval, so that neither a clock that jumps nor a server that
// stood still satisfies a soak. It is bookkeeping and leaves no journal line,
// except that of a halt which a missed deadline raises.
func (l *Lockfile) Beat(ctx context.Context, elapsed time.Duration) error {
	b := beat{elapsed: Duration(min(elapsed, BeatInterval)), needed: map[ref.Env]Duration{}}
	if b.elapsed <= 0 {
		return nil
	}
	all, err := view(ctx, l, func(t store.Tx) ([]Environment, error) {
		return list[Environment](t, bucketEnvironments, store.ScanOptions{})
	})
	if err != nil {
		return fmt.Errorf("find what a beat counts: %w", err)
	}
	for _, e := range all {
		for _, up := range e.Policy.Upstream {
			b.needed[up] = max(b.needed[up], e.Policy.Soak)
		}
	}
	summed := false
	for group := range slices.Chunk(all, beatGroup) {
		wrote, late, err := l.count(ctx, b, group, !summed)
		if err != nil {
			return fmt.Errorf("count a beat: %w", err)
		}
		summed = summed || wrote
		for _, env := range late {
			if err := l.haltOverdue(ctx, env); err != nil {
				return fmt.Errorf("halt %s for its missed deadline: %w", env, err)
			}
		}
	}
	return nil
}

type beat struct {
	elapsed Duration
	needed  map[ref.Env]Duration // longest soak that any policy asks of it
}

// count adds the beat to the summary of each environment, and once to the sum
// of all beats. It reports whether there was anything to count, and whose
// deadline is missed and must be halted.
func (l *Lockfile) count(ctx context.Context, b beat, group []Environment, sum bool) (wrote bool, missed []ref.Env, err error) {
	err = l.store.Update(ctx, func(t store.Txn) error {
		wrote, missed = false, nil
		for _, g := range group {
			e, err := getEnvironment(t, g.Env)
			if err != nil {
				return err
			}
			s, changed, late, err := b.step(t, e)
			if err != nil {
				return err
			}
			if late {
				missed = append(missed, e.Env)
			}
			if !changed {
				continue
			}
			wrote = true
			if err := putSummary(t, s); err != nil {
				return err
			}
		}
		if !sum || !wrote {
			return nil
		}
		so, err := counted(t)
		if err != nil {
			return err
		}
		return put(t, bucketMeta, metaCounted, so+b.elapsed)
	})
	return wrote, missed, err
}

// step is the summary of what e is pinned to after the beat, whether that
// differs, and whether its deadline is missed and has raised no halt yet.
func (b beat) step(t store.Tx, e Environment) (s Summary, changed, late bool, err error) {
	if e.Revision == 0 {
		return s, false, false, nil
	}
	p, err := getPin(t, e.Env, e.Revision)
	if err != nil {
		return s, false, false, err
	}
	if s, err = getSummary(t, e.Env, p.Binding); err != nil {
		return s, false, false, err
	}
	if s.Revision == e.Revision {
		changed, err = b.hold(t, &s)
		return s, changed, false, err
	}
	if e.Policy.Deadline == 0 || p.Kind == model.Adopt {
		return s, false, false, nil
	}
	changed = b.wait(&s, e)
	late = s.Waited >= e.Policy.Deadline && e.Policy.Overdue == model.OverdueHalt && s.Overdue != e.Revision
	return s, changed, late, nil
}

// hold counts the soak. The beat that first sees a pass, or the end of a halt,
// counts nothing: it began before.
func (b beat) hold(t store.Tx, s *Summary) (bool, error) {
	if !s.Passed() || s.Counting && s.Held >= max(minCounted, b.needed[s.Env]) {
		return false, nil
	}
	stopped, err := halted(t, s.Env)
	if err != nil || stopped {
		was := s.Counting
		s.Counting = false
		return was, err
	}
	if s.Counting {
		s.Held += b.elapsed
	}
	s.Counting = true
	return true, nil
}

// wait counts towards the deadline of the current revision.
func (b beat) wait(s *Summary, e Environment) bool {
	if s.Waiting == e.Revision && s.Waited >= e.Policy.Deadline {
		return false
	}
	if s.Waiting == e.Revision {
		s.Waited += b.elapsed
	} else {
		s.Waiting, s.Waited = e.Revision, 0
	}
	return true
}

// haltOverdue raises the halt of a missed deadline, unless a verdict came in
// between.
func (l *Lockfile) haltOverdue(ctx context.Context, env ref.Env) error {
	_, err := run(ctx, l, Op{Actor: beatActor}, func(c *change) (Halt, error) {
		e, err := getEnvironment(c, env)
		if err != nil {
			return Halt{}, err
		}
		s, _, late, err := beat{}.step(c, e)
		if err != nil || !late {
			return Halt{}, err
		}
		h, err := c.raise(&e, Halt{
			Scope: e.Policy.HaltScope(), Revision: e.Revision, Binding: s.Binding, Cause: model.CauseDeadline,
			Reason: fmt.Sprintf("no verdict on revision %d within %s", e.Revision, e.Policy.Deadline),
		})
		if err != nil {
			return h, err
		}
		s.Overdue = e.Revision
		return h, errors.Join(
			putSummary(c, s),
			put(c, bucketEnvironments, env.String(), e),
			c.journal(verbHalt, env.String(), h),
		)
	})
	return err
}
