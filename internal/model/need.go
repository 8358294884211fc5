package model

import "chartd.dev/chartd/internal/ref"

// Need is what would satisfy a rule that refused, or help out of a failure. A
// need is named here and stored; internal/advice has the sentence and the
// command for each.
type Need string

const (
	// Of the rules of the gate.
	NeedLook          Need = "look"           // somebody else was first
	NeedItsPair       Need = "its-pair"       // of the revision to go back to
	NeedSourcePin     Need = "source-pin"     // there is nothing to promote
	NeedSourcePair    Need = "source-pair"    // the source runs another pair
	NeedItsChart      Need = "its-chart"      // the environment runs another chart
	NeedOtherBinding  Need = "other-binding"  // this one was revoked
	NeedProvenImage   Need = "proven-image"   // the binding is unverified
	NeedAccepted      Need = "accepted-image" // the policy does not accept the evidence
	NeedOtherVersion  Need = "other-version"  // this one was purged
	NeedListedVersion Need = "listed-version" // this one was yanked
	NeedBump          Need = "bump"           // nothing is there to fix
	NeedResolve       Need = "resolve"        // a person halted it
	NeedPassAfterHalt Need = "pass-after-halt"
	NeedWayBack       Need = "way-back" // of what failed
	NeedPass          Need = "pass"     // upstream, where the pair is not pinned
	NeedSoak          Need = "soak"
	NeedPassingPair   Need = "passing-pair" // this one failed upstream
	NeedReport        Need = "report"
	NeedApprovals     Need = "approvals"
	NeedEndOfFreeze   Need = "end-of-freeze"
	NeedDowngrade     Need = "downgrade"      // a reason to go back
	NeedDowngradeBack Need = "downgrade-back" // the same of a rollback
	NeedProof         Need = "proof"

	// Of a binding.
	NeedRebuild     Need = "rebuild"     // on the chart's own image
	NeedItsVersion  Need = "its-version" // that the image was built for
	NeedDeclaration Need = "declaration"
	NeedRegistry    Need = "registry" // to answer, or a declaration

	// Of the choice of a pair.
	NeedImages          Need = "images" // of another repository, by name
	NeedOneOf           Need = "one-of" // the images listed
	NeedBinding         Need = "binding"
	NeedVerifiedBinding Need = "verified-binding"
	NeedBindingWith     Need = "binding-with" // the images asked for
	NeedOtherPair       Need = "other-pair"
	NeedRevision        Need = "revision" // to go back to
	NeedVersion         Need = "version"  // or pre-releases
	NeedAnyVersion      Need = "any-version"
	NeedBound           Need = "bound" // the versions that are unbound
	NeedBoundOrDevel    Need = "bound-or-devel"
	NeedBind            Need = "bind" // this version, before it can be taken
	NeedShow            Need = "show" // why this version can't be taken

	// Of what is not there.
	NeedEnvironment Need = "environment"
	NeedHaltName    Need = "halt-name"
	NeedHalt        Need = "halt"
	NeedFewerHalts  Need = "fewer-halts"
	NeedHistory     Need = "history"
)

// Situation is a need with the facts that its words are made of.
type Situation struct {
	Need Need `json:"need"`
	Facts
}

// Facts fill the gaps of a sentence or of a command line; what is zero is not
// known, or not asked for.
type Facts struct {
	Env      ref.Env          `json:"env,omitzero"`
	From     ref.Env          `json:"from,omitzero"` // of a promote
	Binding  ref.BindingID    `json:"binding,omitzero"`
	Chart    ref.ChartVersion `json:"chart,omitzero"`
	Name     string           `json:"name,omitempty"` // of a chart
	Revision uint64           `json:"revision,omitempty"`
	Halt     string           `json:"halt,omitempty"`
	By       string           `json:"by,omitempty"`
	Count    int              `json:"count,omitempty"`
	Time     string           `json:"time,omitempty"`   // until when, or for how long
	Base     string           `json:"base,omitempty"`   // image of the chart's own
	Images   []RoleImage      `json:"images,omitempty"` // to be given together
	Choices  [][]RoleImage    `json:"choices,omitempty"`

	// Of who asks; no rule knows them.
	Others  []ref.Env `json:"-"` // besides Env
	Version string    `json:"-"` // where no chart is known
	Server  string    `json:"-"`
	Verdict Verdict   `json:"-"`
	Group   bool      `json:"-"` // the environments share files
}

// RoleImage is an image for a role; without an image it is to be named.
type RoleImage struct {
	Role  ref.Role `json:"role"`
	Image string   `json:"image,omitempty"`
}
