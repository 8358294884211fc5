package api

import (
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Kinds of events.
const (
	EventPublished = "published"
	EventBound     = "bound"
	EventTagMoved  = "tag_moved"
	EventPinned    = "pinned"
	EventRefused   = "refused"
	EventReported  = "reported"
	EventHalted    = "halted"
	EventResolved  = "resolved"
)

// EventKinds lists them all.
var EventKinds = []string{EventPublished, EventBound, EventTagMoved, EventPinned, EventRefused, EventReported, EventHalted, EventResolved}

// Event is something that happened, as those who may read are told it. One
// line of the journal can be several: a pin set is one for each environment.
type Event struct {
	Seq    uint64    `json:"seq"` // of its journal line
	N      int       `json:"n"`   // among the events of that line, from 1
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	By     string    `json:"by"`
	Object string    `json:"object"` // NAME@VERSION, HUB/STAGE#REVISION, REPOSITORY:TAG, or the halt

	Env      ref.Env       `json:"environment,omitzero"`
	Revision uint64        `json:"revision,omitempty"`
	Name     string        `json:"name,omitempty"` // of the chart
	Version  string        `json:"version,omitempty"`
	Binding  ref.BindingID `json:"binding,omitzero"`
	Set      string        `json:"set,omitempty"`      // pin set
	PinKind  model.Kind    `json:"pin_kind,omitempty"` // of pinned and refused
	State    string        `json:"state,omitempty"`    // of reported; of a binding
	Halt     string        `json:"halt,omitempty"`
	Scope    model.Scope   `json:"scope,omitempty"` // of halted
	Reason   string        `json:"reason,omitempty"`
	URL      string        `json:"url,omitempty"`    // evidence of reported
	Before   ref.Digest    `json:"before,omitzero"`  // of tag_moved
	Digest   ref.Digest    `json:"digest,omitzero"`  // of tag_moved: now
	Marks    []string      `json:"marks,omitempty"`  // "break-glass", "downgrade", "superseded"
	Checks   []Check       `json:"checks,omitempty"` // of reported
}

// Events is a page of them. Next is the value of "after" for what follows.
type Events struct {
	Events []Event `json:"events"`
	Next   uint64  `json:"next"`
}

// WebhookRequest makes a webhook: a receiver of events. No kinds means all.
type WebhookRequest struct {
	URL   string   `json:"url"`
	Kinds []string `json:"kinds,omitempty"`
}

// Webhook is a receiver and how far it has been served.
type Webhook struct {
	ID      string    `json:"id"`
	URL     string    `json:"url"`
	Kinds   []string  `json:"kinds,omitempty"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Seq     uint64    `json:"seq"` // the journal up to this line is done
	At      time.Time `json:"at,omitzero"`
	Failed  int       `json:"failed,omitempty"` // tries since the last good one
	Error   string    `json:"last_error,omitempty"`
}

// WebhookSecret answers its creation; the secret is shown once.
type WebhookSecret struct {
	Webhook
	Secret string `json:"secret"`
}

// Webhooks lists them.
type Webhooks struct {
	Webhooks []Webhook `json:"webhooks"`
}
