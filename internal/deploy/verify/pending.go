package verify

import (
	"context"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// Pending is what becomes of the locks that wait for their pin.
type Pending struct {
	Unfollowed map[ref.Env]*api.Error // why one would not be pinned after a merge, whatever the gate says
	Judged     bool                   // the lock's history was looked at
	Notes      []string               // of what is not known
	// AskGate is what the gate would say to the others; its error is the first
	// refusal.
	AskGate func(context.Context) ([]api.GateVerdict, error)
}

// askPending finds out which of the waiting locks chartctl apply would not pin
// after a merge.
func (q *Question) askPending(ctx context.Context, a *Answer) (err error) {
	q.pending, err = q.Ahead(ctx, q.Envs, q.Environments)
	if err != nil {
		return err
	}
	if q.pending.Judged {
		a.Checked = append(a.Checked, "history")
	}
	a.Notes, q.Unfollowed = append(a.Notes, q.pending.Notes...), q.pending.Unfollowed
	return nil
}

// askGate asks what the gate would say to the waiting pins.
func (q *Question) askGate(ctx context.Context, a *Answer) (err error) {
	if a.Gate, err = q.pending.AskGate(ctx); len(a.Gate) > 0 {
		a.Checked = append(a.Checked, "gate")
	}
	return err
}
