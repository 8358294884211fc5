package lock

import (
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
)

// pair is the rule that the binding may be pinned here at all: it is of the
// chart, proven, and not taken back. Each reason to refuse it is a rule by
// name.
func (q *question) pair(r *RuleVerdict) error {
	show := ""
	if q.explain {
		show = fmt.Sprintf("chartctl show %s", q.b.Chart)
	}
	no := func(rule model.Rule, want, command, format string, args ...any) error {
		r.Rule = rule
		r.fact(format, args...)
		r.refuse(want, command)
		return nil
	}
	switch {
	case q.b.Chart.Name() != q.e.Chart:
		return no(model.RuleChart, "pin a version of "+q.e.Chart, "chartctl charts "+q.e.Chart,
			"%s runs chart %q, and binding %s is of %s", q.e.Env, q.e.Chart, q.b.ID, q.b.Chart)
	case q.b.State == model.Revoked:
		return no(model.RuleRevoked, "pin another binding; see "+show, show, "the binding of %s was revoked: %s", q.b.Chart, q.b.Why)
	case q.b.State != model.Verified:
		return no(model.RuleUnverified, "bind an image that is proven to belong to it; see "+show, show,
			"the binding of %s is %s: %s", q.b.Chart, q.b.State, q.b.Why)
	}
	if i, refused := q.e.Policy.refused(q.b); refused {
		return no(model.RuleEvidence, "bind an image with accepted evidence; see "+show, show,
			"%s accepts %v, and the %s image of %s rests on %q", q.e.Env, q.e.Policy.Accept, i.Role, q.b.Chart, i.Evidence)
	}
	switch {
	case q.chart.State == model.Purged:
		return no(model.RulePurged, "pin another version", "chartctl charts "+q.e.Chart, "%s was purged: %s", q.b.Chart, q.chart.Why)
	case q.chart.State == model.Yanked && !q.passedHere():
		return no(model.RuleYanked, "pin another version; only a rollback to a pair that passed here may use a yanked one", "chartctl charts "+q.e.Chart,
			"%s was yanked: %s", q.b.Chart, q.chart.Why)
	}
	r.fact("%s with binding %s rests on %s", q.b.Chart, q.b.ID, q.b.Evidence)
	return nil
}

// refused is the first required image of the binding whose evidence the policy
// does not accept, if any. A chart that names no image rests on its digest
// alone.
func (p Policy) refused(b Binding) (BoundImage, bool) {
	for _, i := range b.Images {
		if i.Required && !slices.Contains(p.Accept, i.Evidence) {
			return i, true
		}
	}
	return BoundImage{}, false
}
