package lock

import (
	"context"
	"errors"
	"slices"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

const (
	// maxApproved is how many bindings can wait in one environment with
	// approvals. For one more the approvals of the oldest are forgotten.
	maxApproved = 16
	// maxApprovers is how many can approve one binding.
	maxApprovers = 20
)

// Approval is one principal's word for a binding in an environment. It holds
// until the binding is pinned there, or sixteen others were approved since; to
// pin it again later takes new ones.
type Approval struct {
	Env     ref.Env       `json:"env"`
	Binding ref.BindingID `json:"binding"`
	Reason  string        `json:"reason,omitempty"`
	By      Actor         `json:"by"`
	At      time.Time     `json:"at"`
	Seq     uint64        `json:"seq"`
}

// approvals is the stored form.
type approvals struct {
	Format    int        `json:"format"`
	Approvals []Approval `json:"approvals"`
}

// same reports whether two actors are one principal: by name, or by token.
func (a Actor) same(b Actor) bool {
	return a.Name == b.Name || a.TokenID != "" && a.TokenID == b.TokenID
}

// revokedToken reports whether the token of a was revoked since: who found it
// may have spoken, or somebody who has no say any more.
func revokedToken(t store.Tx, a Actor) (bool, error) {
	if a.TokenID == "" {
		return false, nil
	}
	tok, err := get[Token](t, bucketTokens, a.TokenID)
	if errors.Is(err, store.ErrNoKey) {
		err = nil
	}
	return tok.Revoked, err
}

// getApprovals returns the approvals of the binding in e that still hold.
func getApprovals(t store.Tx, e Environment, id ref.BindingID) ([]Approval, error) {
	if !slices.Contains(e.Approved, id) {
		return nil, nil
	}
	a, err := get[approvals](t, bucketApprovals, summaryKey(e.Env, id))
	if errors.Is(err, store.ErrNoKey) {
		err = nil
	}
	return a.Approvals, err
}

// NewApproval approves one binding in one environment.
type NewApproval struct {
	Env     ref.Env
	Binding ref.BindingID
	Reason  string
}

// Approve says that the binding may be pinned in the environment. Who pins it
// must be somebody else. Approving again changes nothing.
func (l *Lockfile) Approve(ctx context.Context, op Op, na NewApproval) (Approval, error) {
	if err := checkReason(na.Reason); err != nil {
		return Approval{}, err
	}
	return run(ctx, l, op, func(c *change) (Approval, error) {
		e, err := getEnvironment(c, na.Env)
		if err != nil {
			return Approval{}, err
		}
		b, err := getBinding(c, na.Binding)
		if err != nil {
			return Approval{}, err
		}
		if b.Chart.Name() != e.Chart || b.State != model.Verified {
			return Approval{}, fail(ErrRefused, "binding %s of %s (%s) cannot be pinned in %s, which runs chart %q: there is nothing to approve", b.ID, b.Chart, b.State, e.Env, e.Chart)
		}
		have, err := getApprovals(c, e, b.ID)
		if err != nil {
			return Approval{}, err
		}
		for _, a := range have {
			if gone, err := revokedToken(c, a.By); err != nil || a.By.same(op.Actor) && !gone {
				return a, err
			}
		}
		if len(have) >= maxApprovers {
			return Approval{}, fail(ErrRefused, "%s has %d approvals in %s: that is enough", b.Chart, len(have), e.Env)
		}
		seq, err := c.seq()
		if err != nil {
			return Approval{}, err
		}
		a := Approval{Env: e.Env, Binding: b.ID, Reason: na.Reason, By: op.Actor, At: c.now, Seq: seq}
		e.approved(a)
		return a, errors.Join(
			put(c, bucketApprovals, summaryKey(e.Env, b.ID), approvals{FormatVersion, append(have, a)}),
			put(c, bucketEnvironments, e.Env.String(), e),
			c.journal(verbApprove, e.Env.String(), a),
		)
	})
}

// approved notes that the binding has approvals that hold.
func (e *Environment) approved(a Approval) {
	if slices.Contains(e.Approved, a.Binding) {
		return
	}
	if len(e.Approved) >= maxApproved {
		e.Approved = e.Approved[1:]
	}
	e.Approved = append(e.Approved, a.Binding)
}

// pinned is what a pin changes in its environment: the revision, the approvals
// that it used up, and the one fix that a halt lets through.
func (e *Environment) pinned(p Pin) {
	e.Revision = p.Revision
	e.Approved = slices.DeleteFunc(e.Approved, func(id ref.BindingID) bool { return id == p.Binding })
	if len(e.Approved) == 0 {
		e.Approved = nil
	}
	if p.Kind == model.Fix && len(e.Halts) > 0 {
		e.Fixed = p.Revision
	}
}

// Approvals returns the approvals of a binding in an environment that hold.
func (l *Lockfile) Approvals(ctx context.Context, env ref.Env, id ref.BindingID) ([]Approval, error) {
	return view(ctx, l, func(t store.Tx) ([]Approval, error) {
		e, err := getEnvironment(t, env)
		if err != nil {
			return nil, err
		}
		return getApprovals(t, e, id)
	})
}
