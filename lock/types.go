package lock

import (
	"encoding/json"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Actor is the authenticated principal of a change. Name is the token's name,
// never a flag of the caller's.
type Actor struct {
	Name    string `json:"name"`
	TokenID string `json:"token,omitempty"`
	Source  string `json:"source,omitempty"` // remote address
}

// Op carries what every change needs: who, and how a repetition is known.
type Op struct {
	Actor Actor
	// Key is the Idempotency-Key, "" for none. It is bound to Route (verb and
	// object, such as "pin data8/prod") and to Body.
	Key   string
	Route string
	Body  ref.Digest // digest of the request as the caller sent it
}

// ChartVersion is an immutable published package; only its state, its
// provenance file and its bindings change.
type ChartVersion struct {
	Format           int              `json:"format"` // 1
	Chart            ref.ChartVersion `json:"chart"`
	Package          ref.Digest       `json:"package"`
	Content          ref.Digest       `json:"content"` // the same after a repack
	Size             int64            `json:"size"`
	Seq              uint64           `json:"seq"`
	Created          time.Time        `json:"created"`
	OrderUnknown     bool             `json:"order_unknown,omitempty"` // imported behind newer ones, or undated
	Imported         bool             `json:"imported,omitempty"`
	Lenient          bool             `json:"lenient,omitempty"`           // name or version that only Helm's reader accepts
	BareRequirements bool             `json:"bare_requirements,omitempty"` // the metadata leaves out requirements.yaml
	Metadata         json.RawMessage  `json:"metadata,omitempty"`
	Images           []ChartImage     `json:"images,omitempty"`
	Warnings         []string         `json:"warnings,omitempty"`
	Provenance       ref.Digest       `json:"provenance,omitzero"`
	State            model.ChartState `json:"state,omitempty"`
	Why              string           `json:"why,omitempty"` // reason of the state
	By               string           `json:"by,omitempty"`  // who published it
	Default          ref.BindingID    `json:"default,omitzero"`
	Bindings         []ref.BindingID  `json:"bindings,omitempty"`   // oldest first
	Unbound          string           `json:"unbound,omitempty"`    // why the last attempt to bind failed
	BindAgain        bool             `json:"bind_again,omitempty"` // the failure was not the image's: it may go away
}

// ChartImage is an image that a chart's values name.
type ChartImage struct {
	Role       ref.Role `json:"role"`
	Repository string   `json:"repository"` // as written in the values
	Tag        string   `json:"tag"`        // as written; an empty one is already appVersion
	Digest     string   `json:"digest,omitempty"`
	File       string   `json:"file"`     // the values file that holds it, nested packages joined by "!"
	Path       string   `json:"path"`     // of the image map in that file, dots between keys
	Override   bool     `json:"override"` // a wrapper's override of its subchart's image
	// Base is, for an override, the image that the chart which owns the
	// templates names itself: "repository:tag".
	Base     string `json:"base,omitempty"`
	Required bool   `json:"required,omitempty"`
	Problem  string `json:"problem,omitempty"` // why it cannot be bound as it is
}

// Observation is a digest seen behind a tag.
type Observation struct {
	Digest ref.Digest `json:"digest"`
	At     time.Time  `json:"at"`
	By     string     `json:"by,omitempty"`
}

// Image is what a registry said of an image when it was read.
type Image struct {
	Format    int               `json:"format"`
	Image     ref.Image         `json:"image"`
	MediaType string            `json:"media_type"`
	Platforms []Platform        `json:"platforms"`
	Labels    map[string]string `json:"labels,omitempty"` // of the first platform, "org.opencontainers.image." only
	Seq       uint64            `json:"seq"`              // of the first chart that names it, else of its first observation
	Named     bool              `json:"named,omitempty"`  // a chart names it
	// OrderUnknown says that only charts name it whose own order is unknown.
	OrderUnknown bool      `json:"order_unknown,omitempty"`
	At           time.Time `json:"at"`
}

// Platform is one platform of an image: "os/arch[/variant]".
type Platform struct {
	Platform string       `json:"platform"`
	Config   ref.Digest   `json:"config"`
	DiffIDs  []ref.Digest `json:"diff_ids"`
}

// BoundImage is one image of a binding.
type BoundImage struct {
	Role     ref.Role       `json:"role"`
	Image    ref.Image      `json:"image"`
	Tag      string         `json:"tag,omitempty"` // the tag it was found by
	Base     ref.Image      `json:"base,omitzero"` // the chart's own image, where another one is bound
	BaseTag  string         `json:"base_tag,omitempty"`
	Evidence model.Evidence `json:"evidence"`
	Required bool           `json:"required"`
}

// Binding is an immutable chart+image pair; only its state changes.
type Binding struct {
	Format   int                `json:"format"`
	ID       ref.BindingID      `json:"id"`
	Chart    ref.ChartVersion   `json:"chart"`
	Package  ref.Digest         `json:"package"`
	Images   []BoundImage       `json:"images"`   // in order of role
	Evidence model.Evidence     `json:"evidence"` // the weakest of the required images
	State    model.BindingState `json:"state"`
	Why      string             `json:"why,omitempty"` // of a declaration, adoption or revocation
	Sealed   ref.Digest         `json:"sealed,omitzero"`
	SealSize int64              `json:"seal_size,omitempty"`
	Unsealed string             `json:"unsealed,omitempty"` // why there is no sealed package
	Unshown  string             `json:"unshown,omitempty"`  // of values-only: why no rendering showed what is bound
	Seal     *Seal              `json:"seal,omitempty"`     // how it was sealed; nil: by the first recipe
	At       time.Time          `json:"at"`
	By       string             `json:"by"`
	Moved    []string           `json:"moved,omitempty"` // tags that point elsewhere today
}

// Seal is how a package was sealed, or what would have been sealed.
type Seal struct {
	Record    json.RawMessage `json:"record"`              // of internal/sealing, by which it is made again
	Unproven  string          `json:"unproven,omitempty"`  // why it is not proven by rendering
	Unguarded string          `json:"unguarded,omitempty"` // why it carries no guard
	// Forms are the sealed packages that differ from the binding's in what
	// policies may ask for.
	Forms []SealedForm `json:"forms,omitempty"`
}

// SealedForm is a sealed package of other form than the binding's own.
type SealedForm struct {
	Plain  bool       `json:"plain,omitempty"` // without its guards
	Sealed ref.Digest `json:"sealed"`
	Size   int64      `json:"size"`
}

// SealedForms are all sealed packages of a binding, its own first.
func (b Binding) SealedForms() []SealedForm {
	if b.Sealed.IsZero() {
		return nil
	}
	out := []SealedForm{{Sealed: b.Sealed, Size: b.SealSize}}
	if b.Seal != nil {
		out = append(out, b.Seal.Forms...)
	}
	return out
}

// Served is the sealed package that a policy asks for.
func (b Binding) Served(p Policy) SealedForm {
	var own SealedForm
	for i, f := range b.SealedForms() {
		if f.Plain && p.Seal == model.SealPlain {
			return f
		}
		if i == 0 {
			own = f
		}
	}
	return own
}

// Environment is a hub's stage. Revision is 0 until its first pin.
type Environment struct {
	Format   int       `json:"format"`
	Env      ref.Env   `json:"env"`
	Chart    string    `json:"chart"`
	Policy   Policy    `json:"policy"`
	Revision uint64    `json:"revision"`
	Created  time.Time `json:"created"`
	By       string    `json:"by"`

	// What a pin changes beside the revision stands here too, so that a pin
	// set of 60 environments fits one transaction.
	Halts    []uint64        `json:"halts,omitempty"`    // open ones raised here, oldest first
	Fixed    uint64          `json:"fixed,omitzero"`     // the fix let through since the last failure
	Approved []ref.BindingID `json:"approved,omitempty"` // approved and not pinned since
}

// EnvironmentState is an environment with its current pin and binding.
type EnvironmentState struct {
	Environment
	Pin        *Pin             `json:"pin,omitempty"`
	Binding    *Binding         `json:"binding,omitempty"`
	ChartState model.ChartState `json:"chart_state,omitempty"` // of the pinned chart version
}

// Token is an access token without its secret.
type Token struct {
	Format   int       `json:"format"`
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Scopes   []string  `json:"scopes"`
	Hash     string    `json:"hash"` // hexadecimal SHA-256 of the whole token
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"` // zero: never
	LastUsed time.Time `json:"last_used,omitzero"`
	Revoked  bool      `json:"revoked,omitempty"`
	By       string    `json:"by,omitempty"`
}

// Pin is one revision of an environment. It names a binding, always whole.
type Pin struct {
	Format   int              `json:"format"`
	Env      ref.Env          `json:"env"`
	Revision uint64           `json:"revision"`
	Binding  ref.BindingID    `json:"binding"`
	Chart    ref.ChartVersion `json:"chart"`
	Kind     model.Kind       `json:"kind"`
	From     string           `json:"from,omitempty"` // hub/stage#revision promoted, or the revision rolled back to
	Reason   string           `json:"reason,omitempty"`
	Commit   string           `json:"commit,omitempty"` // base commit of the deploy repo
	Set      string           `json:"set,omitempty"`    // pin set
	Key      string           `json:"key,omitempty"`
	By       string           `json:"by"`
	At       time.Time        `json:"at"`
	Seq      uint64           `json:"seq"` // journal sequence

	Downgrade  string    `json:"downgrade,omitempty"`   // why a half may go back
	BreakGlass string    `json:"break_glass,omitempty"` // why rules 2 to 5 were passed by
	Direction  Direction `json:"direction,omitzero"`    // from the pin before it
}

// Line is one line of the journal: one for each transaction that changed
// something, and one for each refused pin.
type Line struct {
	Format int             `json:"format"`
	Seq    uint64          `json:"seq"`
	At     time.Time       `json:"at"`
	By     Actor           `json:"by"`
	Verb   string          `json:"verb"`
	Object string          `json:"object"`
	Result string          `json:"result"` // "ok" or "refused"
	Detail json.RawMessage `json:"detail,omitempty"`
}
