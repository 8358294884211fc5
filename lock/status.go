package lock

import (
	"context"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// EnvironmentStatus is what an on-call person asks of an environment.
type EnvironmentStatus struct {
	EnvironmentState
	Report    *Report          `json:"report,omitempty"`  // the last one about the current revision
	Verdict   model.Verdict    `json:"verdict,omitempty"` // on the current revision; empty is none yet
	Overdue   bool             `json:"overdue,omitempty"` // none came by the deadline: unknown
	Waited    Duration         `json:"waited,omitzero"`   // for a verdict, counted where there is a deadline
	Held      Duration         `json:"held"`              // by the current revision since it passed
	Upstream  []UpstreamStatus `json:"upstream"`          // on the current binding
	Halts     []OpenHalt       `json:"open_halts"`        // that stop it
	Approvals []Approval       `json:"approvals"`         // that no pin has used yet, of all bindings
	Next      Next             `json:"next,omitzero"`     // zero: nothing is open
}

// Next is what an environment needs before anything else moves it on.
type Next struct {
	Step     model.Step `json:"step"`
	Env      ref.Env    `json:"environment"`        // where: a halt may come from another one
	Revision uint64     `json:"revision,omitempty"` // that waits for a report
	Halt     string     `json:"halt,omitempty"`     // that this ends
}

// next is the step that the state asks for; of several halts that which does
// not wait for a person alone.
func (out *EnvironmentStatus) next() Next {
	if i := slices.IndexFunc(out.Halts, func(h OpenHalt) bool { return h.Cause != model.CauseHand }); i >= 0 {
		return out.Halts[i].step()
	}
	switch {
	case len(out.Halts) > 0:
		return out.Halts[0].step()
	case out.Pin == nil:
		return Next{Step: model.StepPin, Env: out.Env}
	case out.Verdict == "":
		return Next{Step: model.StepReport, Env: out.Env, Revision: out.Revision}
	}
	return Next{}
}

// Status returns all about one environment, from one snapshot.
func (l *Lockfile) Status(ctx context.Context, env ref.Env) (EnvironmentStatus, error) {
	return view(ctx, l, func(t store.Tx) (EnvironmentStatus, error) {
		e, err := getEnvironment(t, env)
		if err != nil {
			return EnvironmentStatus{}, err
		}
		return status(t, e)
	})
}

// Overview is the status of all environments in order of name, and every halt
// that is open.
type Overview struct {
	Environments []EnvironmentStatus
	Halts        []OpenHalt
}

// Statuses returns all about all environments, from one snapshot.
func (l *Lockfile) Statuses(ctx context.Context) (Overview, error) {
	return view(ctx, l, func(t store.Tx) (Overview, error) {
		var out Overview
		all, err := list[Environment](t, bucketEnvironments, store.ScanOptions{})
		if err != nil {
			return out, err
		}
		for _, e := range all {
			s, err := status(t, e)
			if err != nil {
				return out, err
			}
			out.Environments = append(out.Environments, s)
		}
		out.Halts, err = openHalts(t)
		return out, err
	})
}

func status(t store.Tx, e Environment) (EnvironmentStatus, error) {
	var out EnvironmentStatus
	var err error
	if out.EnvironmentState, err = environmentState(t, e); err != nil {
		return out, err
	}
	open, err := haltsOn(t, e.Env)
	if err != nil {
		return out, err
	}
	for _, h := range open {
		o, err := h.open(t)
		if err != nil {
			return out, err
		}
		out.Halts = append(out.Halts, o)
	}
	for _, id := range e.Approved {
		have, err := getApprovals(t, e, id)
		if err != nil {
			return out, err
		}
		out.Approvals = append(out.Approvals, have...)
	}
	if out.Pin == nil {
		out.Next = out.next()
		return out, nil
	}
	for _, up := range e.Policy.Upstream {
		u, err := upstreamOf(t, e, up, out.Pin.Binding)
		if err != nil {
			return out, err
		}
		out.Upstream = append(out.Upstream, u)
	}
	err = out.judge(t)
	out.Next = out.next()
	return out, err
}

// judge adds what the reports say of the current revision.
func (out *EnvironmentStatus) judge(t store.Tx) error {
	last, err := lastReport(t, out.Env, out.Revision)
	if err != nil {
		return err
	}
	if last.N > 0 {
		out.Report = &last
	}
	s, err := getSummary(t, out.Env, out.Pin.Binding)
	if err != nil {
		return err
	}
	if s.Revision == out.Revision {
		out.Verdict, out.Held = s.Verdict, s.Held
		return nil
	}
	out.Overdue = s.overdue(out.Environment)
	if s.Waiting == out.Revision {
		out.Waited = s.Waited
	}
	return nil
}
