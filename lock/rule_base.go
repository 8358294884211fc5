package lock

import "chartd.dev/chartd/internal/model"

// base is the rule that the caller knew what runs: compare and swap.
func (q *question) base(r *RuleVerdict) error {
	r.fact("%s is at revision %d", q.e.Env, q.e.Revision)
	if q.np.Base == q.e.Revision {
		return nil
	}
	stale := &StaleError{Env: q.e.Env, Base: q.np.Base, Revision: q.e.Revision, Current: q.current}
	r.err = stale
	r.Facts = []string{stale.Error()}
	r.refuse(model.NeedLook, model.Facts{Env: q.e.Env})
	return nil
}
