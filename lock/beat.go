package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/ref"
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
	b := beat{elapsed: Duration(min(elapsed, BeatInterval))}
	if b.elapsed <= 0 {
		return nil
	}
	due, err := view(ctx, l, func(t Tx) ([]ref.Env, error) { return b.due(t) })
	if err != nil {
		return fmt.Errorf("find what a beat counts: %w", err)
	}
	for i := 0; i < len(due); i += beatGroup {
		late, err := l.count(ctx, b, due[i:min(i+beatGroup, len(due))], i == 0)
		if err != nil {
			return fmt.Errorf("count a beat: %w", err)
		}
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

// due lists the environments for which there is something to count.
func (b *beat) due(t Tx) ([]ref.Env, error) {
	all, err := list[Environment](t, bucketEnvironments, ScanOptions{})
	if err != nil {
		return nil, err
	}
	b.needed = map[ref.Env]Duration{}
	for _, e := range all {
		for _, up := range e.Policy.Upstream {
			b.needed[up] = max(b.needed[up], e.Policy.Soak)
		}
	}
	var out []ref.Env
	for _, e := range all {
		_, changed, late, err := b.step(t, e)
		if err != nil {
			return nil, err
		}
		if changed || late {
			out = append(out, e.Env)
		}
	}
	return out, nil
}

// count adds the beat to each environment's summary, and to the sum of all
// beats. It returns those whose deadline is missed and must be halted.
func (l *Lockfile) count(ctx context.Context, b beat, envs []ref.Env, first bool) ([]ref.Env, error) {
	var missed []ref.Env
	err := l.store.Update(ctx, func(t Txn) error {
		missed = nil
		sum, err := counted(t)
		if err != nil {
			return err
		}
		if first {
			if err := put(t, bucketMeta, metaCounted, sum+b.elapsed); err != nil {
				return err
			}
		}
		for _, env := range envs {
			e, err := getEnvironment(t, env)
			if err != nil {
				return err
			}
			s, changed, late, err := b.step(t, e)
			if err != nil {
				return err
			}
			if late {
				missed = append(missed, env)
			}
			if !changed {
				continue
			}
			if err := putSummary(t, s); err != nil {
				return err
			}
		}
		return nil
	})
	return missed, err
}

// step is the summary of what e is pinned to after the beat, whether that
// differs, and whether its deadline is missed and has raised no halt yet.
func (b beat) step(t Tx, e Environment) (s Summary, changed, late bool, err error) {
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
	if e.Policy.Deadline == 0 || p.Kind == Adopt {
		return s, false, false, nil
	}
	changed = b.wait(&s, e)
	late = s.Waited >= e.Policy.Deadline && e.Policy.Overdue == OverdueHalt && s.Overdue != e.Revision
	return s, changed, late, nil
}

// hold counts the soak. The beat that first sees a pass, or the end of a halt,
// counts nothing: it began before.
func (b beat) hold(t Tx, s *Summary) (bool, error) {
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
			Scope: e.Policy.HaltScope(), Revision: e.Revision, Binding: s.Binding, Cause: CauseDeadline,
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
