package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// NewEnvironment is an environment to create. No evidence named means the
// default: chart-values, base-layers or values-only.
type NewEnvironment struct {
	Env      ref.Env
	Chart    string
	Accept   []model.Evidence
	Upstream []ref.Env
}

// ParseEvidence reads the name of a kind of evidence that a policy can accept.
func ParseEvidence(s string) (model.Evidence, error) {
	e := model.Evidence(s)
	if !slices.Contains(model.ImageEvidence(), e) {
		return "", fail(ErrInvalid, "there is no evidence %q: choose among %s", s, model.Join(model.ImageEvidence(), ", "))
	}
	return e, nil
}

// CreateEnvironment makes an environment at revision 0.
func (l *Lockfile) CreateEnvironment(ctx context.Context, op Op, ne NewEnvironment) (Environment, error) {
	return run(ctx, l, op, func(c *change) (Environment, error) {
		e, err := newEnvironment(c, ne)
		if err != nil {
			return e, err
		}
		return e, errors.Join(put(c, bucketEnvironments, e.Env.String(), e), c.journal(verbEnvironment, e.Env.String(), e))
	})
}

func newEnvironment(c *change, ne NewEnvironment) (Environment, error) {
	var none Environment
	if ne.Env.IsZero() {
		return none, fail(ErrInvalid, "the environment has no name")
	}
	if _, err := ref.ParseImported(ne.Chart, "0.0.0"); err != nil {
		return none, fail(ErrInvalid, "environment %s needs the chart that it runs: %v", ne.Env, err)
	}
	if _, err := c.Get(bucketEnvironments, ne.Env.String()); err == nil {
		return none, fail(ErrExists, "environment %s exists already", ne.Env)
	} else if !errors.Is(err, store.ErrNoKey) {
		return none, err
	}
	e := Environment{Format: FormatVersion, Env: ne.Env, Chart: ne.Chart, Created: c.now, By: c.op.Actor.Name}
	var err error
	if e.Policy, err = checkPolicy(c.now, e, Policy{Accept: ne.Accept, Upstream: ne.Upstream}); err != nil {
		return e, err
	}
	return e, checkUpstream(c, e, e.Policy.Upstream)
}

func getEnvironment(t store.Tx, env ref.Env) (Environment, error) {
	e, err := decodedEnvironments.Get(t, bucketEnvironments, env.String())
	if errors.Is(err, store.ErrNoKey) {
		err = needing(fail(ErrNotFound, "there is no environment %s", env), model.NeedEnvironment, model.Facts{Env: env})
	}
	return e, err
}

func pinKey(env ref.Env, revision uint64) string { return env.String() + "\x00" + number(revision) }

func getPin(t store.Tx, env ref.Env, revision uint64) (Pin, error) {
	p, err := decodedPins.Get(t, bucketPins, pinKey(env, revision))
	if errors.Is(err, store.ErrNoKey) {
		err = fail(ErrNotFound, "environment %s has no revision %d", env, revision)
	}
	return p, err
}

func environmentState(t store.Tx, e Environment) (EnvironmentState, error) {
	out := EnvironmentState{Environment: e}
	if e.Revision == 0 {
		return out, nil
	}
	p, err := getPin(t, e.Env, e.Revision)
	if err != nil {
		return out, fmt.Errorf("%w: %v", store.ErrDamaged, err)
	}
	b, err := readBinding(t, p.Binding)
	if err != nil {
		return out, fmt.Errorf("%w: %s revision %d: %v", store.ErrDamaged, e.Env, p.Revision, err)
	}
	v, err := getChart(t, p.Chart)
	if err != nil {
		return out, fmt.Errorf("%w: %s revision %d: %v", store.ErrDamaged, e.Env, p.Revision, err)
	}
	out.Pin, out.Binding, out.ChartState = &p, &b, v.State
	return out, nil
}

// Environment returns an environment with its current pin.
func (l *Lockfile) Environment(ctx context.Context, env ref.Env) (EnvironmentState, error) {
	return view(ctx, l, func(t store.Tx) (EnvironmentState, error) {
		e, err := getEnvironment(t, env)
		if err != nil {
			return EnvironmentState{}, err
		}
		return environmentState(t, e)
	})
}

// StateOf returns an environment as it was read or written, with its pin of
// then.
func (l *Lockfile) StateOf(ctx context.Context, e Environment) (EnvironmentState, error) {
	return view(ctx, l, func(t store.Tx) (EnvironmentState, error) { return environmentState(t, e) })
}

// Environments returns all environments in order of name, from one snapshot.
func (l *Lockfile) Environments(ctx context.Context) ([]EnvironmentState, error) {
	return view(ctx, l, func(t store.Tx) ([]EnvironmentState, error) {
		all, err := list[Environment](t, bucketEnvironments, store.ScanOptions{})
		if err != nil {
			return nil, err
		}
		out := make([]EnvironmentState, 0, len(all))
		for _, e := range all {
			s, err := environmentState(t, e)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	})
}

// PinnedState returns one revision of an environment with its binding.
func (l *Lockfile) PinnedState(ctx context.Context, env ref.Env, revision uint64) (Pin, Binding, error) {
	var b Binding
	p, err := view(ctx, l, func(t store.Tx) (Pin, error) {
		p, err := getPin(t, env, revision)
		if err != nil {
			return p, err
		}
		b, err = getBinding(t, p.Binding)
		return p, err
	})
	return p, b, err
}

// Pin returns one revision of an environment.
func (l *Lockfile) Pin(ctx context.Context, env ref.Env, revision uint64) (Pin, error) {
	return view(ctx, l, func(t store.Tx) (Pin, error) {
		if _, err := getEnvironment(t, env); err != nil {
			return Pin{}, err
		}
		return getPin(t, env, revision)
	})
}

// Pins returns up to limit revisions below before (0: all), newest first; next
// is the value of before for the following page, 0 at the end.
func (l *Lockfile) Pins(ctx context.Context, env ref.Env, before uint64, limit int) (pins []Pin, next uint64, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, 0, err
	}
	err = l.store.View(ctx, func(t store.Tx) error {
		pins, next = nil, 0
		if _, err := getEnvironment(t, env); err != nil {
			return err
		}
		o := store.ScanOptions{Prefix: env.String() + "\x00", Reverse: true}
		if before > 0 {
			o.From = pinKey(env, before)
		}
		return t.Scan(bucketPins, o, func(k string, raw []byte) error {
			if len(pins) == limit {
				next = pins[limit-1].Revision
				return store.ErrStop
			}
			var p Pin
			if err := kept.Decode(bucketPins, k, raw, &p); err != nil {
				return err
			}
			pins = append(pins, p)
			return nil
		})
	})
	return pins, next, err
}

// PinByKey returns the pin that was made under an idempotency key: the answer
// to an unknown outcome. ErrNotFound says that nothing was pinned under it.
func (l *Lockfile) PinByKey(ctx context.Context, env ref.Env, key string) (Pin, error) {
	return view(ctx, l, func(t store.Tx) (Pin, error) {
		nothing := fail(ErrNotFound, "nothing was pinned in %s under the key %q", env, key)
		o, err := get[outcome](t, bucketKeys, key)
		if errors.Is(err, store.ErrNoKey) {
			return Pin{}, nothing
		}
		if err != nil {
			return Pin{}, err
		}
		p, err := o.pinOf(env, key)
		if err != nil {
			return Pin{}, err
		}
		if p != nil {
			return *p, nil
		}
		return Pin{}, nothing
	})
}
