package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// PolicySet is an environment with the policy that was set, and the fields in
// which it differs from the one before.
type PolicySet struct {
	Environment
	Changes []PolicyChange `json:"changes,omitempty"`
}

// PolicyChange is one field; "" is nothing.
type PolicyChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// SetPolicy replaces the policy of an environment. One that asks for the same
// changes nothing.
func (l *Lockfile) SetPolicy(ctx context.Context, op Op, env ref.Env, p Policy) (PolicySet, error) {
	return run(ctx, l, op, func(c *change) (PolicySet, error) {
		s, old, err := newPolicy(c, c.now, env, p)
		if err != nil || len(s.Changes) == 0 {
			return s, err
		}
		if err := checkUpstream(c, s.Environment, s.Policy.Upstream); err != nil {
			return s, err
		}
		return s, errors.Join(
			put(c, bucketEnvironments, env.String(), s.Environment),
			c.journal(verbPolicy, env.String(), policyChange{Old: old, New: s.Policy}),
		)
	})
}

// TryPolicy is SetPolicy that writes nothing. What the policy asks of other
// environments is not looked at: they may be about to change, or to be made.
func (l *Lockfile) TryPolicy(ctx context.Context, env ref.Env, p Policy) (PolicySet, error) {
	now := l.time()
	return view(ctx, l, func(t store.Tx) (PolicySet, error) {
		s, _, err := newPolicy(t, now, env, p)
		return s, err
	})
}

// policyChange is the detail of its journal line.
type policyChange struct {
	Old Policy `json:"old"`
	New Policy `json:"new"`
}

// newPolicy is the environment with the policy p, and the policy that it has.
func newPolicy(t store.Tx, now time.Time, env ref.Env, p Policy) (s PolicySet, old Policy, err error) {
	if s.Environment, err = getEnvironment(t, env); err != nil {
		return s, old, err
	}
	old = s.Policy
	if p, err = checkPolicy(now, s.Environment, p); err != nil {
		return s, old, err
	}
	if s.Changes = p.changes(old); len(s.Changes) > 0 {
		s.Policy = p
	}
	return s, old, nil
}

// changes lists the fields in which p asks for something else than old.
func (p Policy) changes(old Policy) []PolicyChange {
	var out []PolicyChange
	was := old.fields()
	for i, f := range p.fields() {
		if f[1] != was[i][1] {
			out = append(out, PolicyChange{Field: f[0], Old: was[i][1], New: f[1]})
		}
	}
	return out
}

// fields are what the policy asks for, each by its name; what stands in no
// order is sorted.
func (p Policy) fields() [][2]string {
	accept := slices.SortedFunc(slices.Values(p.Accept), func(a, b model.Evidence) int { return cmp.Compare(a.Rank(), b.Rank()) })
	var upstream, freeze []string
	for _, u := range p.Upstream {
		upstream = append(upstream, u.String())
	}
	slices.Sort(upstream)
	for _, f := range p.Freeze {
		freeze = append(freeze, f.String())
	}
	approvals, deadline := "", ""
	if p.Approvals > 0 {
		approvals = fmt.Sprint(p.Approvals)
	}
	if p.Deadline > 0 {
		deadline = fmt.Sprintf("%s, then %s", p.Deadline, cmp.Or(p.Overdue, model.OverdueUnknown))
	}
	return [][2]string{
		{"accepts", model.Join(accept, ", ")}, {"upstream", strings.Join(upstream, ", ")}, {"soak", p.Soak.orNone()}, {"approvals", approvals},
		{"freeze", strings.Join(freeze, "; ")}, {"failure halts", string(p.HaltScope())}, {"deadline", deadline}, {"seal", string(cmp.Or(p.Seal, model.SealGuarded))},
	}
}

// String writes the window in a line.
func (f Freeze) String() string {
	s := fmt.Sprintf("%s for %s (%s)", f.Cron, f.For, f.Zone)
	if f.Reason != "" {
		s += ": " + f.Reason
	}
	return s
}

// orNone is the duration, none as "".
func (d Duration) orNone() string {
	if d == 0 {
		return ""
	}
	return d.String()
}
