// Package model is the vocabulary: the words that the lockfile keeps, the API
// sends, the deploy repo and the commands compare. Each stands here once; what
// they mean is decided by the rules in lock. A word that is stored or sent
// never changes.
package model

import (
	"slices"
	"strings"
)

// Evidence is why a chart and an image belong together.
type Evidence string

const (
	NoImages    Evidence = "no-images"    // the chart names none: its digest alone is pinned
	ChartValues Evidence = "chart-values" // rendering the chart shows this image
	BaseLayers  Evidence = "base-layers"
	ValuesOnly  Evidence = "values-only" // the chart's values name it, and no rendering showed it
	BaseLabel   Evidence = "base-label"
	Declared    Evidence = "declared"
)

// evidence in order, strongest first.
var evidence = []Evidence{NoImages, ChartValues, BaseLayers, ValuesOnly, BaseLabel, Declared}

// Rank orders evidence, strongest first; -1 is none that is known.
func (e Evidence) Rank() int { return slices.Index(evidence, e) }

// Proof reports whether the evidence is content, not somebody's word.
func (e Evidence) Proof() bool { return e.Rank() >= 0 && e.Rank() <= ValuesOnly.Rank() }

// Named reports whether the evidence is that the chart itself names the image.
func (e Evidence) Named() bool { return e == ChartValues || e == ValuesOnly }

// ImageEvidence is what a policy may accept of an image, strongest first.
func ImageEvidence() []Evidence { return slices.Clone(evidence[1:]) }

// ChartState is what became of a published chart version. A listed one is
// stored as the empty text, and written as "listed".
type ChartState string

const (
	Listed ChartState = ""       // in the index, may be pinned
	Yanked ChartState = "yanked" // fetchable, not in the index, no new pins
	Purged ChartState = "purged" // bytes removed, the name stays taken
)

const listed = "listed"

func (s ChartState) String() string {
	if s == Listed {
		return listed
	}
	return string(s)
}

// MarshalText writes the word that the API has for it.
func (s ChartState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the API's word or the stored one.
func (s *ChartState) UnmarshalText(text []byte) error {
	*s = ChartState(text)
	if *s == listed {
		*s = Listed
	}
	return nil
}

// BindingState is whether a binding may be pinned.
type BindingState string

const (
	Verified   BindingState = "verified"
	Unverified BindingState = "unverified"
	Revoked    BindingState = "revoked"
)

// Kind of a pin.
type Kind string

const (
	Bump     Kind = "bump"
	Promote  Kind = "promote"
	Rollback Kind = "rollback"
	Fix      Kind = "fix"
	Adopt    Kind = "adopt"
)

// Or is the kind, or bump where none is said.
func (k Kind) Or() Kind {
	if k == "" {
		return Bump
	}
	return k
}

// Verdict is how the deployment of a revision stands, by a report.
type Verdict string

const (
	Started Verdict = "started"
	Passed  Verdict = "passed"
	Failed  Verdict = "failed"
)

// Scope of a halt.
type Scope string

const (
	ScopeEnvironment Scope = "environment"
	ScopeHub         Scope = "hub" // every stage of it
	ScopeEverything  Scope = "everything"
)

// Scopes are those that a policy can choose, narrowest first.
func Scopes() []Scope { return []Scope{ScopeEnvironment, ScopeHub, ScopeEverything} }

// Cause of a halt.
type Cause string

const (
	CauseReport   Cause = "report"   // a failed report
	CauseHand     Cause = "hand"     // a person
	CauseDeadline Cause = "deadline" // no verdict came in time
)

// Overdue says what it is when no verdict came by the deadline.
type Overdue string

const (
	OverdueUnknown Overdue = "unknown" // shown, and satisfies nothing
	OverdueHalt    Overdue = "halt"
)

// Overdues are those that a policy can choose.
func Overdues() []Overdue { return []Overdue{OverdueUnknown, OverdueHalt} }

// Seal says which form of a sealed package an environment serves.
type Seal string

const (
	SealGuarded Seal = "guarded" // refuses to render another image
	SealPlain   Seal = "plain"   // leaves its values to whoever overrides them
)

// Seals are those that a policy can choose.
func Seals() []Seal { return []Seal{SealGuarded, SealPlain} }

// Step is what an environment needs before anything else moves it on.
type Step string

const (
	StepPin      Step = "pin"      // its first pin
	StepReport   Step = "report"   // to be deployed, and a report how that went
	StepRollback Step = "rollback" // a rollback to a pair that passed, or a fix
	StepResolve  Step = "resolve"  // that a person ends what a person halted
)

// Heading is where one half of a pair moves to, by the order of publication.
type Heading string

const (
	Same    Heading = "same"
	Forward Heading = "forward"
	Back    Heading = "back"
	Unknown Heading = "unknown"
)

// Rule is a rule of the gate, by the name that a refusal gives it.
type Rule string

const (
	RuleBase       Rule = "base"   // the revision that was named is the current one
	RuleSource     Rule = "source" // what a promote or a rollback takes its pair from
	RulePair       Rule = "pair"   // of the rules from chart to yanked, where none refuses
	RuleChart      Rule = "chart"
	RuleRevoked    Rule = "revoked"
	RuleUnverified Rule = "unverified"
	RuleEvidence   Rule = "evidence"
	RulePurged     Rule = "purged"
	RuleYanked     Rule = "yanked"
	RulePromote    Rule = "promote"
	RuleRollback   Rule = "rollback"
	RuleHalt       Rule = "halt"
	RuleFix        Rule = "fix"
	RuleUpstream   Rule = "upstream"
	RuleApprovals  Rule = "approvals"
	RuleFreeze     Rule = "freeze"
	RuleDirection  Rule = "direction"
	RuleBinding    Rule = "binding"    // there is a binding to choose
	RuleRepository Rule = "repository" // an image's repository changes only if somebody says so
)

// RuleState is what a rule says of a move.
type RuleState string

const (
	RulePassed  RuleState = "passed"
	RuleWaived  RuleState = "waived"  // this kind of pin passes it by
	RuleUnsure  RuleState = "unknown" // what it asks for is not known, which satisfies nothing
	RuleRefused RuleState = "refused"
)

// Texts are words as plain text.
func Texts[T ~string](words []T) []string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return out
}

// Join writes words in one line.
func Join[T ~string](words []T, separator string) string {
	return strings.Join(Texts(words), separator)
}
