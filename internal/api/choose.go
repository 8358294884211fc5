package api

import (
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// GateRequest is the body of POST …/gate: the pin that is asked about, or by
// what the server chooses its pair. Without If-Match it is judged on the
// revision that is current, which the verdict names.
type GateRequest struct {
	PinRequest `openapi:"optional"` // without a binding where Choose is given
	Choose     *Choice              `json:"choose,omitempty"`
}

// Choice says by what the server chooses the pair: exactly one of Version,
// Latest, Passed, Revision and From. A choice that cannot be made is an error
// with CodeGate and a rule, as a refused pin is.
type Choice struct {
	Version string `json:"version,omitempty"`
	// Latest is the highest version that can be taken, by SemVer, among stable
	// ones unless Devel.
	Latest bool `json:"latest,omitempty"`
	Devel  bool `json:"devel,omitempty"`
	// Images, with Version or Latest: the version's newest binding with these
	// images, references as people write them. Without them it is the newest
	// one that the environment accepts and that fits what it runs.
	Images map[ref.Role]string `json:"images,omitempty"`
	// Passed and Revision are of a rollback: to the newest pair that passed here
	// and is not the present one, or to that of a revision.
	Passed   bool   `json:"passed,omitempty"`
	Revision uint64 `json:"revision,omitempty"`
	// From is of a promote: what this environment is pinned to now.
	From *ref.Env `json:"from,omitempty"`
}

// GateVerdict answers a gate request: what the gate would say to this pin now.
// All of it is read from one state of the server.
type GateVerdict struct {
	Env       ref.Env       `json:"environment"`
	Revision  uint64        `json:"revision"` // that the environment is at
	Binding   ref.BindingID `json:"binding"`
	Name      string        `json:"name"`
	Version   string        `json:"version"`
	Kind      model.Kind    `json:"kind"`
	From      string        `json:"from,omitempty"` // what the pin's From has to be: promote and rollback
	Pass      bool          `json:"pass"`
	Refusal   *Error        `json:"refusal,omitempty"` // as the pin would be refused
	Direction *Direction    `json:"direction,omitempty"`
	Rules     []GateRule    `json:"rules"` // all of them, in the order in which they are asked

	Pair    *Binding `json:"pair"`              // that is judged, whole
	Pin     *Pin     `json:"pin,omitempty"`     // that the environment has now; none before the first
	Already bool     `json:"already,omitempty"` // it is pinned to the pair already

	// PassedOver are what would have been chosen before this pair and cannot be
	// taken: of Latest the higher versions, of Passed the later revisions.
	PassedOver []PassedOver `json:"passed_over,omitempty"`
	// PublishedLast is, of Latest, the version that was published after all
	// others, where that is not the highest.
	PublishedLast string `json:"published_last,omitempty"`
	// ByVersion is where the chart goes by SemVer, where its direction, which
	// is by the order of publication, is the opposite.
	ByVersion model.Heading `json:"by_version,omitempty"`
}

// PassedOver is a version that could not be taken.
type PassedOver struct {
	Version  string `json:"version"`
	Revision uint64 `json:"revision,omitempty"` // of Passed
	Why      string `json:"why"`
	Command  string `json:"command,omitempty"` // that shows it, or mends it
}
