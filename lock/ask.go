package lock

import (
	"context"

	"chartd.dev/chartd/lock/store"
)

// Ask is a question to the gate: what it would say to a pin.
type Ask struct {
	NewPin
	Choose  *Choice // chooses the pair, and then the pin names none
	Current bool    // the pin builds on the revision that is current, whichever that is
}

// Gate says what the gate would answer to the pin, by the same code, and
// writes nothing.
func (l *Lockfile) Gate(ctx context.Context, op Op, np NewPin) (Verdict, error) {
	return l.Judge(ctx, op, Ask{NewPin: np})
}

// Judge chooses the pair, if it is to be chosen, and asks the gate about it:
// both on one state of the store, and nothing is written. A choice that cannot
// be made is a *Refusal.
func (l *Lockfile) Judge(ctx context.Context, op Op, a Ask) (Verdict, error) {
	now := l.time()
	if a.Choose != nil {
		if err := a.Choose.check(a.NewPin); err != nil {
			return Verdict{}, err
		}
	}
	return view(ctx, l, func(t store.Tx) (Verdict, error) {
		np, how, err := a.pin(l, t)
		if err != nil {
			return Verdict{}, err
		}
		q, err := l.question(t, np)
		if err != nil {
			return Verdict{}, err
		}
		q.now, q.actor, q.explain = now, op.Actor, true
		v, err := q.verdict()
		if err != nil {
			return v, err
		}
		v.Pin, v.Pinned, v.From = q.current, q.from, q.asked.From
		v.PassedOver, v.PublishedLast = how.passedOver, how.publishedLast
		if q.from != nil {
			v.ByVersion = byVersion(v.Direction, *q.from, q.b)
		}
		v.Pair, err = readBinding(t, q.b.ID)
		return v, err
	})
}

// pin is the pin that is asked about, with its pair.
func (a Ask) pin(l *Lockfile, t store.Tx) (NewPin, chosen, error) {
	np := a.NewPin
	if a.Choose == nil && !a.Current {
		return np, chosen{}, nil
	}
	e, err := getEnvironment(t, np.Env)
	if err != nil {
		return np, chosen{}, err
	}
	if a.Current {
		np.Base = e.Revision
	}
	if a.Choose == nil {
		return np, chosen{}, nil
	}
	s, err := newChooser(l, t, e)
	if err != nil {
		return np, chosen{}, err
	}
	how, err := s.choose(*a.Choose)
	np.Binding, np.From = how.binding, how.from
	if how.kind != "" {
		np.Kind = how.kind
	}
	return np, how, err
}
