package lock

import (
	"slices"
	"time"

	"chartd.dev/chartd/internal/model"
)

// Fault makes one rule of a gate wrong: it changes what the rule says. A test
// that does not find it proves nothing.
type Fault struct {
	rule  model.Rule
	wrong func(*question, *RuleVerdict) error
}

// Faults that the test of histories must find.
var (
	NoHalts = Fault{model.RuleHalt, func(_ *question, r *RuleVerdict) error {
		r.OK = r.OK || r.Rule == model.RuleHalt
		return nil
	}}
	DatedSoak = Fault{model.RuleUpstream, func(q *question, r *RuleVerdict) error {
		r.OK = true
		for _, up := range q.e.Policy.Upstream {
			u, err := upstreamOf(q, q.e, up, q.b.ID)
			if err != nil {
				return err
			}
			r.OK = r.OK && (u.OK || u.Passed && q.now.Sub(u.At) >= time.Duration(u.Need))
		}
		return nil
	}}
	SelfApprovals = Fault{model.RuleApprovals, func(q *question, r *RuleVerdict) error {
		all := *q
		all.actor = Actor{Name: "nobody who approves"}
		*r = RuleVerdict{Number: r.Number, Rule: r.Rule, OK: true, brief: r.brief}
		return all.approvals(r)
	}}
)

// Seed wraps the rule of the fault, in this lock file alone.
func (l *Lockfile) Seed(f Fault) {
	l.gate = slices.Clone(l.gate)
	for i, rule := range l.gate {
		if rule.name == f.rule {
			l.gate[i].judge = func(q *question, r *RuleVerdict) error {
				if err := rule.judge(q, r); err != nil {
					return err
				}
				return f.wrong(q, r)
			}
		}
	}
}
