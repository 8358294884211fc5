package lock_test

import (
	"chartd.dev/chartd/lock"
)

// The world is the gate once more, as simple as it can be: a few numbers for
// three stages of one hub and one of another, written without a look at the
// code. It is what histories of the real one are held against.
const (
	worldEnvs     = 4
	worldBindings = 4
	worldClients  = 8
	beatSeconds   = 10
	maxHands      = 8 // halts by hand in one history
)

var (
	envNames = [worldEnvs]string{"a/dev", "a/staging", "a/prod", "b/prod"}
	hubOf    = [worldEnvs]int{0, 0, 0, 1}
	upOf     = [worldEnvs]int{-1, 0, 1, 1}
	// Where the halves of the bindings stand in the one sequence: version 1.0.0
	// with its own image, 2.0.0 with its own, 1.0.0 with a later build on its
	// own, 1.5.0 with an image on somebody's word.
	chartAt = [worldBindings]int{1, 3, 1, 2}
	imageAt = [worldBindings]int{1, 3, 5, 4}
	proven  = [worldBindings]bool{true, true, true, false}
)

type world struct {
	line uint64 // the last one of the journal
	envs [worldEnvs]worldEnv
	sums [worldEnvs][worldBindings]worldSum
}

type worldEnv struct {
	revision, binding int
	kind              lock.Kind
	fixed             int
	scope             lock.Scope
	soak, approvals   int
	halts             [1 + maxHands]worldHalt // the first is for failures
	approved          [worldBindings][worldClients]bool
}

// newHalt is the name of a halt whose real name is not known yet.
const newHalt = -1

// worldHalt is an open halt, by the number in its name; 0 is none.
type worldHalt struct {
	id       int
	scope    lock.Scope
	revision int
}

type worldSum struct {
	verdict    lock.ReportState
	revision   int
	held, best int // seconds
	counting   bool
}

type worldPin struct {
	env, base, binding int
	kind               lock.Kind
	from               int // environment of a promote
	downgrade, glass   bool
	client             int
}

// covers reports whether a halt of environment e stops environment x.
func (h worldHalt) covers(e, x int) bool {
	switch {
	case h.id == 0:
		return false
	case h.scope == lock.ScopeEverything:
		return true
	case h.scope == lock.ScopeHub:
		return hubOf[e] == hubOf[x]
	}
	return e == x
}

// halts counts the open halts that stop x, and those that were raised there.
func (w *world) halts(x int) (stop, here int) {
	for e := range w.envs {
		for _, h := range &w.envs[e].halts {
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
func (w *world) rule(p worldPin, beats bool) string {
	e := &w.envs[p.env]
	if p.base != e.revision {
		return "stale"
	}
	if p.kind == lock.Promote {
		if s := w.envs[p.from]; s.revision == 0 || s.binding != p.binding {
			return "promote"
		}
	}
	if p.glass || p.kind == lock.Rollback && w.sums[p.env][p.binding].verdict == lock.ReportPassed {
		return ""
	}
	stop, here := w.halts(p.env)
	if p.kind == lock.Fix {
		switch {
		case stop == 0:
			return "fix"
		case here == 0 || e.fixed != 0:
			return "halt"
		}
		return w.direction(p)
	}
	if stop > 0 {
		return "halt"
	}
	if up := upOf[p.env]; up >= 0 {
		s := w.sums[up][p.binding]
		if s.verdict != lock.ReportPassed || beats && max(s.held, s.best) < e.soak {
			return "upstream"
		}
	}
	others := 0
	for c, yes := range e.approved[p.binding] {
		if yes && c != p.client {
			others++
		}
	}
	if others < e.approvals {
		return "approvals"
	}
	return w.direction(p)
}

func (w *world) direction(p worldPin) string {
	e := w.envs[p.env]
	if e.revision == 0 {
		return ""
	}
	back := chartAt[p.binding] < chartAt[e.binding] || imageAt[p.binding] < imageAt[e.binding]
	if back && !(proven[p.binding] && p.downgrade) {
		return "direction"
	}
	return ""
}

func (w *world) pin(p worldPin) {
	e := &w.envs[p.env]
	if _, here := w.halts(p.env); p.kind == lock.Fix && here > 0 {
		e.fixed = p.base + 1
	}
	e.revision, e.binding, e.kind = p.base+1, p.binding, p.kind
	e.approved[p.binding] = [worldClients]bool{}
}

// report changes the world by a report about a revision that had the binding,
// and says how many halts it ends. A failure answers with the halt that it is
// part of, and with new where none was open: the caller gives that its name.
func (w *world) report(env, revision, binding int, state lock.ReportState) (halt *worldHalt, ended int) {
	e, s := &w.envs[env], &w.sums[env][binding]
	late := revision != e.revision
	switch {
	case state == lock.ReportPassed && !late:
		if s.verdict != lock.ReportPassed {
			*s = worldSum{verdict: state, revision: revision}
		} else if s.revision != revision {
			*s = worldSum{verdict: state, revision: revision, best: max(s.best, s.held)}
		}
		return nil, w.endHalts(env)
	case state == lock.ReportFailed:
		*s = worldSum{verdict: state, revision: revision}
		if late && !w.pinnedInScope(env, binding) {
			return nil, 0
		}
		failure := &e.halts[0]
		if failure.id != 0 && revision < failure.revision {
			return failure, 0
		}
		if failure.id == 0 {
			*failure = worldHalt{newHalt, e.scope, revision}
		}
		failure.revision = revision
		if e.fixed <= revision {
			e.fixed = 0
		}
		return failure, 0
	}
	return nil, 0
}

func (w *world) pinnedInScope(env, binding int) bool {
	scope := worldHalt{newHalt, w.envs[env].scope, 0}
	for x, other := range w.envs {
		if scope.covers(env, x) && other.revision > 0 && other.binding == binding {
			return true
		}
	}
	return false
}

func (w *world) endHalts(env int) (ended int) {
	e := &w.envs[env]
	if e.kind != lock.Rollback && e.kind != lock.Fix {
		return 0
	}
	for i, h := range e.halts {
		if h.id != 0 && h.revision < e.revision {
			e.halts[i] = worldHalt{}
			ended++
		}
	}
	w.settle(env)
	return ended
}

// settle forgets the fix where no halt is left.
func (w *world) settle(env int) {
	if _, here := w.halts(env); here == 0 {
		w.envs[env].fixed = 0
	}
}

// resolve ends the halt by its name, and reports whether it was open.
func (w *world) resolve(id int) bool {
	for env := range w.envs {
		for i, h := range w.envs[env].halts {
			if h.id == id {
				w.envs[env].halts[i] = worldHalt{}
				w.settle(env)
				return true
			}
		}
	}
	return false
}

// hand raises a halt by hand.
func (w *world) hand(env, id int) {
	e := &w.envs[env]
	for i := 1; i < len(e.halts); i++ {
		if e.halts[i].id == 0 {
			e.halts[i] = worldHalt{id, e.scope, e.revision}
			return
		}
	}
}

func (w *world) beat() {
	for env, e := range w.envs {
		s := &w.sums[env][e.binding]
		if e.revision == 0 || s.verdict != lock.ReportPassed || s.revision != e.revision {
			continue
		}
		if stop, _ := w.halts(env); stop > 0 {
			s.counting = false
			continue
		}
		if s.counting {
			s.held += beatSeconds
		}
		s.counting = true
	}
}
