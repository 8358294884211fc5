package lock

import (
	"encoding/json"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// applyGate plays a line about reports, halts, approvals and policies.
func (h replayed) applyGate(line Line) error {
	switch line.Verb {
	case verbReport:
		var d reported
		err := json.Unmarshal(line.Detail, &d)
		h.applyReport(d)
		return err
	case verbPolicy:
		var env ref.Env
		if err := env.UnmarshalText([]byte(line.Object)); err != nil {
			return err
		}
		var d policyChange
		err := json.Unmarshal(line.Detail, &d)
		e := h.envs[env]
		e.Policy = d.New
		h.envs[env] = e
		return err
	case verbHalt, verbResolve:
		var d Halt
		err := json.Unmarshal(line.Detail, &d)
		if h.applyHalt(d); d.Cause == model.CauseDeadline && d.Open() {
			h.overdue(d)
		}
		return err
	}
	var a Approval
	err := json.Unmarshal(line.Detail, &a)
	e, key := h.envs[a.Env], summaryKey(a.Env, a.Binding)
	list := approvals{Format: FormatVersion}
	if slices.Contains(e.Approved, a.Binding) {
		list = h.approvals[key]
	}
	list.Approvals = append(slices.Clone(list.Approvals), a)
	e.approved(a)
	h.envs[a.Env], h.approvals[key] = e, list
	return err
}

// applyReport judges anew whether the report came too late, and what the
// verdict is after it.
func (h replayed) applyReport(d reported) {
	r := d.Report
	r.Superseded = r.Revision != h.envs[r.Env].Revision
	h.reports[r.label()] = r
	if d.Halt != nil {
		h.applyHalt(*d.Halt)
	}
	for _, ended := range d.Ended {
		h.applyHalt(ended)
	}
	key := summaryKey(r.Env, r.Binding)
	s, ok := h.summaries[key]
	if !ok {
		s = Summary{Format: FormatVersion, Env: r.Env, Binding: r.Binding}
	}
	if s = s.after(r, 0).recorded(); s.Verdict != "" {
		h.summaries[key] = s
	}
}

func (h replayed) applyHalt(d Halt) {
	h.halts[d.ID] = d
	e := h.envs[d.Env]
	if d.Open() {
		e.opened(d)
	} else {
		e.closed(d.Seq)
	}
	h.envs[d.Env] = e
}

// overdue notes the missed deadline that raised a halt.
func (h replayed) overdue(d Halt) {
	e := h.envs[d.Env]
	id := h.pins[fmt.Sprintf("%s#%d", d.Env, e.Revision)].Binding
	key := summaryKey(d.Env, id)
	s, ok := h.summaries[key]
	if !ok {
		s = Summary{Format: FormatVersion, Env: d.Env, Binding: id}
	}
	s.Overdue = e.Revision
	h.summaries[key] = s
}

// recorded is what the journal must reproduce of a summary: not what beats
// counted, which leave no lines.
func (s Summary) recorded() Summary {
	s.Held, s.Best, s.Counting, s.Since, s.Waiting, s.Waited = 0, 0, false, 0, 0, 0
	return s
}
