package api

import (
	"time"

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
	State  string  `json:"state"` // "started", "passed", "failed"
	Checks []Check `json:"checks,omitempty"`
	URL    string  `json:"url,omitempty"`  // of the evidence, such as a CI run
	Note   string  `json:"note,omitempty"` // one sentence
	Exit   *int    `json:"exit,omitempty"` // exit code of the command that deployed
}

// Report is one of a revision's reports, which are numbered from 1.
type Report struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"`
	N        uint64        `json:"n"`
	Binding  ref.BindingID `json:"binding"`
	State    string        `json:"state"`
	Checks   []Check       `json:"checks,omitempty"`
	URL      string        `json:"url,omitempty"`
	Note     string        `json:"note,omitempty"`
	Exit     *int          `json:"exit,omitempty"`
	// Superseded says that another revision was pinned by then: the report is
	// kept and satisfies nothing.
	Superseded bool      `json:"superseded,omitempty"`
	By         string    `json:"by"`
	At         time.Time `json:"at"`
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

// GateVerdict answers a dry run: what the gate would say to this pin now.
type GateVerdict struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"` // that the pin would build on
	Binding  ref.BindingID `json:"binding"`
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Kind     string        `json:"kind"`
	Pass     bool          `json:"pass"`
	Refusal  *Error        `json:"refusal,omitempty"` // as the pin would be refused
	Rules    []GateRule    `json:"rules"`             // all of them, in the order in which they are asked
}

// GateRule is one rule's answer. Of a rule that refuses, Facts says what it
// saw, and Want what would satisfy it, with the command.
type GateRule struct {
	Rule  string `json:"rule"`
	State string `json:"state"` // "passed", "refused", "waived", "unknown"
	Facts string `json:"facts"`
	Want  string `json:"want,omitempty"`
}
