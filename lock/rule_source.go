package lock

import (
	"fmt"
	"strconv"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// source holds a promote to what its source is pinned to now, and a rollback
// to what this environment was pinned to.
func (q *question) source(r *RuleVerdict) error {
	switch q.np.Kind {
	case model.Promote:
		r.Rule = model.RulePromote
		return q.promoted(r)
	case model.Rollback:
		r.Rule = model.RuleRollback
		return q.rolledBack(r)
	}
	return nil
}

func (q *question) rolledBack(r *RuleVerdict) error {
	rev, err := strconv.ParseUint(q.np.From, 10, 64)
	if err != nil {
		return fail(ErrInvalid, "a rollback needs the revision to go back to, not %q", q.np.From)
	}
	p, err := getPin(q, q.e.Env, rev)
	if err != nil {
		return err
	}
	q.back = rev
	if p.Binding != q.b.ID {
		r.fact("revision %d of %s is %s with binding %s, not %s", rev, q.e.Env, p.Chart, p.Binding, q.b.ID)
		r.refuse(model.NeedItsPair, model.Facts{Env: q.e.Env})
		return nil
	}
	r.fact("revision %d of %s had this pair", rev, q.e.Env)
	r.fact("%s", saying(q.sum.said))
	return nil
}

func (q *question) promoted(r *RuleVerdict) error {
	from, err := ref.ParseEnv(q.np.From)
	if err != nil {
		return fail(ErrInvalid, "a promote needs the environment that it comes from: %v", err)
	}
	if from == q.e.Env {
		return fail(ErrInvalid, "%s cannot be promoted to itself", from)
	}
	source, err := getEnvironment(q, from)
	if err != nil {
		return err
	}
	if source.Revision == 0 {
		r.fact("%s has no pin to promote", from)
		r.refuse(model.NeedSourcePin, model.Facts{Env: from})
		return nil
	}
	p, err := getPin(q, from, source.Revision)
	if err != nil {
		return err
	}
	if p.Binding != q.b.ID {
		r.fact("%s is at revision %d with %s and binding %s, not %s", from, p.Revision, p.Chart, p.Binding, q.b.ID)
		r.refuse(model.NeedSourcePair, model.Facts{From: from, Env: q.e.Env})
		return nil
	}
	q.np.From = fmt.Sprintf("%s#%d", from, p.Revision)
	r.fact("%s runs this pair at revision %d", from, p.Revision)
	return nil
}

// said writes the last verdict as a fact.
func (s Summary) said() string {
	if s.Verdict == "" {
		return fmt.Sprintf("%s has no verdict on this pair", s.Env)
	}
	return fmt.Sprintf("the last verdict of %s on this pair is %s (revision %d)", s.Env, s.Verdict, s.Revision)
}
