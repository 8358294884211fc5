package gatetest

import (
	"chartd.dev/chartd/internal/model"
)

// covers reports whether a halt of environment e stops environment x.
func (h halt) covers(e, x int) bool {
	switch {
	case h.id == 0:
		return false
	case h.scope == model.ScopeEverything:
		return true
	case h.scope == model.ScopeHub:
		return hubOf[e] == hubOf[x]
	}
	return e == x
}

// against reports whether a halt stops the fix too: one by hand, or one for
// the failure of its pair elsewhere.
func (w *World) against(fix Pin) bool {
	for e := range w.Envs {
		for i, h := range &w.Envs[e].halts {
			if h.covers(e, fix.Env) && (i > 0 || e != fix.Env && h.binding == fix.Binding) {
				return true
			}
		}
	}
	return false
}

// halts counts the open halts that stop x, and those that were raised there.
func (w *World) halts(x int) (stop, here int) {
	for e := range w.Envs {
		for _, h := range &w.Envs[e].halts {
			if h.covers(e, x) {
				stop++
				if e == x {
					here++
				}
			}
		}
	}
	return stop, here
}

// rule is the first rule that refuses the pin, "" if none does. Where beats
// are not known the soak is not looked at.
func (w *World) rule(p Pin, beats bool) string {
	e := &w.Envs[p.Env]
	if p.Base != e.revision {
		return "stale"
	}
	if p.Kind == model.Promote {
		if s := w.Envs[p.From]; s.revision == 0 || s.binding != p.Binding {
			return "promote"
		}
	}
	if p.Glass || p.Kind == model.Rollback && w.sums[p.Env][p.Binding].verdict == model.Passed {
		return ""
	}
	stop, here := w.halts(p.Env)
	if p.Kind == model.Fix {
		switch {
		case stop == 0:
			return "fix"
		case here == 0 || e.fixed != 0 || w.against(p):
			return "halt"
		}
		return w.direction(p)
	}
	if stop > 0 {
		return "halt"
	}
	if up := UpOf[p.Env]; up >= 0 {
		s := w.sums[up][p.Binding]
		if s.verdict != model.Passed || beats && max(s.held, s.best) < e.Soak {
			return "upstream"
		}
	}
	others := 0
	for c, yes := range e.approved[p.Binding] {
		if yes && c != p.Client {
			others++
		}
	}
	if others < e.Approvals {
		return "approvals"
	}
	return w.direction(p)
}

func (w *World) direction(p Pin) string {
	e := w.Envs[p.Env]
	if e.revision == 0 {
		return ""
	}
	back := chartAt[p.Binding] < chartAt[e.binding] || imageAt[p.Binding] < imageAt[e.binding]
	if back && !(proven[p.Binding] && p.Downgrade) {
		return "direction"
	}
	return ""
}
