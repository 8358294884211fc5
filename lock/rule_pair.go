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
	no := func(rule model.Rule, need model.Need, format string, args ...any) error {
		r.Rule = rule
		r.fact(format, args...)
		r.refuse(need, model.Facts{Chart: q.b.Chart, Name: q.e.Chart})
		return nil
	}
	switch {
	case q.b.Chart.Name() != q.e.Chart:
		return no(model.RuleChart, model.NeedItsChart, "%s runs chart %q, and binding %s is of %s", q.e.Env, q.e.Chart, q.b.ID, q.b.Chart)
	case q.b.State == model.Revoked:
		return no(model.RuleRevoked, model.NeedOtherBinding, "the binding of %s was revoked: %s", q.b.Chart, q.b.Why)
	case q.b.State != model.Verified:
		return no(model.RuleUnverified, model.NeedProvenImage, "the binding of %s is %s: %s", q.b.Chart, q.b.State, q.b.Why)
	}
	if i, refused := q.e.Policy.refused(q.b); refused {
		return no(model.RuleEvidence, model.NeedAccepted,
			"%s accepts %v, and %s rests on %q", q.e.Env, q.e.Policy.Accept, q.b.part(i), i.Evidence)
	}
	switch {
	case q.chart.State == model.Purged:
		return no(model.RulePurged, model.NeedOtherVersion, "%s was purged: %s", q.b.Chart, q.chart.Why)
	case q.chart.State == model.Yanked && !q.passedHere():
		return no(model.RuleYanked, model.NeedListedVersion, "%s was yanked: %s", q.b.Chart, q.chart.Why)
	}
	r.fact("%s with binding %s rests on %s", q.b.Chart, q.b.ID, q.b.Evidence)
	if q.b.Unshown != "" {
		r.fact("warning: values-only says that no rendering of the chart showed what is bound (%s)", q.b.Unshown)
	}
	return nil
}

func (b Binding) part(i BoundImage) string {
	if i.Role == "" {
		return fmt.Sprintf("that %s has no image", b.Chart)
	}
	return fmt.Sprintf("the %s image of %s", i.Role, b.Chart)
}

// refused is the first required image of the binding whose evidence the policy
// does not accept, if any. A chart that shows no image rests on its digest
// alone; that it shows none may be what only its values say.
func (p Policy) refused(b Binding) (BoundImage, bool) {
	for _, i := range b.Images {
		if i.Required && !slices.Contains(p.Accept, i.Evidence) {
			return i, true
		}
	}
	if len(b.Images) == 0 && b.Evidence == model.ValuesOnly && !slices.Contains(p.Accept, b.Evidence) {
		return BoundImage{Evidence: b.Evidence}, true
	}
	return BoundImage{}, false
}
