package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// commit is an object name of git, possibly abbreviated.
var commit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// NewPin is a move of one environment from its revision Base to a binding.
type NewPin struct {
	Env     ref.Env
	Base    uint64
	Binding ref.BindingID
	Kind    model.Kind // Bump if empty
	From    string     // of a promote: hub/stage; of a rollback: the revision
	Reason  string
	Commit  string
	// Downgrade says why a half may go back, where content proves the pair.
	Downgrade string
	// BreakGlass says why rules 2 to 5 are passed by. The caller has checked
	// that the principal may.
	BreakGlass string
}

// MakePin writes the next revision of an environment, if the gate lets it. The
// commit of this transaction is the commit point of a pin.
func (l *Lockfile) MakePin(ctx context.Context, op Op, np NewPin) (Pin, error) {
	if err := checkReason(np.Reason + np.Commit + np.Downgrade + np.BreakGlass); err != nil {
		return Pin{}, err
	}
	return run(ctx, l, op, func(c *change) (Pin, error) {
		p, e, err := c.plan(l, np)
		if err != nil {
			return Pin{}, c.refuse(verbPin, np.Env.String(), np, err)
		}
		if c.out, err = c.writePin(&p, e); err != nil {
			return Pin{}, err
		}
		return p, c.journal(verbPin, p.Env.String(), c.out)
	})
}

// NewPinSet moves several environments, all or none. All but Pins holds for
// all of them.
type NewPinSet struct {
	Pins       []NewPin
	Kind       model.Kind
	Reason     string
	Commit     string
	Downgrade  string
	BreakGlass string
}

// pin is one of the set.
func (ns NewPinSet) pin(np NewPin) NewPin {
	np.Kind, np.Reason, np.Commit, np.Downgrade, np.BreakGlass = ns.Kind, ns.Reason, ns.Commit, ns.Downgrade, ns.BreakGlass
	return np
}

// PinSet is a pin set that was made.
type PinSet struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Pins   []Pin  `json:"pins"`
}

// MakePinSet pins all environments of the set in one transaction.
func (l *Lockfile) MakePinSet(ctx context.Context, op Op, ns NewPinSet) (PinSet, error) {
	if len(ns.Pins) == 0 || len(ns.Pins) > model.MaxPinSet {
		return PinSet{}, fail(ErrInvalid, "a pin set moves 1 to %d environments, not %d", model.MaxPinSet, len(ns.Pins))
	}
	if err := checkReason(ns.Reason + ns.Commit + ns.Downgrade + ns.BreakGlass); err != nil {
		return PinSet{}, err
	}
	return run(ctx, l, op, func(c *change) (PinSet, error) {
		seq, err := c.seq()
		if err != nil {
			return PinSet{}, err
		}
		set := PinSet{Format: FormatVersion, ID: fmt.Sprintf("set-%d", seq)}
		environments := make([]Environment, len(ns.Pins))
		seen := map[ref.Env]bool{}
		for i, np := range ns.Pins {
			if seen[np.Env] {
				return PinSet{}, fail(ErrInvalid, "environment %s stands twice in the pin set", np.Env)
			}
			seen[np.Env] = true
			p, e, err := c.plan(l, ns.pin(np))
			if err != nil {
				return PinSet{}, c.refuse(verbPinSet, np.Env.String(), ns, err)
			}
			p.Set = set.ID
			set.Pins, environments[i] = append(set.Pins, p), e
		}
		for i := range set.Pins {
			if _, err := c.writePin(&set.Pins[i], environments[i]); err != nil {
				return PinSet{}, err
			}
		}
		members := map[string]uint64{}
		for _, p := range set.Pins {
			members[p.Env.String()] = p.Revision
		}
		return set, errors.Join(put(c, bucketPinSets, set.ID, members), c.journal(verbPinSet, set.ID, set))
	})
}

// NewAdoption makes revision 1 of an environment from what runs today.
type NewAdoption struct {
	Env     ref.Env
	Chart   string // of a new environment; "" for an existing one
	Binding NewBinding
	Reason  string
	// AssumePassed counts what runs today as passed: a report says so.
	AssumePassed bool
}

// adoption is the detail of its journal line.
type adoption struct {
	Pin         Pin         `json:"pin"`
	Binding     Binding     `json:"binding"`
	Environment Environment `json:"environment"`
	Report      *Report     `json:"report,omitempty"`
}

// AdoptPin records what runs today as revision 1. The binding is made with it,
// unverified where it would have been refused.
func (l *Lockfile) AdoptPin(ctx context.Context, op Op, na NewAdoption) (Pin, error) {
	if na.Reason == "" {
		return Pin{}, fail(ErrInvalid, "adopting %s needs a reason", na.Env)
	}
	if err := checkReason(na.Reason); err != nil {
		return Pin{}, err
	}
	return run(ctx, l, op, func(c *change) (Pin, error) {
		e, err := getEnvironment(c, na.Env)
		if errors.Is(err, ErrNotFound) && na.Chart != "" {
			e, err = newEnvironment(c, NewEnvironment{Env: na.Env, Chart: na.Chart})
		}
		if err != nil {
			return Pin{}, err
		}
		if e.Revision > 0 {
			return Pin{}, fail(ErrExists, "environment %s is pinned already (revision %d): adopt is for what ran before it was", e.Env, e.Revision)
		}
		v, err := getChart(c, na.Binding.Chart)
		if err != nil {
			return Pin{}, err
		}
		if v.Chart.Name() != e.Chart {
			return Pin{}, fail(ErrRefused, "environment %s runs chart %q, not %q", e.Env, e.Chart, v.Chart.Name())
		}
		na.Binding.Adopt = true
		b, changed, err := bind(c, &v, na.Binding)
		if err == nil {
			err = c.keepRendering(na.Binding.Rendering)
		}
		if err != nil {
			return Pin{}, err
		}
		if changed {
			if err := errors.Join(put(c, bucketCharts, chartKey(v.Chart), v), c.touchIndex(v.Chart)); err != nil {
				return Pin{}, err
			}
		}
		p := Pin{Env: e.Env, Revision: 1, Binding: b.ID, Chart: b.Chart, Kind: model.Adopt, Reason: na.Reason}
		if _, err := c.writePin(&p, e); err != nil {
			return Pin{}, err
		}
		done := adoption{Pin: p, Binding: b, Environment: e}
		if na.AssumePassed {
			e.pinned(p)
			d, err := c.addReport(&e, p, NewReport{Env: e.Env, Revision: 1, State: model.Passed, Note: "assumed when it was adopted"})
			if err != nil {
				return Pin{}, err
			}
			done.Report = &d.Report
		}
		return p, c.journal(verbAdopt, e.Env.String(), done)
	})
}

// writePin gives the pin its time and number, writes it with its environment,
// and returns it encoded.
func (c *change) writePin(p *Pin, e Environment) (json.RawMessage, error) {
	seq, err := c.seq()
	if err != nil {
		return nil, err
	}
	p.Format, p.By, p.At, p.Seq, p.Key = FormatVersion, c.op.Actor.Name, c.now, seq, c.op.Key
	e.pinned(*p)
	if _, err := decodedEnvironments.Put(c, bucketEnvironments, e.Env.String(), e); err != nil {
		return nil, err
	}
	return decodedPins.Put(c, bucketPins, pinKey(p.Env, p.Revision), *p)
}

// plan asks the gate and returns the pin to write.
func (c *change) plan(l *Lockfile, np NewPin) (Pin, Environment, error) {
	q, err := l.question(c, np)
	if err != nil {
		return Pin{}, Environment{}, err
	}
	q.now, q.actor = c.now, c.op.Actor
	v, err := q.verdict()
	if !v.OK {
		q.explain = true // now that somebody reads it
		v, err = q.verdict()
	}
	if no := v.Refusal(); no != nil && (err == nil || errors.Is(no, ErrStale)) {
		err = no // who lost the race is told so, whatever else is wrong
	}
	if err != nil {
		return Pin{}, q.e, err
	}
	return Pin{
		Env: q.e.Env, Revision: q.e.Revision + 1, Binding: q.b.ID, Chart: q.b.Chart,
		Kind: q.np.Kind, From: q.np.From, Reason: np.Reason, Commit: np.Commit,
		Downgrade: np.Downgrade, BreakGlass: np.BreakGlass, Direction: v.Direction,
	}, q.e, nil
}
