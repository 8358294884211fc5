package lock

import (
	"fmt"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// upstream is rule 3: every upstream stage passed this very binding and held
// it for the soak time after that.
func (q *question) upstream(r *RuleVerdict) error {
	if len(q.e.Policy.Upstream) == 0 {
		r.fact("%s has no upstream stage", q.e.Env)
	}
	for _, up := range q.e.Policy.Upstream {
		u, err := upstreamOf(q, q.e, up, q.b.ID)
		if err != nil {
			return err
		}
		r.fact("%s", saying(u.said))
		if !u.OK && r.OK { // the first that is missing says what is to do
			r.Unknown = u.Verdict == ""
			r.refuse(u.needs(q.b.ID))
		}
	}
	return nil
}

// UpstreamStatus is what one upstream stage says of a binding.
type UpstreamStatus struct {
	Env     ref.Env       `json:"environment"`
	Current bool          `json:"current"` // it is pinned to the binding now
	Pinned  uint64        `json:"pinned,omitzero"`
	Verdict model.Verdict `json:"verdict,omitempty"` // the last one; empty is none
	Passed  bool          `json:"passed"`
	Report  uint64        `json:"report,omitzero"`   // number of the report
	About   uint64        `json:"revision,omitzero"` // revision that the verdict is about
	At      time.Time     `json:"at,omitzero"`
	Held    Duration      `json:"held"`
	Need    Duration      `json:"need"`
	Overdue bool          `json:"overdue,omitempty"` // no verdict came by its deadline
	OK      bool          `json:"ok"`
}

func upstreamOf(t store.Tx, e Environment, up ref.Env, id ref.BindingID) (UpstreamStatus, error) {
	u := UpstreamStatus{Env: up, Need: e.Policy.Soak}
	s, err := getSummary(t, up, id)
	if err != nil {
		return u, err
	}
	u.Verdict, u.Passed, u.Report, u.About, u.At, u.Held = s.Verdict, s.Passed(), s.Report, s.Revision, s.At, s.Soaked()
	u.OK = u.Passed && u.Held >= u.Need
	there, err := getEnvironment(t, up)
	if err != nil || there.Revision == 0 {
		return u, err
	}
	p, err := getPin(t, up, there.Revision)
	if err != nil {
		return u, err
	}
	u.Pinned, u.Current = p.Revision, p.Binding == id
	u.Overdue = u.Current && s.overdue(there)
	return u, nil
}

// overdue reports whether the current revision of e, of this binding, has no
// verdict and missed its deadline.
func (s Summary) overdue(e Environment) bool {
	return s.Revision != e.Revision && e.Policy.Deadline > 0 && s.Waiting == e.Revision && s.Waited >= e.Policy.Deadline
}

func (u UpstreamStatus) said() string {
	switch {
	case u.Verdict == "" && !u.Current:
		return fmt.Sprintf("%s never passed this pair, and is not pinned to it", u.Env)
	case u.Verdict == "" && u.Overdue:
		return fmt.Sprintf("%s is pinned to this pair at revision %d, and no verdict came by its deadline", u.Env, u.Pinned)
	case u.Verdict == "":
		return fmt.Sprintf("%s is pinned to this pair at revision %d, and no verdict came yet", u.Env, u.Pinned)
	case !u.Passed:
		return fmt.Sprintf("%s failed this pair at revision %d", u.Env, u.About)
	}
	return fmt.Sprintf("%s passed this pair at revision %d and held it for %s of %s", u.Env, u.About, u.Held, u.Need)
}

// needs is what the pair still needs there.
func (u UpstreamStatus) needs(id ref.BindingID) (model.Need, model.Facts) {
	switch {
	case !u.Current:
		return model.NeedPass, model.Facts{Env: u.Env, Binding: id}
	case u.Passed:
		return model.NeedSoak, model.Facts{Env: u.Env, Time: (u.Need - u.Held).String()}
	case u.Verdict == model.Failed: // to report it passed on a guess is what nobody should be led to
		return model.NeedPassingPair, model.Facts{Env: u.Env}
	}
	return model.NeedReport, model.Facts{Env: u.Env, Revision: u.Pinned}
}
