package lock

import "chartd.dev/chartd/internal/model"

// approvals is the first half of rule 4: enough others agree.
func (q *question) approvals(r *RuleVerdict) error {
	have, err := getApprovals(q, q.e, q.b.ID)
	if err != nil {
		return err
	}
	need := q.e.Policy.Approvals
	n := 0
	for _, a := range have {
		if need > 0 {
			gone, err := revokedToken(q, a.By)
			if err != nil {
				return err
			}
			if gone {
				r.fact("%s approved, and the token of %s was revoked since", a.By.Name, a.By.Name)
				continue
			}
		}
		switch own := a.By.same(q.actor); {
		case !own:
			n++
			r.fact("%s approved", a.By.Name)
		case need > 0:
			r.fact("the approval of %s does not count for their own pin", a.By.Name)
		}
	}
	r.fact("%d of %d approvals are there", n, need)
	if n < need {
		r.refuse(model.NeedApprovals, model.Facts{Count: need - n, By: q.actor.Name, Env: q.e.Env, Binding: q.b.ID})
	}
	return nil
}
