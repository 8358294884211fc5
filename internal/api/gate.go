package api

import (
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Check is one thing that was looked at after a pin was deployed.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// ReportRequest says how the deployment of a revision went.
type ReportRequest struct {
	State  model.Verdict `json:"state"`
	Checks []Check       `json:"checks,omitempty"`
	URL    string        `json:"url,omitempty"`  // of the evidence, such as a CI run
	Note   string        `json:"note,omitempty"` // one sentence
	Exit   *int          `json:"exit,omitempty"` // exit code of the command that deployed
}

// Report is one of a revision's reports, which are numbered from 1.
type Report struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"`
	N        uint64        `json:"n"`
	Binding  ref.BindingID `json:"binding"`
	State    model.Verdict `json:"state"`
	Checks   []Check       `json:"checks,omitempty"`
	URL      string        `json:"url,omitempty"`
	Note     string        `json:"note,omitempty"`
	Exit     *int          `json:"exit,omitempty"`
	// Superseded says that another revision was pinned by then: the report is
	// kept and satisfies nothing.
	Superseded bool `json:"superseded,omitempty"`
	// Halt is the one that the report raised, Ended those that it ended.
	Halt  string    `json:"halt,omitempty"`
	Ended []string  `json:"ended,omitempty"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

// Reports of one revision, oldest first.
type Reports struct {
	Reports []Report `json:"reports"`
}

// Fence is what became of a pin's key: it made Pin, or it never will.
type Fence struct {
	Pinned bool `json:"pinned"`
	Pin    *Pin `json:"pin,omitempty"`
}

// GateRule is one rule's answer: the facts that it saw and, where it refuses,
// what would satisfy it, with the command.
type GateRule struct {
	Number  int             `json:"number"` // 1 to 5
	Rule    model.Rule      `json:"rule"`
	State   model.RuleState `json:"state"`
	Waived  string          `json:"waived,omitempty"` // why this pin passes it by
	Facts   []string        `json:"facts"`
	Want    string          `json:"want,omitempty"`
	Command string          `json:"command,omitempty"`
}

// Direction is where a pin takes each half: same, forward, back or unknown.
type Direction struct {
	Chart model.Heading `json:"chart"`
	Image model.Heading `json:"image"`
}

// ApprovalRequest approves a binding for an environment.
type ApprovalRequest struct {
	Binding ref.BindingID `json:"binding"`
	Reason  string        `json:"reason,omitempty"`
}

// Approval is one principal's word for a binding. It holds until the binding
// is pinned there.
type Approval struct {
	Env     ref.Env       `json:"environment"`
	Binding ref.BindingID `json:"binding"`
	Reason  string        `json:"reason,omitempty"`
	By      string        `json:"by"`
	At      time.Time     `json:"at"`
}

// Policy of an environment: what the gate asks for. Durations are written as
// "24h" or "90m".
type Policy struct {
	Accept    []model.Evidence `json:"accept,omitempty"`    // evidence; none: chart-values, base-layers and values-only
	Upstream  []string         `json:"upstream,omitempty"`  // stages of the same hub, or HUB/STAGE
	Soak      string           `json:"soak,omitempty"`      // that each upstream stage must have held the pair after it passed
	Approvals int              `json:"approvals,omitempty"` // by others than the one who pins
	Freeze    []Freeze         `json:"freeze,omitempty"`
	Halt      model.Scope      `json:"halt,omitempty"`     // scope of a failure; none: the hub
	Deadline  string           `json:"deadline,omitempty"` // for a verdict on a new revision
	Overdue   model.Overdue    `json:"overdue,omitempty"`  // what a missed deadline is: unknown (default) or halt
	Seal      model.Seal       `json:"seal,omitempty"`     // the sealed package that is served: guarded (default) or plain
}

// PolicyRequest sets a whole policy, or asks what that would change. A server
// that does not know dry_run refuses it, and so writes nothing either.
type PolicyRequest struct {
	Policy
	DryRun bool `json:"dry_run,omitempty"`
}

// PolicySet answers a new policy: the environment with the policy that this
// request set, or with dry_run would set, and the fields in which it differs
// from the one before.
type PolicySet struct {
	Environment
	Changes []PolicyChange `json:"changes"`
}

// PolicyChange is one field of a policy, in words; "" is nothing.
type PolicyChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// Freeze is a window in which nothing is pinned.
type Freeze struct {
	Cron   string `json:"cron"` // when it opens: minute, hour, day, month, weekday
	Zone   string `json:"zone"` // such as America/Los_Angeles
	For    string `json:"for"`
	Reason string `json:"reason,omitempty"`
}

// Halt stops pins in its scope until it has ended.
type Halt struct {
	ID       string        `json:"id"`
	Open     bool          `json:"open"`
	Scope    model.Scope   `json:"scope"`
	Env      ref.Env       `json:"environment"` // where the failure was
	Revision uint64        `json:"revision,omitempty"`
	Binding  ref.BindingID `json:"binding,omitzero"`
	Report   uint64        `json:"report,omitempty"`
	Cause    model.Cause   `json:"cause"`
	Reason   string        `json:"reason,omitempty"`
	By       string        `json:"by"`
	At       time.Time     `json:"at"`
	Ended    *HaltEnd      `json:"ended,omitempty"`
	// Awaits, of one that is open, is the revision that was pinned since where
	// the failure was, and whose pass ends the halt; none: no such pin yet.
	Awaits uint64 `json:"awaits,omitempty"`
}

// HaltEnd says how a halt ended: by a revision that passed, or by an override.
type HaltEnd struct {
	Revision uint64    `json:"revision,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
}

// Halts is a page of them, those that are open oldest first, all of them
// newest first.
type Halts struct {
	Halts []Halt `json:"halts"`
	Next  uint64 `json:"next,omitempty"`
}

// HaltRequest halts by hand. No scope is the one of the policy.
type HaltRequest struct {
	Scope  model.Scope `json:"scope,omitempty"`
	Reason string      `json:"reason"`
}

// EnvironmentStatus is an environment with all that is asked in the night.
type EnvironmentStatus struct {
	Environment
	Report   *Report       `json:"report,omitempty"`   // the last one about the current revision
	Verdict  model.Verdict `json:"verdict,omitempty"`  // on the current revision: passed or failed; "" is none
	Overdue  bool          `json:"overdue,omitempty"`  // no verdict came by the deadline
	Waited   string        `json:"waited,omitempty"`   // for a verdict, where there is a deadline
	Held     string        `json:"held"`               // by the current revision since it passed, un-halted
	Stages   []Stage       `json:"upstream_stages"`    // what each upstream stage says of the current pair
	Approved []string      `json:"approved,omitempty"` // who approved the current pair before it was pinned
	// Approvals are those that no pin has used yet, of other pairs.
	Approvals []Approval `json:"approvals"`
	Halts     []Halt     `json:"halts"`          // that stop it
	Next      *Next      `json:"next,omitempty"` // none: nothing is open
}

// Next is what an environment needs before anything else moves it on.
type Next struct {
	Step     model.Step `json:"step"`
	Env      ref.Env    `json:"environment"`        // where: a halt may come from another one
	Revision uint64     `json:"revision,omitempty"` // that is to be deployed and reported
	Halt     string     `json:"halt,omitempty"`     // that this ends
}

// Went is what is known of how the current revision went. Nothing is never a
// pass.
func (e EnvironmentStatus) Went() string {
	switch {
	case e.Verdict != "":
		return string(e.Verdict)
	case e.Overdue:
		return string(model.OverdueUnknown)
	case e.Report != nil:
		return string(e.Report.State)
	}
	return "none"
}

// Stage is what an upstream stage says of a pair.
type Stage struct {
	Env      ref.Env       `json:"environment"`
	Current  bool          `json:"current"`          // it is pinned to the pair now
	Pinned   uint64        `json:"pinned,omitempty"` // its revision now
	Verdict  model.Verdict `json:"verdict,omitempty"`
	Passed   bool          `json:"passed"`
	Revision uint64        `json:"revision,omitempty"` // that the verdict is about
	At       time.Time     `json:"at,omitzero"`
	Held     string        `json:"held"`
	Need     string        `json:"need"`
	Overdue  bool          `json:"overdue,omitempty"`
	OK       bool          `json:"ok"`
}

// Status is that of all environments, and every halt that is open.
type Status struct {
	Environments []EnvironmentStatus `json:"environments"`
	Halts        []Halt              `json:"halts"`
}
