package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// maxOpen is how many halts can be open from one environment, and how many of
// a scope a refusal names.
const maxOpen = 16

// Halt stops all pins in its scope but rollbacks, one fix where the failure
// was, and break-glass.
type Halt struct {
	Format   int           `json:"format"`
	ID       string        `json:"id"`
	Scope    model.Scope   `json:"scope"`
	Env      ref.Env       `json:"env"`      // where the failure was
	Revision uint64        `json:"revision"` // that failed; of one by hand the current one
	Binding  ref.BindingID `json:"binding,omitzero"`
	Report   uint64        `json:"report,omitzero"` // number of the failed report
	Cause    model.Cause   `json:"cause"`
	Reason   string        `json:"reason,omitempty"`
	By       string        `json:"by"`
	At       time.Time     `json:"at"`
	Seq      uint64        `json:"seq"` // journal sequence, and the number in the ID
	Ended    HaltEnd       `json:"ended,omitzero"`
}

// HaltEnd says how a halt ended.
type HaltEnd struct {
	Revision uint64    `json:"revision,omitzero"` // that passed; zero of an override
	Reason   string    `json:"reason,omitempty"`  // of an override
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Seq      uint64    `json:"seq"`
}

// Open reports whether the halt still stops pins.
func (h Halt) Open() bool { return h.Ended == HaltEnd{} }

// OpenHalt is a halt that is open, with what it waits for.
type OpenHalt struct {
	Halt
	// Awaits is the revision that was pinned where the failure was, and whose
	// pass ends the halt; 0 if there is none yet.
	Awaits uint64
}

// open adds what the halt waits for.
func (h Halt) open(t store.Tx) (OpenHalt, error) {
	out := OpenHalt{Halt: h}
	if h.Cause == model.CauseHand {
		return out, nil
	}
	e, err := getEnvironment(t, h.Env)
	if err != nil || e.Revision == 0 {
		return out, err
	}
	p, err := getPin(t, h.Env, e.Revision)
	if err == nil && h.endsBy(p) {
		out.Awaits = p.Revision
	}
	return out, err
}

// step is what ends the halt.
func (h OpenHalt) step() Next {
	n := Next{Step: model.StepRollback, Env: h.Env, Halt: h.ID}
	switch {
	case h.Cause == model.CauseHand:
		n.Step = model.StepResolve
	case h.Awaits > 0:
		n.Step, n.Revision = model.StepReport, h.Awaits
	}
	return n
}

// scopes are the names under which the open halts that stop env are kept.
func scopes(env ref.Env) []string {
	return []string{scopeOf(model.ScopeEnvironment, env), scopeOf(model.ScopeHub, env), scopeOf(model.ScopeEverything, env)}
}

func scopeOf(s model.Scope, env ref.Env) string {
	switch s {
	case model.ScopeEnvironment:
		return "environment " + env.String() + "\x00"
	case model.ScopeHub:
		return "hub " + env.Hub() + "\x00"
	}
	return "everything\x00"
}

func openKey(h Halt) string { return scopeOf(h.Scope, h.Env) + number(h.Seq) }

// haltSeq reads the number in the name of a halt.
func haltSeq(id string) (uint64, error) {
	digits, ok := strings.CutPrefix(id, "halt-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
		return 0, needing(fail(ErrInvalid, "%.80q names no halt", id), model.NeedHaltName, model.Facts{})
	}
	return n, nil
}

func getHalt(t store.Tx, seq uint64) (Halt, error) {
	h, err := get[Halt](t, bucketHalts, number(seq))
	if errors.Is(err, store.ErrNoKey) {
		err = needing(fail(ErrNotFound, "there is no halt halt-%d", seq), model.NeedHalt, model.Facts{})
	}
	return h, err
}

// haltsOn are the open halts that stop env, at most maxOpen of each scope: what
// it reads does not grow with the history.
func haltsOn(t store.Tx, env ref.Env) ([]Halt, error) {
	var out []Halt
	if n, err := t.Count(bucketOpenHalts); err != nil || n == 0 {
		return nil, err
	}
	for _, scope := range scopes(env) {
		var seqs []uint64
		err := t.Scan(bucketOpenHalts, store.ScanOptions{Prefix: scope}, func(k string, _ []byte) error {
			n, err := strconv.ParseUint(k[len(scope):], 16, 64)
			if err != nil {
				return fmt.Errorf("%w: open halt %q", store.ErrDamaged, k)
			}
			if seqs = append(seqs, n); len(seqs) == maxOpen {
				return store.ErrStop
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, n := range seqs {
			h, err := getHalt(t, n)
			if err != nil {
				return nil, fmt.Errorf("%w: %v", store.ErrDamaged, err)
			}
			out = append(out, h)
		}
	}
	return out, nil
}

// halted reports whether any halt stops env.
func halted(t store.Tx, env ref.Env) (bool, error) {
	found := false
	for _, scope := range scopes(env) {
		if err := t.Scan(bucketOpenHalts, store.ScanOptions{Prefix: scope}, func(string, []byte) error {
			found = true
			return store.ErrStop
		}); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// raise opens the halt and notes it in e, which the caller writes. Where one
// of the same scope is open for an earlier failure here, that one goes on: one
// more fix is let through for the newer failure.
func (c *change) raise(e *Environment, h Halt) (Halt, error) {
	for _, seq := range e.Halts {
		old, err := getHalt(c, seq)
		if err != nil {
			return h, err
		}
		if h.Cause == model.CauseHand || old.Cause == model.CauseHand || old.Scope != h.Scope {
			continue
		}
		if h.Revision < old.Revision || h.Cause == model.CauseDeadline && old.Cause == model.CauseReport {
			return old, nil
		}
		old.Revision, old.Binding, old.Report, old.Cause, old.Reason = h.Revision, h.Binding, h.Report, h.Cause, h.Reason
		e.opened(old)
		return old, put(c, bucketHalts, number(seq), old)
	}
	if h.Cause == model.CauseHand && len(e.Halts) >= maxOpen {
		return h, needing(fail(ErrRefused, "%s has %d open halts", e.Env, len(e.Halts)), model.NeedFewerHalts, model.Facts{Env: e.Env})
	}
	seq, err := c.seq()
	if err != nil {
		return h, err
	}
	h.Format, h.ID, h.Env, h.Seq, h.By, h.At = FormatVersion, fmt.Sprintf("halt-%d", seq), e.Env, seq, c.op.Actor.Name, c.now
	e.opened(h)
	return h, errors.Join(put(c, bucketHalts, number(seq), h), c.Put(bucketOpenHalts, openKey(h), nil))
}

// end closes the halt and takes it out of e, which the caller writes.
func (c *change) end(e *Environment, h Halt, end HaltEnd) (Halt, error) {
	seq, err := c.seq()
	if err != nil {
		return h, err
	}
	end.By, end.At, end.Seq = c.op.Actor.Name, c.now, seq
	h.Ended = end
	e.closed(h.Seq)
	return h, errors.Join(put(c, bucketHalts, number(h.Seq), h), c.Delete(bucketOpenHalts, openKey(h)))
}

// opened notes a halt that was raised here. A failure of the fix itself lets
// another one through.
func (e *Environment) opened(h Halt) {
	if !slices.Contains(e.Halts, h.Seq) {
		e.Halts = append(e.Halts, h.Seq)
	}
	if h.Cause != model.CauseHand && e.Fixed <= h.Revision {
		e.Fixed = 0
	}
}

// closed takes a halt that ended out of the environment.
func (e *Environment) closed(seq uint64) {
	e.Halts = slices.DeleteFunc(e.Halts, func(n uint64) bool { return n == seq })
	if len(e.Halts) == 0 {
		e.Halts, e.Fixed = nil, 0
	}
}

// endsBy reports whether a passed report about the pin ends the halt: it is
// the rollback or the fix that came after the failure. Of a missed deadline
// the verdict itself is the end. One by hand waits for a person.
func (h Halt) endsBy(p Pin) bool {
	if h.Cause == model.CauseHand {
		return false
	}
	if h.Cause == model.CauseDeadline && p.Revision == h.Revision {
		return true
	}
	return p.Revision > h.Revision && (p.Kind == model.Rollback || p.Kind == model.Fix)
}

// NewHalt is a halt by hand. An empty scope is the one of the policy.
type NewHalt struct {
	Env    ref.Env
	Scope  model.Scope
	Reason string
}

// Halt stops all pins in scope.
func (l *Lockfile) Halt(ctx context.Context, op Op, nh NewHalt) (Halt, error) {
	if nh.Reason == "" {
		return Halt{}, fail(ErrInvalid, "a halt of %s needs a reason: it is what the others are told", nh.Env)
	}
	if err := errors.Join(checkReason(nh.Reason), Policy{Halt: nh.Scope}.checkNumbers()); err != nil {
		return Halt{}, err
	}
	return run(ctx, l, op, func(c *change) (Halt, error) {
		e, err := getEnvironment(c, nh.Env)
		if err != nil {
			return Halt{}, err
		}
		h := Halt{Scope: nh.Scope, Revision: e.Revision, Cause: model.CauseHand, Reason: nh.Reason}
		if h.Scope == "" {
			h.Scope = e.Policy.HaltScope()
		}
		if h, err = c.raise(&e, h); err != nil {
			return h, err
		}
		return h, errors.Join(
			put(c, bucketEnvironments, e.Env.String(), e),
			c.journal(verbHalt, e.Env.String(), h),
		)
	})
}

// ResolveHalt ends a halt by an override. One that ended already stays as it
// is.
func (l *Lockfile) ResolveHalt(ctx context.Context, op Op, id, reason string) (Halt, error) {
	seq, err := haltSeq(id)
	if err != nil {
		return Halt{}, err
	}
	if reason == "" {
		return Halt{}, fail(ErrInvalid, "resolving %s needs a reason: it stands in every later view", id)
	}
	if err := checkReason(reason); err != nil {
		return Halt{}, err
	}
	return run(ctx, l, op, func(c *change) (Halt, error) {
		h, err := getHalt(c, seq)
		if err != nil || !h.Open() {
			return h, err
		}
		e, err := getEnvironment(c, h.Env)
		if err != nil {
			return h, err
		}
		if h, err = c.end(&e, h, HaltEnd{Reason: reason}); err != nil {
			return h, err
		}
		return h, errors.Join(
			put(c, bucketEnvironments, e.Env.String(), e),
			c.journal(verbResolve, e.Env.String(), h),
		)
	})
}
