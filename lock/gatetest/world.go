// Package gatetest is the gate once more, as simple as it can be: a few numbers
// for three stages of one hub and one of another, written without a look at the
// code. Histories of the real one are held against it: what its clients were
// told, and what its journal says. Test support only.
package gatetest

import (
	"chartd.dev/chartd/internal/model"
)

// Sizes of the world.
const (
	Envs        = 4
	Bindings    = 4
	Clients     = 8
	BeatSeconds = 10
	maxHands    = 8 // halts by hand in one history
)

// EnvNames are the environments, UpOf their upstream stages; -1 is none.
var (
	EnvNames = [Envs]string{"a/dev", "a/staging", "a/prod", "b/prod"}
	hubOf    = [Envs]int{0, 0, 0, 1}
	UpOf     = [Envs]int{-1, 0, 1, 1}
	// Where the halves of the bindings stand in the one sequence: version 1.0.0
	// with its own image, 2.0.0 with its own, 1.0.0 with a later build on its
	// own, 1.5.0 with an image on somebody's word.
	chartAt = [Bindings]int{1, 3, 1, 2}
	imageAt = [Bindings]int{1, 3, 5, 4}
	proven  = [Bindings]bool{true, true, true, false}
)

// World is what decides.
type World struct {
	Line uint64 // the last one of the journal
	Envs [Envs]Env
	sums [Envs][Bindings]sum
}

// Env is an environment and its policy, the soak in seconds.
type Env struct {
	Scope             model.Scope
	Soak, Approvals   int
	revision, binding int
	kind              model.Kind
	fixed             int
	halts             [1 + maxHands]halt // the first is for failures
	approved          [Bindings][Clients]bool
}

// newHalt is the name of a halt whose real name is not known yet.
const newHalt = -1

// halt is an open halt, by the number in its name; 0 is none.
type halt struct {
	id                int
	scope             model.Scope
	revision, binding int
}

type sum struct {
	verdict    model.Verdict
	revision   int
	held, best int // seconds
	counting   bool
}

// Pin is a move that somebody asks for.
type Pin struct {
	Env, Base, Binding int
	Kind               model.Kind
	From               int // environment of a promote, revision of a rollback
	Downgrade, Glass   bool
	Client             int
}

func (w *World) pin(p Pin) {
	e := &w.Envs[p.Env]
	if _, here := w.halts(p.Env); p.Kind == model.Fix && here > 0 {
		e.fixed = p.Base + 1
	}
	e.revision, e.binding, e.kind = p.Base+1, p.Binding, p.Kind
	e.approved[p.Binding] = [Clients]bool{}
}

// report changes the world by a report about a revision that had the binding,
// and says how many halts it ends. A failure answers with the halt that it is
// part of, and with new where none was open: the caller gives that its name.
func (w *World) report(env, revision, binding int, state model.Verdict) (h *halt, ended int) {
	e, s := &w.Envs[env], &w.sums[env][binding]
	late := revision != e.revision
	switch {
	case state == model.Passed && !late:
		if s.verdict != model.Passed {
			*s = sum{verdict: state, revision: revision}
		} else if s.revision != revision {
			*s = sum{verdict: state, revision: revision, best: max(s.best, s.held)}
		}
		return nil, w.endHalts(env)
	case state == model.Failed:
		*s = sum{verdict: state, revision: revision}
		if late && !w.pinnedInScope(env, binding) {
			return nil, 0
		}
		failure := &e.halts[0]
		if failure.id != 0 && revision < failure.revision {
			return failure, 0
		}
		if failure.id == 0 {
			*failure = halt{id: newHalt, scope: e.Scope}
		}
		failure.revision, failure.binding = revision, binding
		if e.fixed <= revision {
			e.fixed = 0
		}
		return failure, 0
	}
	return nil, 0
}

func (w *World) pinnedInScope(env, binding int) bool {
	scope := halt{id: newHalt, scope: w.Envs[env].Scope}
	for x, other := range w.Envs {
		if scope.covers(env, x) && other.revision > 0 && other.binding == binding {
			return true
		}
	}
	return false
}

func (w *World) endHalts(env int) (ended int) {
	e := &w.Envs[env]
	if e.kind != model.Rollback && e.kind != model.Fix {
		return 0
	}
	if h := e.halts[0]; h.id != 0 && h.revision < e.revision {
		e.halts[0] = halt{}
		ended++
	}
	w.settle(env)
	return ended
}

// settle forgets the fix where no halt is left.
func (w *World) settle(env int) {
	if _, here := w.halts(env); here == 0 {
		w.Envs[env].fixed = 0
	}
}

// resolve ends the halt by its name, and reports whether it was open.
func (w *World) resolve(id int) bool {
	for env := range w.Envs {
		for i, h := range w.Envs[env].halts {
			if h.id == id {
				w.Envs[env].halts[i] = halt{}
				w.settle(env)
				return true
			}
		}
	}
	return false
}

// hand raises a halt by hand.
func (w *World) hand(env, id int) {
	e := &w.Envs[env]
	for i := 1; i < len(e.halts); i++ {
		if e.halts[i].id == 0 {
			e.halts[i] = halt{id: id, scope: e.Scope, revision: e.revision}
			return
		}
	}
}

func (w *World) beat() {
	for env, e := range w.Envs {
		s := &w.sums[env][e.binding]
		if e.revision == 0 || s.verdict != model.Passed || s.revision != e.revision {
			continue
		}
		if stop, _ := w.halts(env); stop > 0 {
			s.counting = false
			continue
		}
		if s.counting {
			s.held += BeatSeconds
		}
		s.counting = true
	}
}
