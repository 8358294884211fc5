package lock

import (
	"context"
	"errors"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// Summary is what an environment's reports come to for one binding. The
// verdict is that of the last report that counts; what was held is counted by
// beats.
type Summary struct {
	Format  int           `json:"format"`
	Env     ref.Env       `json:"env"`
	Binding ref.BindingID `json:"binding"`

	Verdict  model.Verdict `json:"verdict,omitempty"` // passed or failed
	Revision uint64        `json:"revision,omitzero"` // that the verdict is about
	Report   uint64        `json:"report,omitzero"`   // its number
	At       time.Time     `json:"at,omitzero"`

	Held     Duration `json:"held,omitzero"`     // by that revision since it passed, un-halted
	Best     Duration `json:"best,omitzero"`     // by an earlier revision, since the last failure
	Counting bool     `json:"counting,omitzero"` // a beat has seen it pass, so that the next one counts
	Since    Duration `json:"since,omitzero"`    // what had been counted in all when it passed

	Waiting uint64   `json:"waiting,omitzero"` // revision whose verdict is waited for
	Waited  Duration `json:"waited,omitzero"`
	Overdue uint64   `json:"overdue,omitzero"` // revision whose missed deadline raised a halt
}

// Soaked is the longest time that a revision with this binding was held after
// it passed.
func (s Summary) Soaked() Duration { return max(s.Held, s.Best) }

// Passed reports whether the last verdict for the environment and the binding
// is passed.
func (s Summary) Passed() bool { return s.Verdict == model.Passed }

func summaryKey(env ref.Env, id ref.BindingID) string { return env.String() + "\x00" + id.String() }

// getSummary returns the summary; empty if nothing was reported.
func getSummary(t store.Tx, env ref.Env, id ref.BindingID) (Summary, error) {
	s, err := get[Summary](t, bucketSummaries, summaryKey(env, id))
	if errors.Is(err, store.ErrNoKey) {
		return Summary{Format: FormatVersion, Env: env, Binding: id}, nil
	}
	return s, err
}

func putSummary(t store.Txn, s Summary) error {
	return put(t, bucketSummaries, summaryKey(s.Env, s.Binding), s)
}

// after is the summary after one more report. A late failure counts, for it
// makes nothing easier; a late pass does not.
func (s Summary) after(r Report, counted Duration) Summary {
	switch {
	case r.State == model.Passed && !r.Superseded:
		if s.Passed() && s.Revision == r.Revision {
			break // it goes on being held
		}
		if s.Passed() {
			s.Best = max(s.Best, s.Held)
		}
		s.Held, s.Counting, s.Since = 0, false, counted
	case r.State == model.Failed:
		s.Held, s.Best, s.Counting, s.Since = 0, 0, false, counted
	default:
		return s
	}
	s.Verdict, s.Revision, s.Report, s.At = r.State, r.Revision, r.N, r.At
	return s
}

// counted is the time that all beats have added so far.
func counted(t store.Tx) (Duration, error) {
	d, err := get[Duration](t, bucketMeta, metaCounted)
	if errors.Is(err, store.ErrNoKey) {
		return 0, nil
	}
	return d, err
}

// SummaryOf returns what the reports of an environment come to for a binding.
func (l *Lockfile) SummaryOf(ctx context.Context, env ref.Env, id ref.BindingID) (Summary, error) {
	return view(ctx, l, func(t store.Tx) (Summary, error) { return getSummary(t, env, id) })
}
