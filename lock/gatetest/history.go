package gatetest

import (
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"

	"chartd.dev/chartd/internal/model"
)

// Ask is what a client asks of the lock file.
type Ask struct {
	Verb string // "pin", "set", "report", "halt", "resolve", "approve", "policy", "beat", "read", "time"
	Pin  Pin
	More Pin // the other one of a set

	Env, Revision, Binding int
	State                  model.Verdict
	Halt                   int
	Soak, Approvals        int // seconds, and how many
	Client                 int

	// Line is the number of the journal line that it left, 0 for none, and
	// After that of the last line that it saw, or Anywhere: the answer must
	// fit at that place.
	Line, After uint64
}

// Anywhere is the After of an operation that was not seen in the journal's own
// order.
const Anywhere = math.MaxUint64

// Told is what the client is told.
type Told struct {
	Rule     string // that refused it; "" if it was done
	Revision int
	Halt     int // raised
	Ended    int // halts
	// Lost says that the client was told nothing: only the journal knows.
	Lost bool
	// Of a read.
	Binding, Halts, Held, Approvals int
	Verdict                         model.Verdict
}

// Model is the lock file as its clients see it: the world.
func Model(start World) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, output any) (bool, any) {
			w, in, out := state.(World), input.(Ask), output.(Told)
			return w.step(in, out), w
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
	}
}

// step does what was asked, and reports whether the answer fits.
func (w *World) step(in Ask, out Told) bool {
	var want Told
	if in.After != Anywhere && w.Line != in.After || in.Line != 0 && in.Line != w.Line+1 {
		return false
	}
	w.Line = max(w.Line, in.Line)
	was := *w
	switch in.Verb {
	case "pin":
		if want.Rule = w.rule(in.Pin, true); want.Rule == "" {
			w.pin(in.Pin)
		}
		want.Revision = w.Envs[in.Pin.Env].revision
	case "set":
		if want.Rule = w.rule(in.Pin, true); want.Rule == "" {
			want.Rule = w.rule(in.More, true)
		}
		if want.Rule == "" {
			w.pin(in.Pin)
			w.pin(in.More)
		}
	case "report":
		halt, ended := w.report(in.Env, in.Revision, in.Binding, in.State)
		want.Ended = ended
		if halt != nil {
			if halt.id == newHalt {
				halt.id = out.Halt
			}
			want.Halt = halt.id
		}
	case "halt":
		want.Halt = out.Halt
		w.hand(in.Env, out.Halt)
	case "resolve":
		w.resolve(in.Halt)
	case "approve":
		w.Envs[in.Env].approved[in.Binding][in.Client] = true
	case "policy":
		w.Envs[in.Env].Soak, w.Envs[in.Env].Approvals = in.Soak, in.Approvals
	case "beat":
		w.beat()
	case "read":
		want = w.read(in.Env)
	}
	if out.Lost {
		return (want.Rule != "") == (out.Rule != "")
	}
	return out == want && (in.Line != 0 || in.Verb == "beat" || was == *w)
}

func (w *World) read(env int) Told {
	e := w.Envs[env]
	out := Told{Revision: e.revision}
	out.Halts, _ = w.halts(env)
	for _, all := range e.approved {
		for _, yes := range all {
			if yes {
				out.Approvals++
			}
		}
	}
	if s := w.sums[env][e.binding]; e.revision > 0 {
		out.Binding = e.binding
		if s.revision == e.revision {
			out.Verdict, out.Held = s.verdict, s.held
		}
	}
	return out
}
