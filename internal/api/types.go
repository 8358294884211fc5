package api

import (
	"encoding/json"
	"slices"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Chart is a published chart version.
type Chart struct {
	Name         string           `json:"name"`
	Version      string           `json:"version"`
	AppVersion   string           `json:"app_version,omitempty"`
	Description  string           `json:"description,omitempty"`
	Package      ref.Digest       `json:"package"`
	Content      ref.Digest       `json:"content"`
	Size         int64            `json:"size"` // bytes
	Seq          uint64           `json:"seq"`  // order of publication, not of versions
	Created      time.Time        `json:"created"`
	OrderUnknown bool             `json:"order_unknown,omitempty"`
	Imported     bool             `json:"imported,omitempty"`
	State        model.ChartState `json:"state"`
	Reason       string           `json:"reason,omitempty"`
	By           string           `json:"by,omitempty"`
	Provenance   bool             `json:"provenance"`
	Images       []ChartImage     `json:"images"`
	Warnings     []string         `json:"warnings,omitempty"`
	Binding      *Binding         `json:"binding,omitempty"` // the default one
	Bindings     []ref.BindingID  `json:"bindings"`          // oldest first
	Unbound      string           `json:"unbound,omitempty"` // why it is not bound
	// Rendering is what rendering the package showed, of one version that is
	// asked for: a trace, which says its version.
	Rendering json.RawMessage `json:"rendering,omitempty"`
}

// ChartImage is an image that the chart's values name.
type ChartImage struct {
	Role       ref.Role `json:"role"`
	Repository string   `json:"repository"`
	Tag        string   `json:"tag"`
	Digest     string   `json:"digest,omitempty"`
	File       string   `json:"file"`
	Path       string   `json:"path"`
	Override   bool     `json:"override,omitempty"`
	Base       string   `json:"base,omitempty"`
	Required   bool     `json:"required,omitempty"`
}

// BoundImage is one image of a binding.
type BoundImage struct {
	Role     ref.Role       `json:"role"`
	Image    ref.Image      `json:"image"`
	Tag      string         `json:"tag,omitempty"`
	Base     ref.Image      `json:"base,omitzero"`
	BaseTag  string         `json:"base_tag,omitempty"`
	Evidence model.Evidence `json:"evidence"`
	Required bool           `json:"required"`
}

// Tagged is the image by its tag, or by its repository alone.
func (i BoundImage) Tagged() string {
	if i.Tag == "" {
		return i.Image.Repository.String()
	}
	return i.Image.Repository.String() + ":" + i.Tag
}

// String is the image by its tag and its digest.
func (i BoundImage) String() string { return i.Tagged() + "@" + i.Image.Digest.String() }

// Binding is a chart version and its images, proven (or declared) to belong together.
type Binding struct {
	ID       ref.BindingID      `json:"id"`
	Name     string             `json:"name"`
	Version  string             `json:"version"`
	Package  ref.Digest         `json:"package"`
	Images   []BoundImage       `json:"images"`
	Evidence model.Evidence     `json:"evidence"`
	State    model.BindingState `json:"state"`
	Reason   string             `json:"reason,omitempty"`
	Sealed   ref.Digest         `json:"sealed,omitzero"`
	Unsealed string             `json:"unsealed,omitempty"`
	Unshown  string             `json:"unshown,omitempty"` // of values-only: why no rendering showed what is bound
	Seal     *Seal              `json:"seal,omitempty"`    // absent: by the first recipe
	At       time.Time          `json:"at"`
	By       string             `json:"by"`
	Moved    []string           `json:"moved,omitempty"`
}

// Seal is how a package was sealed.
type Seal struct {
	Record    json.RawMessage `json:"record"`              // by which anybody can check it
	Unproven  string          `json:"unproven,omitempty"`  // why it is not proven by rendering
	Unguarded string          `json:"unguarded,omitempty"` // why it carries no guard
	Forms     []SealedForm    `json:"forms,omitempty"`     // the binding's own first
}

// Guarded says whether the sealed package of that digest refuses other images.
func (s *Seal) Guarded(sealed ref.Digest) bool {
	return s != nil && len(s.Forms) > 1 && slices.Contains(s.Forms, SealedForm{Sealed: sealed})
}

// SealedForm is one of the sealed packages of a binding.
type SealedForm struct {
	Plain  bool       `json:"plain,omitempty"` // without its guards
	Sealed ref.Digest `json:"sealed"`
}

// Environment is a hub's stage with its current pin.
type Environment struct {
	Env      ref.Env          `json:"environment"`
	Chart    string           `json:"chart"`
	Accept   []model.Evidence `json:"accept"`
	Upstream []string         `json:"upstream,omitempty"` // stage names of the same hub, or hub/stage
	Policy   Policy           `json:"policy"`
	Revision uint64           `json:"revision"`
	Created  time.Time        `json:"created"`
	By       string           `json:"by"`
	// ChartState is "yanked" or "purged" where the pinned chart version was
	// withdrawn after it was pinned.
	ChartState model.ChartState `json:"chart_state,omitempty"`
	Pin        *Pin             `json:"pin,omitempty"`
	Binding    *Binding         `json:"binding,omitempty"`
}

// Pin is one revision of an environment.
type Pin struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"`
	Binding  ref.BindingID `json:"binding"`
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Images   []BoundImage  `json:"images,omitempty"`
	Kind     model.Kind    `json:"kind"`
	From     string        `json:"from,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Commit   string        `json:"commit,omitempty"`
	Set      string        `json:"set,omitempty"`
	// Downgrade is why a half went back, BreakGlass why the gate was passed by.
	Downgrade  string     `json:"downgrade,omitempty"`
	BreakGlass string     `json:"break_glass,omitempty"`
	Direction  *Direction `json:"direction,omitempty"` // from the pin before it
	By         string     `json:"by"`
	At         time.Time  `json:"at"`
}

// Line is a line of the journal.
type Line struct {
	Seq    uint64          `json:"seq"`
	At     time.Time       `json:"at"`
	By     string          `json:"by"`
	Token  string          `json:"token,omitempty"`
	Source string          `json:"source,omitempty"`
	Verb   string          `json:"verb"`
	Object string          `json:"object"`
	Result string          `json:"result"`
	Detail json.RawMessage `json:"detail,omitempty"`
}

// Token describes a token without its secret.
type Token struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Scopes   []string  `json:"scopes"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"` // zero: never
	LastUsed time.Time `json:"last_used,omitzero"`
	Revoked  bool      `json:"revoked,omitempty"`
	By       string    `json:"by,omitempty"`
}

// Requests and their answers.

// PublishResult answers a publish.
type PublishResult struct {
	Saved   bool  `json:"saved"`   // what push plugins look for
	Existed bool  `json:"existed"` // the same content was already published
	Chart   Chart `json:"chart"`
}

// BindRequest binds a chart version. With no images, those that the chart
// names are resolved.
type BindRequest struct {
	Images  map[ref.Role]string `json:"images,omitempty"` // role to REPOSITORY:TAG or REPOSITORY@DIGEST
	Declare bool                `json:"declare,omitempty"`
	Reason  string              `json:"reason,omitempty"`
}

// ReasonRequest is the body of yank, purge and revoke.
type ReasonRequest struct {
	Reason string `json:"reason,omitempty"`
}

// ResolveRequest is the body of POST /halts/ID/resolve.
type ResolveRequest struct {
	Reason string `json:"reason"`
}

// CreateEnvironment is the body of POST /environments.
type CreateEnvironment struct {
	Env      ref.Env          `json:"environment"`
	Chart    string           `json:"chart"`
	Accept   []model.Evidence `json:"accept,omitempty"`
	Upstream []string         `json:"upstream,omitempty"`
}

// PinRequest is the body of POST …/pins. If-Match carries the base revision,
// Idempotency-Key the key.
type PinRequest struct {
	Binding ref.BindingID `json:"binding"`
	Reason  string        `json:"reason,omitempty"`
	Kind    model.Kind    `json:"kind,omitempty"` // none: bump
	From    string        `json:"from,omitempty"` // promote: HUB/STAGE; rollback: the revision
	Commit  string        `json:"commit,omitempty"`
	// Downgrade is the reason for a half that goes back; BreakGlass that for
	// passing the gate, and needs the scope break-glass on the environment.
	Downgrade  string `json:"downgrade,omitempty"`
	BreakGlass string `json:"break_glass,omitempty"`
}

// PinSetRequest pins several environments in one transaction.
type PinSetRequest struct {
	Pins       []SetPin   `json:"pins"`
	Kind       model.Kind `json:"kind,omitempty"`
	Reason     string     `json:"reason,omitempty"`
	Commit     string     `json:"commit,omitempty"`
	Downgrade  string     `json:"downgrade,omitempty"`
	BreakGlass string     `json:"break_glass,omitempty"`
}

// SetPin is one pin of a set; Revision is the base revision.
type SetPin struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"`
	Binding  ref.BindingID `json:"binding"`
	From     string        `json:"from,omitempty"`
}

// PinSetResult answers a pin set.
type PinSetResult struct {
	Set  string `json:"set"`
	Pins []Pin  `json:"pins"`
}

// AdoptRequest makes revision 1 from what runs today.
type AdoptRequest struct {
	Chart   string              `json:"chart,omitempty"` // needed where the environment does not exist yet
	Version string              `json:"version"`
	Images  map[ref.Role]string `json:"images,omitempty"`
	Reason  string              `json:"reason"`
	// AssumePassed counts what runs today as passed: a report says so.
	AssumePassed bool `json:"assume_passed,omitempty"`
}

// TokenRequest makes a token. TTL is a Go duration or "0" for never; "" is the default of 90 days.
type TokenRequest struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
	TTL    string   `json:"ttl,omitempty"`
}

// TokenSecret answers it; the secret is shown once.
type TokenSecret struct {
	Token
	Secret string `json:"secret"`
}

// WhoAmI describes the caller's credential.
type WhoAmI struct {
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	Anonymous bool     `json:"anonymous"`
	Version   string   `json:"version"` // of the server
}

// Lists. Next, where present, is the value of "after" (or "before") for the next page.
type (
	Charts struct {
		Charts []Chart `json:"charts"`
		Next   string  `json:"next,omitempty"`
	}
	Bindings struct {
		Bindings []Binding `json:"bindings"`
	}
	Environments struct {
		Environments []Environment `json:"environments"`
	}
	Pins struct {
		Pins []Pin  `json:"pins"` // newest first
		Next uint64 `json:"next,omitempty"`
	}
	Journal struct {
		Lines []Line `json:"lines"`
		Next  uint64 `json:"next,omitempty"`
	}
	Tokens struct {
		Tokens []Token `json:"tokens"`
	}
)
