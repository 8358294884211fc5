package lock

import (
	"errors"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/lock/store"
)

// checkReports holds the reports to the revisions that they are about, and to
// numbers without gaps.
func (c *checker) checkReports() error {
	last := map[string]uint64{}
	return each(c, bucketReports, func(k string, r Report) error {
		about := r.Env.String() + "#" + fmt.Sprint(r.Revision)
		if k != reportKey(r) || r.N != last[about]+1 {
			c.problem("report %d of %s follows report %d and has the key %q", r.N, about, last[about], k)
		}
		last[about] = r.N
		if p, ok := c.pins[about]; !ok || p.Binding != r.Binding {
			c.problem("report %s is about the binding %s, which was not pinned there", r.label(), r.Binding)
		}
		if r.State == model.Failed && !r.Superseded && r.Halt == "" {
			c.problem("report %s failed and halted nothing", r.label())
		}
		c.reports[r.label()] = r
		return nil
	})
}

// checkSummaries holds what was counted to what can have been: the verdicts
// are recomputed from the journal, but beats leave no lines. Nothing was held
// longer than all beats have counted since, and nothing without a pass.
func (c *checker) checkSummaries() error {
	sum, err := counted(c)
	if err != nil {
		return err
	}
	if sum < 0 {
		c.problem("all beats have counted %s", sum)
	}
	return each(c, bucketSummaries, func(k string, s Summary) error {
		label := fmt.Sprintf("summary of %s in %s", s.Binding, s.Env)
		if k != summaryKey(s.Env, s.Binding) {
			c.problem("the %s has the key %q", label, k)
		}
		switch {
		case s.Held < 0 || s.Since < 0 || s.Held > sum-s.Since:
			c.problem("the %s holds %s, and all beats since have counted %s", label, s.Held, sum-s.Since)
		case s.Best < 0 || s.Best > sum-s.Held:
			c.problem("the %s held %s before, and all beats have counted %s", label, s.Best, sum)
		case !s.Passed() && (s.Held != 0 || s.Best != 0 || s.Counting):
			c.problem("the %s holds %s, and its verdict is %q", label, s.Soaked(), s.Verdict)
		case s.Waited < 0 || s.Waited > sum:
			c.problem("the %s waited %s, and all beats have counted %s", label, s.Waited, sum)
		}
		for _, rev := range []uint64{s.Waiting, s.Overdue} {
			if p, ok := c.pins[fmt.Sprintf("%s#%d", s.Env, rev)]; rev != 0 && (!ok || p.Binding != s.Binding) {
				c.problem("the %s waits for revision %d, which is not of it", label, rev)
			}
		}
		if s.recorded() != (Summary{Format: FormatVersion, Env: s.Env, Binding: s.Binding}) {
			c.summaries[k] = s // the others were made by beats alone
		}
		return nil
	})
}

// checkHalts holds the index of open halts, and what the environments say of
// theirs, to the halts.
func (c *checker) checkHalts() error {
	open := map[string]bool{}
	err := each(c, bucketHalts, func(k string, h Halt) error {
		if k != number(h.Seq) || h.ID != fmt.Sprintf("halt-%d", h.Seq) {
			c.problem("%s has the key %q", h.ID, k)
		}
		c.halts[h.ID] = h
		if !h.Open() {
			return nil
		}
		open[openKey(h)] = true
		if !slices.Contains(c.envs[h.Env].Halts, h.Seq) {
			c.problem("%s is open, and %s does not list it", h.ID, h.Env)
		}
		if _, err := c.Get(bucketOpenHalts, openKey(h)); errors.Is(err, store.ErrNoKey) {
			c.problem("%s is open, and no pin would see it", h.ID)
		} else if err != nil {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.Scan(bucketOpenHalts, store.ScanOptions{}, func(k string, _ []byte) error {
		if !open[k] {
			c.problem("%q stops pins, and no such halt is open", k)
		}
		return nil
	})
}

// checkApprovals reads the approvals, which the journal must reproduce.
func (c *checker) checkApprovals() error {
	return each(c, bucketApprovals, func(k string, a approvals) error {
		c.approvals[k] = a
		return nil
	})
}
