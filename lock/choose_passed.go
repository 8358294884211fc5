package lock

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// maxSeen is how many revisions are looked at for those that a rollback could
// name.
const maxSeen = 100

// passed is the newest pair that passed here, by the revision that did, is not
// the present one and may be pinned still.
func (s *chooser) passed() (chosen, error) {
	said, err := s.summaries()
	if err != nil {
		return chosen{}, err
	}
	var over []PassedOver
	for _, sum := range said {
		if !sum.Passed() || s.now != nil && sum.Binding == s.now.ID {
			continue
		}
		q, err := s.l.question(s, NewPin{Env: s.env.Env, Binding: sum.Binding, Kind: model.Rollback})
		if err != nil {
			return chosen{}, err
		}
		q.explain = true
		r := RuleVerdict{OK: true}
		if err := q.pair(&r); err != nil {
			return chosen{}, err
		}
		if r.OK {
			out := backTo(sum.Binding, sum.Revision)
			out.passedOver = over
			return out, nil
		}
		over = append(over, PassedOver{Chart: q.b.Chart, Revision: sum.Revision, Why: strings.Join(r.Facts, "; "), Need: r.Need})
	}
	return chosen{}, s.nonePassed(said, over)
}

// summaries of all pairs that were reported on here, the newest verdict first.
func (s *chooser) summaries() ([]Summary, error) {
	all, err := list[Summary](s, bucketSummaries, store.ScanOptions{Prefix: s.env.Env.String() + "\x00"})
	slices.SortFunc(all, func(a, b Summary) int { return cmp.Compare(b.Revision, a.Revision) })
	return all, err
}

// nonePassed refuses a rollback without a target, and lists the pairs that one
// could name.
func (s *chooser) nonePassed(said []Summary, over []PassedOver) error {
	no := &Refusal{Rule: model.RuleRollback, Need: situation(model.NeedOtherPair, model.Facts{Env: s.env.Env})}
	earlier, err := s.earlier()
	if err != nil {
		return err
	}
	verdicts := map[ref.BindingID]Summary{}
	for _, sum := range said {
		verdicts[sum.Binding] = sum
	}
	if len(earlier) == 0 {
		no.List = []string{fmt.Sprintf("%s has no earlier revision with another pair to roll back to", s.env.Env)}
	} else {
		no.List = []string{fmt.Sprintf("no pair but the present one passed in %s and may be pinned", s.env.Env)}
		no.Need.Need, no.Need.Revision = model.NeedRevision, earlier[0].Revision
	}
	for _, p := range earlier {
		fact := fmt.Sprintf("revision %d had %s, which has no verdict", p.Revision, p.Chart)
		if v := verdicts[p.Binding].Verdict; v != "" {
			fact = fmt.Sprintf("revision %d had %s, which %s", p.Revision, p.Chart, v)
		}
		no.List = append(no.List, fact)
	}
	for _, o := range over {
		no.List = append(no.List, o.Why)
	}
	no.Facts = strings.Join(no.List, "; ")
	return no
}

// earlier are the newest revisions of up to five other pairs.
func (s *chooser) earlier() ([]Pin, error) {
	if s.now == nil {
		return nil, nil
	}
	var out []Pin
	seen := map[ref.BindingID]bool{s.now.ID: true}
	n := 0
	err := s.Scan(bucketPins, store.ScanOptions{Prefix: s.env.Env.String() + "\x00", Reverse: true}, func(k string, raw []byte) error {
		var p Pin
		if err := kept.Decode(bucketPins, k, raw, &p); err != nil {
			return err
		}
		if n++; !seen[p.Binding] {
			seen[p.Binding] = true
			out = append(out, p)
		}
		if n == maxSeen || len(out) == 5 {
			return store.ErrStop
		}
		return nil
	})
	return out, err
}
