package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// keyLife is how long an idempotency key is kept; a pin's is kept for ever.
const keyLife = 7 * 24 * time.Hour

// outcome is what a key stands for: the answer that was given.
type outcome struct {
	Format  int             `json:"format"`
	Route   string          `json:"route"`
	Verb    string          `json:"verb,omitempty"` // of the journal line; "" if nothing changed
	Body    ref.Digest      `json:"body,omitzero"`
	Result  json.RawMessage `json:"result,omitempty"`
	Refusal *Refusal        `json:"refusal,omitempty"`
	Stale   *StaleError     `json:"stale,omitempty"`
	By      Actor           `json:"by,omitzero"` // whose key it is; zero of an earlier version's
	At      time.Time       `json:"at"`
}

// principal is the actor without the address that it came from.
func (a Actor) principal() Actor { return Actor{Name: a.Name, TokenID: a.TokenID} }

// by names the principal, where it is known.
func (o outcome) by() string {
	if o.By.Name == "" {
		return ""
	}
	return " by " + o.By.Name
}

// replay answers a repeated key from its stored outcome. A key belongs to the
// principal that used it first: the answer to one is no deed of another.
func replay[T any](c *change, out *T, verdict *error) (bool, error) {
	if c.op.Key == "" {
		return false, nil
	}
	if len(c.op.Key) > model.MaxKey {
		return false, fail(ErrInvalid, "the idempotency key is %d characters long: at most %d", len(c.op.Key), model.MaxKey)
	}
	o, err := get[outcome](c, bucketKeys, c.op.Key)
	if errors.Is(err, store.ErrNoKey) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if o.Verb == verbFence && o.Result == nil {
		return false, fail(ErrRefused, "idempotency key %q was fenced at %s%s: whoever sent the request gave it up, and nothing is pinned under it; send a new request with a new key", c.op.Key, o.At.Format(time.RFC3339), o.by())
	}
	if o.By != (Actor{}) && !o.By.same(c.op.Actor) {
		return false, fail(ErrRefused, "idempotency key %q belongs to %s, who used it before: use a key of your own", c.op.Key, o.By.Name)
	}
	if o.Route != c.op.Route || o.Body != c.op.Body {
		return false, fail(ErrRefused, "idempotency key %q was used for another request (%s): use a new key", c.op.Key, o.Route)
	}
	switch {
	case o.Refusal != nil:
		*verdict = o.Refusal
	case o.Stale != nil:
		*verdict = o.Stale
	default:
		return true, kept.Decode(bucketKeys, c.op.Key, o.Result, out)
	}
	return true, nil
}

// remember stores the outcome under the key of the operation.
func remember[T any](c *change, out T, verdict error) error {
	if c.op.Key == "" {
		return nil
	}
	o := outcome{Format: FormatVersion, Route: c.op.Route, Body: c.op.Body, By: c.op.Actor.principal(), At: c.now}
	if c.line != nil {
		o.Verb = c.line.Verb
	}
	if !errors.As(verdict, &o.Refusal) && !errors.As(verdict, &o.Stale) {
		if o.Result = c.out; o.Result == nil {
			raw, err := json.Marshal(out)
			if err != nil {
				return err
			}
			o.Result = raw
		}
	}
	raw, err := kept.Wrap(o)
	if err != nil {
		return fmt.Errorf("encode the outcome of %q: %w", c.op.Key, err)
	}
	if err := c.Put(bucketKeys, c.op.Key, raw); err != nil {
		return err
	}
	if isPin(o.Verb) {
		return nil
	}
	return c.Put(bucketKeyTimes, c.now.Format(time.RFC3339)+"\x00"+c.op.Key, nil)
}

func isPin(verb string) bool { return verb == verbPin || verb == verbPinSet || verb == verbAdopt }

// ExpireKeys forgets the idempotency keys that are older than seven days. It
// is bookkeeping and leaves no journal line.
func (l *Lockfile) ExpireKeys(ctx context.Context) error {
	limit := l.time().Add(-keyLife).Format(time.RFC3339)
	for {
		more := false
		err := l.store.Update(ctx, func(t store.Txn) error {
			var old []string
			more = false
			err := t.Scan(bucketKeyTimes, store.ScanOptions{}, func(k string, _ []byte) error {
				if k >= limit {
					return store.ErrStop
				}
				if old = append(old, k); len(old) == store.MaxWrites/2-2 {
					more = true
					return store.ErrStop
				}
				return nil
			})
			for _, k := range old {
				_, key, _ := strings.Cut(k, "\x00")
				err = errors.Join(err, t.Delete(bucketKeyTimes, k), t.Delete(bucketKeys, key))
			}
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}
