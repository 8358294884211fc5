package lock

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"chartd.dev/chartd/internal/ref"
)

// commit is an object name of git, possibly abbreviated.
var commit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// MaxPinSet is the most environments that one pin set moves.
const MaxPinSet = 60

// NewPin is a move of one environment from its revision Base to a binding.
type NewPin struct {
	Env     ref.Env
	Base    uint64
	Binding ref.BindingID
	Kind    Kind   // Bump if empty
	From    string // of a promote: hub/stage; of a rollback: the revision
	Reason  string
	Commit  string
}

// MakePin writes the next revision of an environment, if the gate lets it. The
// commit of this transaction is the commit point of a pin.
func (l *Lockfile) MakePin(ctx context.Context, op Op, np NewPin) (Pin, error) {
	if err := checkReason(np.Reason + np.Commit); err != nil {
		return Pin{}, err
	}
	return run(ctx, l, op, func(c *change) (Pin, error) {
		p, e, err := plan(c, np)
		if err != nil {
			return Pin{}, c.refuse(verbPin, np.Env.String(), np, err)
		}
		if err := c.writePin(&p, e); err != nil {
			return Pin{}, err
		}
		return p, c.journal(verbPin, p.Env.String(), p)
	})
}

// NewPinSet moves several environments, all or none. Kind, Reason and Commit
// hold for all of them.
type NewPinSet struct {
	Pins   []NewPin
	Kind   Kind
	Reason string
	Commit string
}

// PinSet is a pin set that was made.
type PinSet struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Pins   []Pin  `json:"pins"`
}

// MakePinSet pins all environments of the set in one transaction.
func (l *Lockfile) MakePinSet(ctx context.Context, op Op, ns NewPinSet) (PinSet, error) {
	if len(ns.Pins) == 0 || len(ns.Pins) > MaxPinSet {
		return PinSet{}, fail(ErrInvalid, "a pin set moves 1 to %d environments, not %d", MaxPinSet, len(ns.Pins))
	}
	if err := checkReason(ns.Reason + ns.Commit); err != nil {
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
			np.Kind, np.Reason, np.Commit = ns.Kind, ns.Reason, ns.Commit
			p, e, err := plan(c, np)
			if err != nil {
				return PinSet{}, c.refuse(verbPinSet, np.Env.String(), ns, err)
			}
			p.Set = set.ID
			set.Pins, environments[i] = append(set.Pins, p), e
		}
		for i := range set.Pins {
			if err := c.writePin(&set.Pins[i], environments[i]); err != nil {
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
}

// adoption is the detail of its journal line.
type adoption struct {
	Pin         Pin         `json:"pin"`
	Binding     Binding     `json:"binding"`
	Environment Environment `json:"environment"`
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
		if err != nil {
			return Pin{}, err
		}
		if changed {
			if err := errors.Join(put(c, bucketCharts, chartKey(v.Chart), v), c.touchIndex(v.Chart)); err != nil {
				return Pin{}, err
			}
		}
		p := Pin{Env: e.Env, Revision: 1, Binding: b.ID, Chart: b.Chart, Kind: Adopt, Reason: na.Reason}
		if err := c.writePin(&p, e); err != nil {
			return Pin{}, err
		}
		return p, c.journal(verbAdopt, e.Env.String(), adoption{p, b, e})
	})
}

// refuse turns the answer of the gate into a journal line; other errors pass.
func (c *change) refuse(verb, object string, asked any, err error) error {
	if errors.Is(err, ErrGate) || errors.Is(err, ErrStale) {
		return errors.Join(c.journal(verb, object, map[string]any{"asked": asked, "why": err.Error()}), err)
	}
	return err
}

// writePin gives the pin its time and number and writes it with its
// environment.
func (c *change) writePin(p *Pin, e Environment) error {
	seq, err := c.seq()
	if err != nil {
		return err
	}
	p.Format, p.By, p.At, p.Seq, p.Key = FormatVersion, c.op.Actor.Name, c.now, seq, c.op.Key
	e.Revision = p.Revision
	return errors.Join(
		put(c, bucketPins, pinKey(p.Env, p.Revision), p),
		put(c, bucketEnvironments, e.Env.String(), e),
	)
}

// plan asks the gate and returns the pin to write.
func plan(t Tx, np NewPin) (Pin, Environment, error) {
	if np.Binding.IsZero() {
		return Pin{}, Environment{}, fail(ErrInvalid, "the pin of %s names no binding", np.Env)
	}
	if np.Commit != "" && !commit.MatchString(np.Commit) {
		return Pin{}, Environment{}, fail(ErrInvalid, "%.80q is no commit: want 7 to 64 lower-case hexadecimal digits", np.Commit)
	}
	e, err := getEnvironment(t, np.Env)
	if err != nil {
		return Pin{}, e, err
	}
	b, err := gate(t, e, &np)
	if err != nil {
		return Pin{}, e, err
	}
	return Pin{
		Env: e.Env, Revision: e.Revision + 1, Binding: b.ID, Chart: b.Chart,
		Kind: np.Kind, From: np.From, Reason: np.Reason, Commit: np.Commit,
	}, e, nil
}

// gate decides whether the environment may move to the binding. Everything it
// asks is in the transaction: no registry, no clock.
func gate(t Tx, e Environment, np *NewPin) (Binding, error) {
	if np.Base != e.Revision {
		stale := &StaleError{Env: e.Env, Base: np.Base, Revision: e.Revision}
		if e.Revision > 0 {
			p, err := getPin(t, e.Env, e.Revision)
			if err != nil {
				return Binding{}, err
			}
			stale.Current = &p
		}
		return Binding{}, stale
	}
	b, err := getBinding(t, np.Binding)
	if err != nil {
		return b, err
	}
	v, err := getChart(t, b.Chart)
	if err != nil {
		return b, err
	}
	if err := checkKind(t, e, np); err != nil {
		return b, err
	}
	if err := checkPair(e, b); err != nil {
		return b, err
	}
	return b, checkChart(np.Kind, v)
}

// checkPair is the rule on the binding: it is of the environment's chart,
// verified with evidence that the policy accepts, and not revoked.
func checkPair(e Environment, b Binding) error {
	show := fmt.Sprintf("see chartctl show %s", b.Chart)
	switch {
	case b.Chart.Name() != e.Chart:
		return &Refusal{"chart", fmt.Sprintf("%s runs chart %q, and binding %s is of %s", e.Env, e.Chart, b.ID, b.Chart), fmt.Sprintf("pin a version of %s", e.Chart)}
	case b.State == Revoked:
		return &Refusal{"revoked", fmt.Sprintf("the binding of %s was revoked: %s", b.Chart, b.Why), "pin another binding; " + show}
	case b.State != Verified:
		return &Refusal{"unverified", fmt.Sprintf("the binding of %s is %s: %s", b.Chart, b.State, b.Why), "bind an image that is proven to belong to it; " + show}
	}
	for _, i := range b.Images { // a chart that names no image rests on its digest alone
		if i.Required && !accepts(e.Policy, i.Evidence) {
			return &Refusal{
				"evidence",
				fmt.Sprintf("%s accepts %v, and the %s image of %s rests on %q", e.Env, e.Policy.Accept, i.Role, b.Chart, i.Evidence),
				"bind an image with accepted evidence; " + show,
			}
		}
	}
	return nil
}

func accepts(p Policy, e Evidence) bool {
	for _, a := range p.Accept {
		if a == e {
			return true
		}
	}
	return false
}

// checkChart is the rule on the chart version: not yanked (but for a
// rollback), and its bytes are there.
func checkChart(kind Kind, v ChartVersion) error {
	switch {
	case v.State == Purged:
		return &Refusal{"purged", fmt.Sprintf("%s was purged: %s", v.Chart, v.Why), "pin another version"}
	case v.State == Yanked && kind != Rollback:
		return &Refusal{"yanked", fmt.Sprintf("%s was yanked: %s", v.Chart, v.Why), "pin another version; only a rollback may use a yanked one"}
	}
	return nil
}

// checkKind holds a promote to what its source is pinned to now, and a
// rollback to what this environment was pinned to.
func checkKind(t Tx, e Environment, np *NewPin) error {
	switch np.Kind {
	case "", Bump:
		np.Kind = Bump
		if np.From != "" {
			return fail(ErrInvalid, "a bump comes from nowhere, and %q is given: choose promote or rollback", np.From)
		}
		return nil
	case Promote:
		return checkPromote(t, e, np)
	case Rollback:
		rev, err := strconv.ParseUint(np.From, 10, 64)
		if err != nil {
			return fail(ErrInvalid, "a rollback needs the revision to go back to, not %q", np.From)
		}
		p, err := getPin(t, e.Env, rev)
		if err != nil {
			return err
		}
		if p.Binding != np.Binding {
			return &Refusal{"rollback", fmt.Sprintf("revision %d of %s is %s with binding %s, not %s", rev, e.Env, p.Chart, p.Binding, np.Binding), fmt.Sprintf("see chartctl history %s", e.Env)}
		}
		return nil
	}
	return fail(ErrInvalid, "a pin cannot be of kind %q: choose bump, promote or rollback", np.Kind)
}

func checkPromote(t Tx, e Environment, np *NewPin) error {
	from, err := ref.ParseEnv(np.From)
	if err != nil {
		return fail(ErrInvalid, "a promote needs the environment that it comes from: %v", err)
	}
	if from == e.Env {
		return fail(ErrInvalid, "%s cannot be promoted to itself", from)
	}
	source, err := getEnvironment(t, from)
	if err != nil {
		return err
	}
	if source.Revision == 0 {
		return &Refusal{"promote", fmt.Sprintf("%s has no pin to promote", from), fmt.Sprintf("pin it first: chartctl bump %s --latest", from)}
	}
	p, err := getPin(t, from, source.Revision)
	if err != nil {
		return err
	}
	if p.Binding != np.Binding {
		return &Refusal{"promote", fmt.Sprintf("%s is at revision %d with %s and binding %s, not %s", from, p.Revision, p.Chart, p.Binding, np.Binding), "read it again and promote what it runs now"}
	}
	np.From = fmt.Sprintf("%s#%d", from, p.Revision)
	return nil
}
