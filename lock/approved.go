package lock

import (
	"context"
	"errors"

	"chartd.dev/chartd/lock/store"
)

// ApprovedBefore returns the approvals that the pair had in the environment
// when the pin was made, which the pin has used up. Of a pin that needed none
// it returns what was said of the pair before.
func (l *Lockfile) ApprovedBefore(ctx context.Context, p Pin) ([]Approval, error) {
	return view(ctx, l, func(t store.Tx) ([]Approval, error) {
		a, err := get[approvals](t, bucketApprovals, summaryKey(p.Env, p.Binding))
		if err != nil && !errors.Is(err, store.ErrNoKey) {
			return nil, err
		}
		var out []Approval
		for _, one := range a.Approvals {
			if one.Seq < p.Seq && !one.By.same(Actor{Name: p.By}) {
				out = append(out, one)
			}
		}
		return out, nil
	})
}
