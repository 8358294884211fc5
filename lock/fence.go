package lock

import (
	"context"
	"errors"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// Fence is the answer to who asks what became of a pin whose outcome is not
// known: the pin, or the promise that none will be made under its key.
type Fence struct {
	Pin *Pin `json:"pin,omitempty"`
}

// FencePin makes sure that nothing is pinned in env under the idempotency key
// from now on, unless it was already: then it returns the pin. Fencing again
// gives the same answer, whoever asks: where the key was used before, to fence it
// is only to read.
func (l *Lockfile) FencePin(ctx context.Context, op Op, env ref.Env, key string) (Fence, error) {
	if key == "" || len(key) > model.MaxKey {
		return Fence{}, fail(ErrInvalid, "the idempotency key to fence is %d characters long: want 1 to %d", len(key), model.MaxKey)
	}
	if key == op.Key {
		return Fence{}, fail(ErrInvalid, "the key %q cannot fence itself: send this request with another key or none", key)
	}
	return run(ctx, l, op, func(c *change) (Fence, error) {
		if _, err := getEnvironment(c, env); err != nil {
			return Fence{}, err
		}
		o, err := get[outcome](c, bucketKeys, key)
		if errors.Is(err, store.ErrNoKey) {
			return Fence{}, errors.Join(
				put(c, bucketKeys, key, outcome{Format: FormatVersion, Route: "fence " + env.String(), Verb: verbFence, By: op.Actor.principal(), At: c.now}),
				c.journal(verbFence, env.String(), map[string]string{"key": key}),
			)
		}
		if err != nil {
			return Fence{}, err
		}
		if o.Verb == verbFence {
			return Fence{}, nil
		}
		if isPin(o.Verb) && o.Result == nil {
			return Fence{}, nil // its refusal is the answer for ever
		}
		p, err := o.pinOf(env, key)
		if err == nil && p == nil {
			err = needing(fail(ErrRefused, "idempotency key %q was used for another request (%s) and stands for no pin of %s", key, o.Route, env), model.NeedHistory, model.Facts{Env: env})
		}
		return Fence{Pin: p}, err
	})
}

// pinOf is the pin of env that the outcome brought; nil if it brought none.
func (o outcome) pinOf(env ref.Env, key string) (*Pin, error) {
	if o.Result == nil || !isPin(o.Verb) {
		return nil, nil
	}
	var found struct {
		Pin
		Pins []Pin `json:"pins"`
	}
	if err := kept.Decode(bucketKeys, key, o.Result, &found); err != nil {
		return nil, err
	}
	for _, p := range append(found.Pins, found.Pin) {
		if p.Env == env && p.Revision > 0 {
			return &p, nil
		}
	}
	return nil, nil
}
