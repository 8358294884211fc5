package move

import (
	"encoding/json"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Why is what a caller says for a move. Downgrade and BreakGlass are reasons
// that the gate asks for.
type Why struct{ Reason, Downgrade, BreakGlass string }

// move is what one command pins: one environment, or several as a set.
type move struct {
	Kind   model.Kind
	Why    Why
	Commit string // that it builds on
	Steps  []step

	prepares bool // only what images are built on
}

// step is one environment's change: to which pair, from which revision.
type step struct {
	Env  ref.Env
	Base uint64   // the revision that was read
	Pin  *api.Pin // it; nil for none
	To   api.Binding
	From string // promote: HUB/STAGE; rollback: the revision

	upstream []string         // the environments before it, by its policy
	verdict  *api.GateVerdict // what the gate said of it; nil where it was not asked
}

// newStep plans the pin of an environment, as it was read, to a pair.
func newStep(e api.Environment, to api.Binding, from string) step {
	return step{Env: e.Env, Base: e.Revision, Pin: e.Pin, To: to, From: from, upstream: e.Upstream}
}

// there reports whether the environment is at the pair already.
func (s step) there() bool { return s.Pin != nil && s.Pin.Binding == s.To.ID }

// byVersion is where the gate said that the chart goes by its version, where
// the order of publication is the opposite.
func (s step) byVersion() model.Heading {
	if s.verdict == nil {
		return ""
	}
	return s.verdict.ByVersion
}

// todo are the steps of environments that are not there already.
func (m move) todo() []step {
	var out []step
	for _, s := range m.Steps {
		if !s.there() {
			out = append(out, s)
		}
	}
	return out
}

func (m move) envs() []ref.Env {
	out := []ref.Env{}
	for _, s := range m.todo() {
		out = append(out, s.Env)
	}
	return out
}

// call is the request of one step.
func (m move) call(s step, key string) client.PinCall {
	return client.PinCall{Env: s.Env, Base: s.Base, Key: key, Pin: api.PinRequest{
		Binding: s.To.ID, Kind: m.Kind, From: s.From, Commit: m.Commit,
		Reason: m.Why.Reason, Downgrade: m.Why.Downgrade, BreakGlass: m.Why.BreakGlass,
	}}
}

// set is the request of a move with several steps.
func (m move) set() api.PinSetRequest {
	out := api.PinSetRequest{Kind: m.Kind, Commit: m.Commit, Reason: m.Why.Reason, Downgrade: m.Why.Downgrade, BreakGlass: m.Why.BreakGlass}
	for _, s := range m.todo() {
		out.Pins = append(out.Pins, api.SetPin{Env: s.Env, Revision: s.Base, Binding: s.To.ID, From: s.From})
	}
	return out
}

// intent is what has to be known of the move to find out what became of it.
func (m move) intent(server string) intent {
	n := intent{Format: intentFormat, Server: server, Envs: m.envs()}
	if len(n.Envs) == 0 {
		return n
	}
	n.Key = client.NewKey()
	var request any = m.set()
	if len(m.Steps) == 1 {
		request = m.call(m.Steps[0], n.Key)
	}
	b, err := json.Marshal(request)
	if err != nil {
		panic(err) // wire types always marshal
	}
	n.Request = b
	return n
}
