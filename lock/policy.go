package lock

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	_ "time/tzdata" // a freeze window must not depend on what the host has installed

	"github.com/robfig/cron/v3"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// Limits of a policy. A pin set of 60 environments, each with the largest
// policy, still fits one transaction.
const (
	MaxUpstream  = 8
	MaxApprovals = 10
	MaxFreezes   = 8
	MaxSoak      = Duration(90 * 24 * time.Hour)
	MaxDeadline  = Duration(7 * 24 * time.Hour)
	MaxFreeze    = Duration(31 * 24 * time.Hour)
)

// Policy of an environment: what the gate asks for. The rule of direction has
// no setting: it always holds.
type Policy struct {
	Words    int              `json:"words,omitzero"` // what Accept's words mean: policyWords
	Accept   []model.Evidence `json:"accept"`
	Upstream []ref.Env        `json:"upstream,omitempty"`
	// Soak is how long each upstream stage must have held a binding after it
	// passed there. It is counted by beats, not computed from dates.
	Soak      Duration    `json:"soak,omitzero"`
	Approvals int         `json:"approvals,omitzero"` // by others than the one who pins
	Freeze    []Freeze    `json:"freeze,omitempty"`
	Halt      model.Scope `json:"halt,omitempty"` // of a failure here; empty is the hub
	// Deadline is how long a new revision may go without a verdict, counted
	// by beats; zero is for ever.
	Deadline Duration      `json:"deadline,omitzero"`
	Overdue  model.Overdue `json:"overdue,omitempty"` // what a missed deadline is; empty is unknown
	Seal     model.Seal    `json:"seal,omitempty"`    // the form that is served; empty is guarded
}

// policyWords counts what the words of Accept have come to mean: until 2,
// chart-values was said of an image that only the chart's values named, too.
const policyWords = 2

// plainPolicy is a Policy without methods, and wordedPolicy as it is written.
type (
	plainPolicy  Policy
	wordedPolicy struct {
		Words int `json:"words"` // policyWords
		plainPolicy
	}
)

// MarshalJSON writes the policy with what its words mean.
func (p Policy) MarshalJSON() ([]byte, error) {
	return json.Marshal(wordedPolicy{policyWords, plainPolicy(p)})
}

// UnmarshalJSON reads a policy as it was meant when it was written.
func (p *Policy) UnmarshalJSON(data []byte) error {
	var w wordedPolicy
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	if w.Words < policyWords && slices.Contains(w.Accept, model.ChartValues) && !slices.Contains(w.Accept, model.ValuesOnly) {
		w.Accept = append(w.Accept, model.ValuesOnly)
	}
	*p = Policy(w.plainPolicy)
	return nil
}

// Freeze is a window in which nothing is pinned: it opens by a cron schedule
// in a time zone and lasts as long as it says.
type Freeze struct {
	Cron   string   `json:"cron"` // minute, hour, day of the month, month, day of the week
	Zone   string   `json:"zone"` // such as America/Los_Angeles
	For    Duration `json:"for"`
	Reason string   `json:"reason,omitempty"`
}

// HaltScope is the scope of a halt that a failure here raises.
func (p Policy) HaltScope() model.Scope {
	if p.Halt == "" {
		return model.ScopeHub
	}
	return p.Halt
}

// five fields, so that none of the extensions of the parser are let in.
var fiveFields = regexp.MustCompile(`^[0-9A-Za-z*,/?-]+( [0-9A-Za-z*,/?-]+){4}$`)

// schedule reads the window's opening times.
func (f Freeze) schedule() (cron.Schedule, error) {
	if !fiveFields.MatchString(f.Cron) || len(f.Cron) > 100 {
		return nil, fail(ErrInvalid, "%.120q is no cron schedule: want five fields, minute, hour, day, month, weekday, such as \"0 17 * * 5\"", f.Cron)
	}
	s, err := cron.ParseStandard(f.Cron)
	if err != nil {
		return nil, fail(ErrInvalid, "%q is no cron schedule: %v", f.Cron, err)
	}
	zone, err := time.LoadLocation(f.Zone)
	if err != nil || f.Zone == "" || f.Zone == "Local" || len(f.Zone) > 64 {
		return nil, fail(ErrInvalid, "the freeze window %q has the time zone %.80q: want a name such as America/Los_Angeles or UTC", f.Cron, f.Zone)
	}
	if spec, ok := s.(*cron.SpecSchedule); ok {
		spec.Location = zone
	}
	return s, nil
}

// open reports whether the window is open at now, and until when at least: the
// end of its oldest opening that still lasts.
func (f Freeze) open(now time.Time) (until time.Time, open bool, err error) {
	s, err := f.schedule()
	if err != nil {
		return until, false, fmt.Errorf("%w: %v", store.ErrDamaged, err)
	}
	at := s.Next(now.Add(-time.Duration(f.For)))
	return at.Add(time.Duration(f.For)), !at.IsZero() && !at.After(now), nil
}

func (f Freeze) check(now time.Time) error {
	s, err := f.schedule()
	if err != nil {
		return err
	}
	if f.For < Duration(time.Minute) || f.For > MaxFreeze {
		return fail(ErrInvalid, "the freeze window %q lasts %s: want 1m to %s", f.Cron, f.For, MaxFreeze)
	}
	if s.Next(now).IsZero() {
		return fail(ErrInvalid, "the freeze window %q never opens", f.Cron)
	}
	return checkText(f.Reason, 200)
}

// checkPolicy refuses a policy of e that makes no sense by itself, and fills its
// defaults in.
func checkPolicy(now time.Time, e Environment, p Policy) (Policy, error) {
	p.Accept = slices.Clone(p.Accept)
	if len(p.Upstream) == 0 {
		p.Upstream = nil
	}
	if len(p.Freeze) == 0 {
		p.Freeze = nil
	}
	for i, a := range p.Accept {
		if _, err := ParseEvidence(string(a)); err != nil {
			return p, err
		}
		if slices.Contains(p.Accept[:i], a) {
			return p, fail(ErrInvalid, "evidence %q is accepted twice", a)
		}
	}
	if len(p.Accept) == 0 {
		p.Accept = []model.Evidence{model.ChartValues, model.BaseLayers, model.ValuesOnly}
	}
	if err := p.checkNumbers(); err != nil {
		return p, err
	}
	for _, f := range p.Freeze {
		if err := f.check(now); err != nil {
			return p, err
		}
	}
	if len(p.Upstream) == 0 && p.Soak > 0 {
		return p, fail(ErrInvalid, "%s soaks for %s in no upstream stage: name one", e.Env, p.Soak)
	}
	return p, checkNames(e, p.Upstream)
}

func (p Policy) checkNumbers() error {
	switch {
	case p.Soak < 0 || p.Soak > MaxSoak:
		return fail(ErrInvalid, "a soak of %s makes no sense: want 0s to %s", p.Soak, MaxSoak)
	case p.Deadline < 0 || p.Deadline > MaxDeadline:
		return fail(ErrInvalid, "a report deadline of %s makes no sense: want 0s to %s", p.Deadline, MaxDeadline)
	case p.Approvals < 0 || p.Approvals > MaxApprovals:
		return fail(ErrInvalid, "%d approvals make no sense: want 0 to %d", p.Approvals, MaxApprovals)
	case len(p.Freeze) > MaxFreezes:
		return fail(ErrInvalid, "a policy has at most %d freeze windows, this one has %d", MaxFreezes, len(p.Freeze))
	case !slices.Contains([]model.Scope{"", model.ScopeEnvironment, model.ScopeHub, model.ScopeEverything}, p.Halt):
		return fail(ErrInvalid, "a halt cannot have the scope %q: choose environment, hub or everything", p.Halt)
	case !slices.Contains([]model.Overdue{"", model.OverdueUnknown, model.OverdueHalt}, p.Overdue):
		return fail(ErrInvalid, "a missed deadline cannot be %q: choose unknown or halt", p.Overdue)
	case !slices.Contains([]model.Seal{"", model.SealGuarded, model.SealPlain}, p.Seal):
		return fail(ErrInvalid, "a seal cannot be %q: choose guarded or plain", p.Seal)
	case p.Overdue == model.OverdueHalt && p.Deadline == 0:
		return fail(ErrInvalid, "a missed deadline is to halt, and there is no deadline: set one")
	}
	return nil
}

// checkNames refuses upstream stages that make no sense by their names.
func checkNames(e Environment, up []ref.Env) error {
	if len(up) > MaxUpstream {
		return fail(ErrInvalid, "an environment has at most %d upstream stages, %s has %d", MaxUpstream, e.Env, len(up))
	}
	for i, u := range up {
		if slices.Contains(up[:i], u) {
			return fail(ErrInvalid, "upstream environment %s is named twice", u)
		}
		if u == e.Env {
			return fail(ErrInvalid, "environment %s cannot be its own upstream", u)
		}
	}
	return nil
}

// checkUpstream refuses stages that are not there, and a circle, in which
// nothing could ever be pinned.
func checkUpstream(t store.Tx, e Environment, up []ref.Env) error {
	for _, u := range up {
		have, err := get[Environment](t, bucketEnvironments, u.String())
		if errors.Is(err, store.ErrNoKey) {
			return fail(ErrNotFound, "upstream environment %s does not exist: create it first", u)
		}
		if err != nil {
			return err
		}
		if have.Chart != e.Chart {
			return fail(ErrInvalid, "upstream environment %s runs chart %q, and %s runs %q: no binding could ever pass in both", u, have.Chart, e.Env, e.Chart)
		}
	}
	return checkCircle(t, e.Env, up)
}

func checkCircle(t store.Tx, env ref.Env, up []ref.Env) error {
	seen := map[ref.Env]bool{}
	for todo := slices.Clone(up); len(todo) > 0; {
		u := todo[0]
		todo = todo[1:]
		if u == env {
			return fail(ErrInvalid, "the upstream stages of %s lead back to it: nothing could ever be pinned there", env)
		}
		if seen[u] {
			continue
		}
		seen[u] = true
		e, err := getEnvironment(t, u)
		if err != nil {
			return err
		}
		todo = append(todo, e.Policy.Upstream...)
	}
	return nil
}
